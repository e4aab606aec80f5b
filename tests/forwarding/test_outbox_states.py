"""What becomes of deliveries, from the plan to the receiver's book. SQLite and PostgreSQL alike."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from outbox_home import START, Book, Clock, Home, Plain, forwarding, once, running, service_of, until
from receivers import Reply

from forwarding.deliveries import RETRY_SCHEDULE_S
from forwarding.service import ForwardError, made_service

REJECTED = {"is_wanted": False, "not_wanted_reason": "rejected", "state": "rejected"}


@pytest.fixture
def home(tmp_path, location):
    """A home whose outbox is older than what is published, as in a house that runs."""
    home = Home(tmp_path / "home", location)
    home.define()
    with Book() as nobody:
        once(home, nobody)
    return home


@pytest.fixture
def book():
    with Book() as book:
        yield book


def test_what_is_wanted_is_told_once(home, book):
    rows = [forwarding("a"), forwarding("b", value_minor=250), forwarding("c", is_wanted=False)]
    home.publish(rows)
    assert once(home, book).is_well
    once(home, book)
    home.publish(rows)
    once(home, book)
    assert book.of("a") == [(1, "create", 1000)]
    assert book.of("b") == [(1, "create", 250)]
    assert len(book.told) == 2
    assert home.states() == {"delivered": 2}


def test_what_changes_is_told_again_and_what_is_rejected_or_gone_is_taken_back(home, book):
    home.publish([forwarding("a"), forwarding("b"), forwarding("c"), forwarding("d")])
    once(home, book)
    denied = forwarding("d", is_wanted=False, not_wanted_reason="consent_denied")
    home.publish([forwarding("a", value_minor=900), forwarding("b", **REJECTED), denied])
    once(home, book)
    assert book.of("a") == [(1, "create", 1000), (2, "restate", 900)]
    assert book.of("b") == [(1, "create", 1000), (2, "retract", 0)]
    assert book.of("c") == [(1, "create", 1000), (2, "retract", 0)]
    assert book.of("d") == [(1, "create", 1000)]
    home.publish([forwarding("a", value_minor=900), forwarding("b"), forwarding("d")])
    once(home, book)
    assert book.of("b")[2:] == [(3, "restate", 1000)]
    assert book.known["net", "b"]["before"] == ["retracted", 0]


def test_a_destination_that_the_publication_does_not_know_takes_nothing_back(home, book):
    home.publish([forwarding("a")])
    once(home, book)
    for rows in ([], [forwarding("z", destination_id="other")]):
        home.publish(rows)
        once(home, book)
    home.publish([], has_mart=False)
    once(home, book)
    home.define(body=None)
    home.publish([forwarding("a", value_minor=1)])
    once(home, book)
    assert book.of("a") == [(1, "create", 1000)]


def test_what_is_pending_again_is_taken_back_until_it_is_approved(home, book):
    home.publish([forwarding("a")])
    once(home, book)
    home.publish([forwarding("a", is_wanted=False, not_wanted_reason="pending", state="pending")])
    once(home, book)
    home.publish([forwarding("a", value_minor=900)])
    once(home, book)
    assert book.of("a") == [(1, "create", 1000), (2, "retract", 0), (3, "restate", 900)]


def test_what_was_told_before_it_was_switched_off_is_kept_right(home, book):
    early = {"is_wanted": False, "not_wanted_reason": "before_since"}
    home.publish([forwarding("told"), forwarding("rejected")])
    once(home, book)
    home.publish(
        [forwarding("told", **early), forwarding("rejected", **REJECTED), forwarding("new", **early)]
    )
    once(home, book)
    home.publish(
        [forwarding(each, value_minor=700, **early) for each in ("told", "rejected", "new")],
    )
    once(home, book)
    assert book.of("told") == [(1, "create", 1000), (2, "restate", 700)]
    assert book.of("rejected") == [(1, "create", 1000), (2, "retract", 0)]
    assert not book.of("new")


def test_what_waits_is_overtaken(home, book):
    home.wish("pause")
    home.publish([forwarding("changed"), forwarding("rejected"), forwarding("denied"), forwarding("same")])
    once(home, book)
    denied = forwarding("denied", is_wanted=False, not_wanted_reason="consent_denied")
    changed = forwarding("changed", value_minor=2000)
    home.publish([changed, forwarding("rejected", **REJECTED), denied, forwarding("same")])
    once(home, book)
    assert not book.told
    home.wish("resume")
    assert once(home, book).is_well
    assert book.of("changed") == [(2, "create", 2000)]
    assert book.of("same") == [(1, "create", 1000)]
    assert not book.of("rejected")
    assert not book.of("denied")
    reasons = home.query("SELECT conversion_id, reason FROM deliveries WHERE state = 'cancelled' ORDER BY 1")
    assert reasons == [("changed", "superseded"), ("denied", "not_wanted"), ("rejected", "not_wanted")]
    home.publish([changed, forwarding("rejected"), forwarding("denied"), forwarding("same")])
    once(home, book)
    assert [kind for _, kind, _ in book.of("rejected") + book.of("denied")] == ["create", "create"]


def test_a_change_that_is_undone_before_anybody_heard_of_it_is_not_told(home, book):
    home.publish([forwarding("a"), forwarding("b")])
    once(home, book)
    home.wish("pause")
    home.publish([forwarding("a", value_minor=1), forwarding("b", **REJECTED)])
    once(home, book)
    home.publish([forwarding("a"), forwarding("b")])
    once(home, book)
    home.wish("resume")
    once(home, book)
    assert book.of("a") == book.of("b") == [(1, "create", 1000)]
    assert home.states() == {"delivered": 2, "cancelled": 2}


def test_what_is_accepted_keeps_its_successors_waiting(home, book):
    clock, platform = Clock(datetime.now(UTC)), Plain(book.url)
    platform.check_after_s = (1800, 3600)
    home.publish([forwarding("kept"), forwarding("lost")])
    answers = {"kept": "processing", "lost": "processing"}

    def answer(request):
        if request.method == "GET":
            return Reply(body=answers[request.path.rpartition("/")[2]].encode())
        Book.answer(book, request)
        each = request.json()[0]
        return Reply(202, each["conversion"].encode()) if each["ordinal"] == 1 else Reply(body=b"ok")

    book.answer = answer
    once(home, book, platform, clock)
    home.publish([forwarding("kept", value_minor=5), forwarding("lost", value_minor=5)])
    clock.move(1801)
    once(home, book, platform, clock)
    assert home.states() == {"accepted": 2, "queued": 2}
    answers.update(kept="delivered", lost="dead refused")
    clock.move(3601)
    once(home, book, platform, clock)
    # Of a create that came to nothing the successor is one.
    assert book.of("kept") == [(1, "create", 1000), (2, "restate", 5)]
    assert book.of("lost") == [(1, "create", 1000), (2, "create", 5)]
    assert home.states() == {"delivered": 3, "dead": 1}


def test_a_batch_of_which_some_was_refused_is_split_until_the_guilty_one_is_alone(home, book):
    platform = Plain(book.url, most_at_once=100)
    conversions = [f"c{number}" for number in range(8)]

    def answer(request):
        Book.answer(book, request)
        told = request.json()
        is_guilty = any((each["conversion"], each["ordinal"]) == ("c5", 1) for each in told)
        said = ["delivered", "partly" if is_guilty else ""]
        return Reply.of(200, [said] * len(told))

    book.answer = answer
    home.publish([forwarding(each) for each in conversions])
    once(home, book, platform)
    home.publish([forwarding(each, value_minor=1) for each in conversions])
    once(home, book, platform)
    assert home.states() == {"delivered": 8, "queued": 8}
    kinds = {each: book.of(each)[-1][1] for each in conversions}
    assert set(kinds.values()) == {"create"}
    ((batch_id,),) = home.query("SELECT DISTINCT batch_id FROM deliveries WHERE state = 'delivered'")
    home.wish("split", None, batch_id=batch_id)
    once(home, book, platform)
    dead = home.query("SELECT conversion_id, ordinal FROM deliveries WHERE state = 'dead'")
    assert dead == [("c5", 1)]
    assert not home.query("SELECT 1 FROM deliveries WHERE reason = 'partly' AND state <> 'dead'")
    assert {each: book.of(each)[-1][2] for each in conversions} == dict.fromkeys(conversions, 1)
    # What was refused is not known there: its change is told as news, what was sent again as what it was.
    assert book.of("c5")[-1] == (2, "create", 1)
    assert {kind for each in conversions for ordinal, kind, _ in book.of(each) if ordinal == 1} == {"create"}


def test_what_fails_is_tried_by_the_schedule_then_dead_and_replayed(home, book):
    clock, platform = Clock(datetime.now(UTC)), Plain(book.url, schedule_s=(0, 10, 100))
    home.publish([forwarding("a")])
    refuse = [["retry", "not_now"]]
    book.answer = lambda request: Reply.of(200, refuse)
    for wait_s, requests in ((0, 1), (7, 1), (6, 2), (70, 2), (60, 3)):
        clock.move(wait_s)
        once(home, book, platform, clock)
        assert len(book.requests) == requests
    assert home.query("SELECT state, reason, tries FROM deliveries") == [("dead", "tries_over", 3)]
    assert home.query("SELECT n, status FROM attempts ORDER BY n") == [(1, 200), (2, 200), (3, 200)]
    ((delivery_id,),) = home.query("SELECT delivery_id FROM deliveries")
    del book.answer
    home.wish("replay", None, states=["dead"], delivery_ids=[])
    once(home, book, platform, clock)
    assert [each["id"] for each in book.told] == [delivery_id]
    assert book.of("a") == [(1, "create", 1000)]
    assert home.states() == {"delivered": 1}


def test_a_replay_is_fresh_when_asked_and_never_older_than_what_was_told(home, book):
    home.publish([forwarding("a"), forwarding("b")])
    once(home, book)
    home.publish([forwarding("a", value_minor=7), forwarding("b")])
    once(home, book)
    home.wish("replay", states=["delivered"], fresh=True)
    once(home, book)
    assert [(each["ordinal"], each["value"]) for each in book.told[3:]] == [(2, 7), (1, 1000)] or [
        (each["ordinal"], each["value"]) for each in book.told[3:]
    ] == [(1, 1000), (2, 7)]


def test_dead_letters_are_dismissed(home, book):
    book.fault = Reply(400)
    home.publish([forwarding("a")])
    assert not once(home, book).is_well
    home.wish("dismiss")
    once(home, book)
    assert home.query("SELECT state, reason FROM deliveries") == [("cancelled", "dismissed")]


def test_what_is_useless_by_now_ends(home, book):
    clock = Clock(datetime.now(UTC))
    home.wish("pause")
    home.publish([forwarding("expired"), forwarding("old")])
    platform = Plain(book.url, lives_s=3600)
    once(home, book, platform, clock)
    home.wish("resume")
    clock.move(3601)
    once(home, book, platform, clock)
    assert home.query("SELECT DISTINCT state, reason FROM deliveries") == [("dead", "expired")]
    home.publish([forwarding("late")])
    home.wish("pause")
    once(home, book, Plain(book.url), clock)
    home.wish("resume")
    once(home, book, Plain(book.url, skip=lambda _: "too_old"), clock)
    assert ("skipped", "too_old") in home.query("SELECT state, reason FROM deliveries")
    assert not book.told


def test_refused_authorisation_pauses_and_resuming_loses_nothing(home, book):
    book.fault = Reply(401, b"token expired")
    home.publish([forwarding(f"c{number}") for number in range(20)])
    assert not once(home, book).is_well
    said = home.query("SELECT paused, reason FROM destination_state")
    assert said == [(1, "unauthorised token expired")]
    assert home.states() == {"queued": 20}
    assert home.query("SELECT DISTINCT tries FROM deliveries") == [(0,)]
    heard = len(book.requests)
    book.fault = None
    once(home, book)
    assert len(book.requests) == heard
    home.wish("resume")
    assert once(home, book).is_well
    assert home.states() == {"delivered": 20}


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(Reply(401, b"token expired"), id="paused by its answer"),
        pytest.param(Reply(503), id="too busy"),
        pytest.param(None, id="paused before it was sent again"),
    ],
)
def test_what_a_failure_may_have_told_is_taken_back_whatever_was_answered_later(home, book, then):
    clock = Clock(datetime.now(UTC))
    home.publish([forwarding("a"), forwarding("stays")])
    book.faults.extend([Reply(500, is_taken=True)] * 2)
    once(home, book, clock=clock)
    assert book.of("a") == [(1, "create", 1000)]
    clock.move(4000)
    if then is None:
        home.wish("pause")
    else:
        book.faults.extend([then] * 2)
    once(home, book, clock=clock)
    home.publish([forwarding("a", **REJECTED), forwarding("stays")])
    once(home, book, clock=clock)
    home.wish("resume")
    for _ in range(3):
        clock.move(4000)
        once(home, book, clock=clock)
    assert [kind for _, kind, _ in book.of("a")][-1] == "retract"


@pytest.mark.long
def test_a_surge_is_held_and_a_release_lets_go_what_was_held_then(home, book):
    many = [forwarding(f"c{number}") for number in range(1001)]
    home.publish(many)
    assert not once(home, book).stopped
    assert home.states() == {"held": 1001}
    home.publish([*many, forwarding("usual")])
    once(home, book)
    assert [each["conversion"] for each in book.told] == ["usual"]
    home.wish("release")
    home.publish([forwarding("c0", value_minor=1), *many[1:], forwarding("usual")])
    once(home, book)
    assert home.states()["delivered"] == 1002
    # Twenty retractions, or a twentieth of what was told, are usual; more are held.
    home.publish([*(forwarding(f"c{number}", **REJECTED) for number in range(60)), *many[60:]])
    once(home, book)
    assert home.states()["held"] == 61
    home.publish([forwarding("c0", value_minor=1), *many[1:], forwarding("usual")])
    once(home, book)
    assert "held" not in home.states()
    assert not [each for each in book.told if each["kind"] == "retract"]


def test_what_cannot_be_told_is_skipped_with_its_reason(home, book):
    platform = Plain(
        book.url,
        skip=lambda each: {"create": None, "restate": "cannot_restate"}.get(each.kind, "cannot_retract"),
    )
    home.publish([forwarding("a"), forwarding("b")])
    once(home, book, platform)
    home.publish([forwarding("a", value_minor=5), forwarding("b", **REJECTED)])
    once(home, book, platform)
    once(home, book, platform)
    found = home.query("SELECT conversion_id, reason FROM deliveries WHERE state = 'skipped' ORDER BY 1")
    assert found == [("a", "cannot_restate"), ("b", "cannot_retract")]
    assert home.query("SELECT DISTINCT state, value_minor FROM told") == [("approved", 1000)]


def test_what_was_skipped_is_told_when_what_it_wanted_has_come(home, book):
    platform = Plain(book.url, skip=lambda each: None if each.facts["external_click_id"] else "no_click_id")
    rows = [forwarding("late", external_click_id=None), forwarding("never", external_click_id=None)]
    home.publish(rows)
    once(home, book, platform)
    home.publish(rows)
    once(home, book, platform)
    assert home.states() == {"skipped": 2}
    home.publish([forwarding("late"), rows[1]])
    once(home, book, platform)
    assert book.of("late") == [(2, "create", 1000)]
    assert home.states() == {"skipped": 2, "delivered": 1}


def test_older_and_held_publications_plan_nothing(home, book):
    from publication.publishing import hold, point_current_at, release

    first = home.publish([forwarding("a")])
    once(home, book)
    second = home.publish([forwarding("a", value_minor=5)])
    hold(home.settings.published_dir, first)
    once(home, book)
    third = home.publish([forwarding("a", value_minor=6)])
    hold(home.settings.published_dir, second)
    once(home, book)
    assert book.of("a") == [(1, "create", 1000)]
    assert release(home.settings.published_dir) == third
    once(home, book)
    point_current_at(home.settings.published_dir, first)
    once(home, book)
    assert book.of("a") == [(1, "create", 1000), (2, "restate", 6)]


def test_a_destination_that_is_defined_anew_waits_for_the_next_build(home, book):
    home.publish([forwarding("a")])
    home.define(name="Another")
    once(home, book)
    assert not book.told
    home.publish([forwarding("a", destination_version=2)])
    once(home, book)
    assert book.of("a") == [(1, "create", 1000)]
    home.define(is_active=False)
    home.publish([forwarding("a", destination_version=3, value_minor=1)])
    once(home, book)
    assert len(book.told) == 1


def test_a_test_is_sent_and_not_told(home, book):
    home.wish("test")
    once(home, book)
    once(home, book)
    assert [each["kind"] for each in book.told] == ["test"]
    assert not home.query("SELECT 1 FROM told")


def test_an_outbox_that_is_new_beside_an_older_publication_is_held(tmp_path, location, book):
    home = Home(tmp_path / "home", location)
    home.define()
    home.publish([forwarding("a")], at=datetime.now(UTC) - timedelta(hours=1))
    home.wish("release")
    ended = once(home, book)
    assert ended.stopped == {("shop", "net"): "held"}
    assert not book.told
    home.publish([forwarding("a"), forwarding("b")])
    once(home, book)
    assert not book.told
    home.wish("release")
    once(home, book)
    assert sorted(each["conversion"] for each in book.told) == ["a", "b"]


def test_another_installation_is_held_with_all_that_waits(home, book):
    home.publish([forwarding("told"), forwarding("waits")])
    platform = Plain(book.url, schedule_s=(0, 5, 5))
    book.answer = lambda request: (
        Reply.of(200, [["retry", "x"]]) if "waits" in request.body.decode() else Book.answer(book, request)
    )
    once(home, book, platform)
    heard = len(book.requests)
    home.settings = home.settings.model_copy(update={"installation": "another"})
    home.wish("release")
    home.publish([forwarding("told", value_minor=1), forwarding("waits"), forwarding("new")])
    assert once(home, book, platform).stopped
    assert once(home, book, platform).stopped
    assert len(book.requests) == heard
    assert home.states()["held"] == 3
    del book.answer
    home.wish("release")
    once(home, book, platform)
    assert home.states() == {"delivered": 4}


def test_a_copy_beside_the_living_home_hears_nothing(tmp_path, book):
    home = Home(tmp_path / "home")
    home.define()
    once(home, book)
    home.publish([forwarding("a")])
    once(home, book)
    shutil.copytree(tmp_path / "home", tmp_path / "copy", symlinks=True)
    backup = (tmp_path / "home" / "outbox.sqlite").read_bytes()
    copy = Home(tmp_path / "copy")
    for each in (home, copy):
        each.publish([forwarding("a", value_minor=2), forwarding("b")])
    once(home, book)
    heard = len(book.requests)
    assert once(copy, book).stopped == {("shop", "net"): "held"}
    assert len(book.requests) == heard
    # Yesterday's file put back in its place: what was told since would be told again.
    for name in ("outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"):
        (tmp_path / "home" / name).unlink(missing_ok=True)
    (tmp_path / "other").write_bytes(backup)
    (tmp_path / "other").rename(tmp_path / "home" / "outbox.sqlite")
    assert once(home, book).stopped == {("shop", "net"): "held"}
    assert len(book.requests) == heard


def test_a_home_to_edit_in_never_sends(home):
    dev = home.settings.isolated(home.settings.dev_dir / "me")
    dev.home_dir.mkdir(parents=True)
    (dev.home_dir / "dev.json").write_text("{}")
    with pytest.raises(ForwardError, match="never sends"):
        made_service(dev)


def test_without_destinations_there_is_no_outbox(tmp_path, book):
    home = Home(tmp_path / "home")
    home.publish([])
    assert once(home, book) is None
    assert not home.settings.outbox_path.exists()


def test_a_request_that_is_on_its_way_keeps_its_successor_waiting(home, book):
    async def tell():
        service = service_of(home, Plain(book.url), book)
        async with running(service):
            book.faults.append(Reply(wait_s=3, is_taken=True))
            home.publish([forwarding("a")])
            await until(lambda: home.states() == {"sending": 1})
            home.publish([forwarding("a", value_minor=5)])
            await until(lambda: home.states() == {"delivered": 2})

    asyncio.run(tell())
    assert book.of("a") == [(1, "create", 1000), (2, "restate", 5)]


@pytest.mark.long
def test_a_slow_destination_and_a_large_one_delay_nobody(home, book):
    home.define("slow", concurrency=64)
    home.define("net", project_id="big")
    many = [forwarding(f"c{number}", project_id="big") for number in range(900)]

    async def tell():
        service = service_of(home, Plain(book.url), book)
        async with running(service):
            await asyncio.sleep(1)
            book.answer = lambda request: (
                Reply(wait_s=60) if "/slow" in request.path else Book.answer(book, request)
            )
            slow = [forwarding(f"s{number}", destination_id="slow") for number in range(200)]
            home.publish([*slow, *many, forwarding("quick")])
            await until(lambda: book.of("quick"), 20)
            assert len(book.told) < 900

    asyncio.run(tell())


def test_a_day_of_outage_loses_nothing_keeps_the_order_and_is_over_in_a_moment(home, book):
    clock, platform = Clock(datetime.now(UTC)), Plain(book.url)
    rows = [forwarding(f"c{number}") for number in range(60)]

    async def tell():
        service = service_of(home, platform, book, clock)
        book.fault = Reply(503)
        async with running(service):
            home.publish(rows)
            await until(lambda: home.query("SELECT 1 FROM destination_state WHERE breaker_us IS NOT NULL"))
            for hour in range(24):
                clock.move(3600)
                service.wake()
                if hour == 12:
                    home.publish([forwarding(f"c{number}", value_minor=5) for number in range(60)])
                    await until(lambda: home.states().get("cancelled") == 60)
                await asyncio.sleep(0.05)
            assert "dead" not in home.states()
            book.fault = None
            clock.move(15 * 60)
            service.wake()
            await until(lambda: home.states().get("delivered") == 60)

    asyncio.run(tell())
    assert all(book.of(f"c{number}") == [(2, "create", 5)] for number in range(60))


@pytest.mark.long
def test_one_delivery_outlives_an_outage_too(home, book):
    clock = Clock(datetime.now(UTC))
    home.publish([forwarding("a")])
    book.fault = Reply(503)
    for _ in range(40):
        once(home, book, clock=clock)
        clock.move(max(RETRY_SCHEDULE_S) * 1.2)
    assert home.states() == {"retrying": 1}
    book.fault = None
    once(home, book, clock=clock)
    assert home.states() == {"delivered": 1}


def test_who_asks_to_wait_is_left_alone(home, book):
    clock = Clock(datetime.now(UTC))
    home.define(concurrency=1)
    home.publish([forwarding(f"c{number}", destination_version=2) for number in range(10)])
    book.faults.append(Reply(429, headers={"Retry-After": "7000"}))
    once(home, book, clock=clock)
    # What was leased ahead, and what waits: nobody asks again before.
    assert len(book.requests) == 1
    assert home.states() == {"retrying": 1, "queued": 9} or home.states()["queued"] >= 5
    clock.move(8500)
    once(home, book, clock=clock)
    assert home.states() == {"delivered": 10}


def test_a_rate_is_kept(home, book):
    home.define(per_second=5)
    home.publish([forwarding(f"c{number}", destination_version=2) for number in range(6)])
    once(home, book)
    times = sorted(request.at for request in book.requests)
    assert times[-1] - times[0] >= 0.9


def test_batches_are_gathered(home, book):
    async def tell():
        service = service_of(home, Plain(book.url, most_at_once=50, gather_s=2), book)
        async with running(service):
            home.publish([forwarding("a")])
            await until(lambda: home.states())
            home.publish([forwarding("a"), forwarding("b")])
            await until(lambda: home.states() == {"delivered": 2})

    asyncio.run(tell())
    assert [len(request.json()) for request in book.requests] == [2]


def test_the_clock_of_facts_is_in_microseconds(home, book):
    home.publish([forwarding("a")])
    once(home, book)
    ((facts,),) = home.query("SELECT facts FROM deliveries")
    assert f'"occurred_us":{int(START.timestamp() * 1e6)}' in facts
    assert "occurred_at" not in facts
