"""Sessions in memory: ids that are not kept, ends, and bounds."""

import pytest

from read_api.dashboard import sessions
from read_api.dashboard.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_session_is_found_by_its_id_only_until_it_is_ended(clock: Clock) -> None:
    store = Sessions(clock)
    session_id, session = store.begin("key")
    assert store.find(session_id) is session
    assert store.find(session_id + "x") is None
    assert store.find(session_id) is session, "a wrong id ends nobody's session"
    store.end(session_id)
    assert store.find(session_id) is None


def test_a_forms_token_is_written_differently_each_time_and_is_always_the_sessions() -> None:
    session, other = sessions.Session(["key"]), sessions.Session(["key"])
    written = {session.csrf_token for _ in range(50)}
    assert len(written) == 50
    assert all(session.has_token(token) for token in written)
    token = written.pop()
    wrong = [
        "",
        "é",
        token[:-1],
        token + "AAAA",
        token[::-1],
        f"A{token[1:]}" if token[0] != "A" else f"B{token[1:]}",
    ]
    assert not any(session.has_token(each) for each in [*wrong, other.csrf_token])


def test_a_session_ends_when_it_is_idle_and_after_a_week_however_busy(clock: Clock) -> None:
    store = Sessions(clock)
    idle, _ = store.begin("key")
    clock.now += IDLE_SECONDS + 1
    assert store.find(idle) is None
    busy, _ = store.begin("key")
    began = clock.now
    while clock.now - began <= LONGEST_SECONDS - IDLE_SECONDS:
        clock.now += IDLE_SECONDS - 1
        assert store.find(busy) is not None
    clock.now = began + LONGEST_SECONDS + 1
    assert store.find(busy) is None


def test_signing_in_again_and_again_ends_sessions_of_the_same_key_only(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS_OF_A_KEY", 3)
    store = Sessions(clock)
    other, _ = store.begin("other")
    ids = [store.begin("key")[0] for _ in range(5)]
    assert [store.find(each) is not None for each in ids] == [False, False, True, True, True]
    assert store.find(other) is not None


def test_sessions_are_bounded_and_the_longest_unused_makes_room(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
    store = Sessions(clock)
    first, second, third = (store.begin(f"key {number}")[0] for number in range(3))
    store.find(first)
    fourth, _ = store.begin("key 4")
    found = [store.find(each) is not None for each in (first, second, third, fourth)]
    assert found == [True, False, True, True]


def test_a_session_without_keys_is_over(clock: Clock) -> None:
    store = Sessions(clock)
    session_id, session = store.begin("key")
    store.add_key(session, "another")
    store.drop_keys(session, {"key"})
    assert store.find(session_id) is not None
    store.drop_keys(session, {"another"})
    assert store.find(session_id) is None


def test_keys_of_a_session_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_KEYS", 2)
    store = Sessions(clock)
    _, session = store.begin("a")
    for key in ("b", "a", "c"):
        store.add_key(session, key)
    assert session.keys == ["a", "c"]
