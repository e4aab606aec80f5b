"""Answers under a key, in both landing stores: kept with the rows or not at all, once, and not for ever."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from postgres import Cluster

from funnelhouse.problems import Refusal
from ingest_api.group_commit import GroupCommit
from record.contract import Definition, row_values
from record.landing import Location, answers, open_store
from record.landing.answers import find_answer, keep_answers, prune_answers
from record.landing.store import Answer, LandingError, LandingStore, Row


@pytest.fixture
def store(location: Location) -> Iterator[LandingStore]:
    with closing(open_store(location)) as store:
        yield store


def row(key: str) -> Row:
    return row_values(Definition)(
        Definition(project_id="shop", kind="goal", key=key, received_us=1, body=None)
    )


def answer(key: str, body: bytes = b"{}", answered_us: int = 1) -> Answer:
    headers = {"content-type": "application/json", "funnelhouse-event-id": "ü"}
    return Answer("shop", "/v1/conversions", key, b"\x00hash", answered_us, 202, headers, body)


def found(store: LandingStore, key: str) -> Answer | None:
    return find_answer(store, "shop", "/v1/conversions", key)


def landed(store: LandingStore) -> list[str]:
    return [key for (key,) in store.query("SELECT key FROM definitions ORDER BY id")]


def test_an_answer_comes_back_as_it_was(store: LandingStore) -> None:
    kept = answer("k", bytes(range(256)))
    store.append([("definitions", [row("a")])], {0: kept})
    assert found(store, "k") == kept
    assert found(store, "K") is None
    assert find_answer(store, "shop", "/v2/conversions", "k") is None
    assert find_answer(store, "shop.test", "/v1/conversions", "k") is None


def test_only_batches_whose_key_was_answered_are_left_out(store: LandingStore) -> None:
    first = answer("old", b"first")
    store.append([("definitions", [row("old")])], {0: first})
    batches = [
        ("definitions", [row("plain")]),
        ("definitions", [row("old again")]),
        ("definitions", [row("new"), row("new too")]),
        ("definitions", [row("new again")]),
        ("events", []),
    ]
    new = answer("new", b"new")
    sent = {1: answer("old", b"second"), 2: new, 3: answer("new", b"later"), 4: answer("empty")}
    results = store.append(batches, sent)
    assert results[1] == first
    assert results[3] == new
    assert isinstance(results[0], int)
    assert results[2] == results[0] + 1
    assert isinstance(results[4], int)
    assert found(store, "new") == new
    assert found(store, "empty") is not None
    assert landed(store) == ["old", "plain", "new", "new too"]


def test_hundreds_of_keys_fit_into_one_group(store: LandingStore) -> None:
    def sent(count: int) -> dict[int, Answer]:
        return {number: answer(f"{number}") for number in range(count)}

    store.append([("definitions", [row("a")])] * 100, sent(100))
    results = store.append([("definitions", [row("b")])] * 300, sent(300))
    assert [isinstance(result, Answer) for result in results] == [True] * 100 + [False] * 200
    assert len(landed(store)) == 300


def test_a_transaction_that_fails_keeps_no_answer(store: LandingStore) -> None:
    nameless = (None, *row("lost")[1:])
    with pytest.raises(LandingError):
        store.append([("definitions", [row("lost")]), ("definitions", [nameless])], {0: answer("k")})
    assert found(store, "k") is None
    assert isinstance(store.append([("definitions", [row("kept")])], {0: answer("k")})[0], int)
    assert landed(store) == ["kept"]


def test_writers_of_the_same_keys_in_any_order_do_each_once(location: Location) -> None:
    results: list[list[int | Answer]] = []

    def write(keys: list[str]) -> None:
        with closing(open_store(location)) as store:
            for turn in range(10):
                sent = {at: answer(f"{turn}-{key}", key.encode()) for at, key in enumerate(keys)}
                results.append(store.append([("definitions", [row(key)]) for key in keys], sent))

    open_store(location).close()
    keys = [f"{number}" for number in range(20)]
    writers = [threading.Thread(target=write, args=(each,)) for each in (keys, keys[::-1], keys[7:])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert len(results) == 30
    with closing(open_store(location)) as store:
        assert len(landed(store)) == 10 * len(keys)
    assert sum(isinstance(result, int) for each in results for result in each) == 10 * len(keys)


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_request_that_another_process_is_doing_waits_for_its_end(postgres: Cluster, ends: str) -> None:
    url = postgres.new_database()

    async def run() -> tuple[int, Answer | None, Answer | None]:
        commits = GroupCommit(url)
        try:
            with closing(open_store(url)) as other:
                try:
                    with other.transaction():
                        keep_answers(other, {0: answer("k", b"other")})
                        group = asyncio.gather(
                            commits.submit("definitions", [row("beside")], 1),
                            commits.submit_once("definitions", [row("once")], 1, answer("k", b"mine")),
                            commits.submit_once("definitions", [row("new")], 1, answer("new")),
                        )
                        await asyncio.sleep(0.2)
                        assert not group.done()
                        if ends == "rollback":
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
                return await group
        finally:
            await asyncio.to_thread(commits.close)

    _, earlier, new = asyncio.run(asyncio.wait_for(run(), 20))
    assert earlier == (answer("k", b"other") if ends == "commit" else None)
    assert new is None
    with closing(open_store(url)) as store:
        assert landed(store) == (["beside", "new"] if ends == "commit" else ["beside", "once", "new"])


def test_two_transactions_never_wait_for_each_other(postgres: Cluster) -> None:
    url = postgres.new_database()
    results: list[int | Answer] = []

    def write() -> None:
        with closing(open_store(url)) as store:
            sent = {0: answer("z"), 1: answer("m")}
            results.extend(store.append([("definitions", [row("z")]), ("definitions", [row("m")])], sent))

    writer = threading.Thread(target=write)
    with closing(open_store(url)) as store:
        with store.transaction():
            keep_answers(store, {0: answer("m", b"other")})
            writer.start()
            time.sleep(0.3)
            # Had the writer kept its answers as they came, it would hold this one and wait for the other.
            assert keep_answers(store, {0: answer("z", b"other")}) == {}
        writer.join(20)
    assert results == [answer("z", b"other"), answer("m", b"other")]


@pytest.mark.slow
def test_a_process_that_vanished_holds_a_key_for_seconds_only(postgres: Cluster) -> None:
    """It is given up before those who wait for it give up, so that nobody hears of it."""
    url = postgres.new_database()

    async def run() -> Answer | None:
        commits = GroupCommit(url)
        try:
            await commits.submit("definitions", [row("before")], 1)
            return await commits.submit_once("definitions", [row("once")], 1, answer("k"))
        finally:
            await asyncio.to_thread(commits.close)

    with closing(open_store(url)) as vanished:
        with pytest.raises(LandingError), vanished.transaction():
            keep_answers(vanished, {0: answer("k", b"vanished")})
            assert asyncio.run(asyncio.wait_for(run(), 20)) is None
        assert landed(vanished) == ["before", "once"]


def test_after_a_503_the_request_may_be_repeated(location: Location) -> None:
    async def run() -> None:
        commits = GroupCommit(location)
        try:
            store = commits._store
            assert store is not None
            append = store.append

            def unknown(*arguments: object) -> list[int | Answer]:
                append(*arguments)  # type: ignore[arg-type]
                raise LandingError("the answer to the commit was lost")

            store.append = unknown  # type: ignore[method-assign]
            with pytest.raises(Refusal) as refused:
                await commits.submit_once("definitions", [row("a")], 1, answer("k", b"first"))
            assert refused.value.status == 503
            earlier = await commits.submit_once("definitions", [row("a")], 1, answer("k", b"second"))
            assert earlier == answer("k", b"first")
        finally:
            await asyncio.to_thread(commits.close)

    asyncio.run(asyncio.wait_for(run(), 20))
    with closing(open_store(location)) as store:
        assert landed(store) == ["a"]


def test_old_answers_are_forgotten_and_no_others(
    store: LandingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_FORGOTTEN_AT_ONCE", 3)
    sent = {number: answer(f"{number}", answered_us=number) for number in range(10)}
    store.append([("definitions", [row("a")])] * 10, sent)
    assert prune_answers(store, before_us=7) == 7
    assert [found(store, f"{number}") is None for number in range(10)] == [True] * 7 + [False] * 3
    assert prune_answers(store, before_us=7) == 0
    # The rows stay: only the key may be used again.
    assert len(landed(store)) == 10
    assert isinstance(store.append([("definitions", [row("b")])], {0: replace(sent[0])})[0], int)


def test_a_store_from_before_there_were_answers_gets_them(location: Location) -> None:
    with closing(open_store(location)) as older:
        older.execute("DROP TABLE answers")
    with closing(open_store(location)) as store:
        assert found(store, "k") is None
