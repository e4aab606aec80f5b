"""Random histories of what is published, and kills at random moments: at the end the books are right."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from outbox_home import Book, Clock, Home, forwarding, once
from receivers import CUT, Reply
from seeds import a_seed

from publication.layout import published_builds
from publication.publishing import hold, release

CHILD = """
import asyncio, signal, sys
# Whoever runs the tests may ignore it, as a shell does for what runs behind it.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
sys.path.extend([{tests!r}, {forwarding!r}])
from pathlib import Path
from outbox_home import Home, Plain, service_of
class Place:
    place = {place!r}
home = Home(Path({home!r}), {landing!r} or None)
service = service_of(home, Plain({url!r}), Place())
print("ready", flush=True)
asyncio.run(service.run())
"""


class Histories:
    """Conversions that change at random from build to build."""

    def __init__(self, chance: random.Random, conversions: int) -> None:
        self.chance = chance
        self.rows: dict[str, dict[str, object] | None] = {f"c{number}": None for number in range(conversions)}

    def step(self) -> list[dict[str, object]]:
        """The forwardings of the next build."""
        for conversion_id in self.rows:
            if self.chance.random() > 0.15:
                continue
            value = self.chance.choice([100, 250, 1000])
            states = ["approved", "approved", "approved", "rejected", "refunded", "denied", "gone"]
            match self.chance.choice(states):
                case "approved":
                    new = forwarding(conversion_id, value_minor=value)
                case "rejected":
                    new = forwarding(
                        conversion_id, is_wanted=False, not_wanted_reason="rejected", state="rejected"
                    )
                case "refunded":
                    new = forwarding(
                        conversion_id,
                        **{"is_wanted": False, "not_wanted_reason": "refunded"},
                        **{"state": "refunded", "value_minor": 0},
                    )
                case "denied":
                    new = forwarding(conversion_id, is_wanted=False, not_wanted_reason="consent_denied")
                case _:
                    new = None
            self.rows[conversion_id] = new
        # One that stays, so that the publication knows the destination.
        return [forwarding("stays"), *(row for row in self.rows.values() if row is not None)]

    def check(self, home: Home, book: Book) -> None:
        """The book is what was published, and what the outbox says was told."""
        for conversion_id, row in self.rows.items():
            known = book.known.get(("net", conversion_id))
            if row is not None and row["is_wanted"]:
                assert known is not None, conversion_id
                assert known["kind"] != "retract", conversion_id
                assert known["value"] == row["value_minor"], conversion_id
            elif row is None or row["not_wanted_reason"] != "consent_denied":
                assert known is None or known["kind"] == "retract", conversion_id
        told = home.query(
            "SELECT conversion_id, state, value_minor, ordinal FROM told WHERE ordinal IS NOT NULL"
        )
        assert {each for _, each in book.known} == {row[0] for row in told}
        for conversion_id, state, value_minor, ordinal in told:
            known = book.known["net", conversion_id]
            assert (value_minor, ordinal) == (known["value"], known["ordinal"]), conversion_id
            assert (state == "retracted") == (known["kind"] == "retract"), conversion_id
        for conversion_id in {each["conversion"] for each in book.told}:
            told_of = [each for each in book.told if each["conversion"] == conversion_id]
            # Repeats come under their ids, and the order rises; who deduplicates has one create.
            ids = {each["id"]: each["ordinal"] for each in told_of}
            assert len(set(ids.values())) == len(ids)
            ordinals = [each["ordinal"] for each in told_of]
            assert ordinals == sorted(ordinals), conversion_id
            assert len({each["id"] for each in told_of if each["kind"] == "create"}) == 1, conversion_id


def live(home: Home, book: Book, conversions: int, builds: int) -> None:
    """Publish builds, with receivers that fail, readers held at older builds, and pauses in between."""
    chance = random.Random(a_seed())
    histories, clock = Histories(chance, conversions), Clock(datetime.now(UTC))
    home.clock = clock
    published_dir = home.settings.published_dir
    for _ in range(builds):
        home.publish(histories.step())
        match chance.randrange(8):
            case 0:
                fault = chance.choice([Reply(503), Reply(500, is_taken=True)])
                book.faults.extend([fault] * chance.randrange(1, 40))
            case 1:
                book.faults.append(Reply(401, b"expired"))
            case 2:
                book.faults.append(CUT)
                book.faults.append(Reply(cut_after=0, is_taken=True))
            case 3:
                hold(published_dir, chance.choice(published_builds(published_dir)))
            case 4:
                home.wish(chance.choice(["pause", "release"]))
            case _:
                home.wish("resume")
        once(home, book, clock=clock)
        release(published_dir)
        clock.move(chance.choice([1, 60, 4000]))
    book.faults.clear()
    for _ in range(4):
        home.wish("release")
        home.wish("resume")
        once(home, book, clock=clock)
        clock.move(90_000)
    assert not {"queued", "retrying", "sending", "held", "dead"} & home.states().keys(), home.states()
    histories.check(home, book)


@pytest.mark.parametrize(
    ("conversions", "builds"), [(40, 6), pytest.param(200, 40, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_after_any_history_books_are_what_is_published(tmp_path, location, conversions, builds):
    home = Home(tmp_path / "home", location)
    home.define()
    with Book() as book:
        once(home, book)
        live(home, book, conversions, builds)


@pytest.mark.parametrize(
    "kills",
    [pytest.param(3, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.slow)],
    ids=["3", "60"],
)
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path, kills):
    chance = random.Random(a_seed())
    home = Home(tmp_path / "home")
    home.define()
    histories = Histories(chance, 400)
    with Book() as book:
        once(home, book)
        for number in range(kills):
            home.publish(histories.step())
            child = start(home, book, tmp_path / f"log{number}")
            time.sleep(chance.random() * 1.5)
            if chance.random() < 0.5:
                home.publish(histories.step())
                time.sleep(chance.random())
            child.send_signal(signal.SIGKILL)
            child.wait()
        once(home, book)
        home.wish("release")
        once(home, book)
        assert home.states().keys() <= {"delivered", "cancelled"}
        histories.check(home, book)


def start(home: Home, book: Book, log: Path) -> subprocess.Popen[bytes]:
    """The service in a process of its own, which has begun to work when this returns."""
    code = CHILD.format(
        tests=str(Path(__file__).parent.parent),
        forwarding=str(Path(__file__).parent),
        place=book.place,
        home=str(home.settings.home_dir),
        landing=home.settings.landing,
        url=book.url,
    )
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=errors, env={**os.environ}
        )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n", log.read_text()
    return child


@pytest.mark.long
def test_a_second_process_waits_and_takes_over(tmp_path, location):
    home = Home(tmp_path / "home", location)
    home.define()
    with Book() as book:
        once(home, book)
        first = start(home, book, tmp_path / "first")
        home.publish([forwarding("a")])
        asyncio.run(_until(lambda: book.of("a")))
        second = start(home, book, tmp_path / "second")
        time.sleep(2)
        assert second.poll() is None
        first.send_signal(signal.SIGTERM if home.settings.landing else signal.SIGKILL)
        first.wait(20)
        home.publish([forwarding("a"), forwarding("b")])
        asyncio.run(_until(lambda: book.of("b")))
        second.terminate()
        second.wait(20)


async def _until(holds):
    from outbox_home import until

    await until(holds, 60)
