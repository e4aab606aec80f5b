"""Sends what is due: each destination on its own, so that a slow one delays nobody else.

A delivery is leased before its request and booked after it. A crash between the two repeats the request,
under the same ids. What comes back decides at once how the destination goes on: paused, slowed down, or left
alone but for a probe now and then (the breaker).
"""

import asyncio
import logging
import math
import secrets
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from forwarding.answers import redacted
from forwarding.deliveries import Answer, Attempt, Destination, Message, Outcome, Platform, UndeliveredError
from forwarding.outbox import sends
from forwarding.outbox.schema import NEVER_US, DestinationKey
from forwarding.outbox.sends import Due, Leased, Schedule
from forwarding.outbox.states import DestinationState, write_breaker, write_pause
from forwarding.outbox.store import LeaseLostError, OutboxStore
from forwarding.writer import Writer
from record.landing.store import LandingError
from record.secrets import Secret

DEFAULT_CONCURRENCY = 8

BREAKER_FAULTS = 20
FIRST_PROBE_S = 60.0
LAST_PROBE_S = 900.0
PROBE_GROWTH = 1.5

ANSWER_BYTES = 2048
TEXT_BYTES = 512

UNBOOKED = 64
"""Requests of a destination whose answers wait to be booked; then no more are sent."""

AHEAD = 4
"""So many times what is sent at once is leased ahead, where each delivery has a request of its own."""

_THROTTLES = (429, 502, 503, 504)

_log = logging.getLogger("funnelhouse.forward")


class Transport(Protocol):
    """Sends a request to where it may go."""

    async def send(self, message: Message) -> Answer:
        """What was answered. Raises UndeliveredError."""


class Sender:
    """The destinations of an outbox, each with a runner. Belongs to the event loop."""

    def __init__(
        self,
        writer: Writer,
        owner: str,
        platforms: Mapping[str, Platform],
        transport: Transport,
        now_us: Callable[[], int],
        lease_us: int,
        is_once: bool = False,
    ) -> None:
        self.writer = writer
        self.owner = owner
        self.platforms = platforms
        self.transport = transport
        self.now_us = now_us
        self.lease_us = lease_us
        self.is_once = is_once
        self.counts: dict[DestinationKey, Counter[str]] = {}
        self._runners: dict[DestinationKey, _Runner] = {}
        self._secrets: Mapping[DestinationKey, Mapping[str, Secret]] = {}

    def configure(
        self,
        destinations: Mapping[DestinationKey, Destination],
        found: Mapping[DestinationKey, DestinationState],
        known: Mapping[DestinationKey, Mapping[str, Secret]],
    ) -> None:
        """Take over what is defined now, and what the outbox says of each destination."""
        self._secrets = known
        for key in destinations.keys() | self._runners.keys():
            runner = self._runners.get(key)
            if runner is None:
                runner = self._runners[key] = _Runner(self, key)
                self.counts[key] = Counter()
            runner.configure(destinations.get(key), found.get(key, DestinationState()))

    def secret(self, key: DestinationKey, name: str) -> str | None:
        """A secret of a destination; `<name>.previous` is the one before, while that is valid."""
        name, _, which = name.partition(".")
        found = self._secrets.get(key, {}).get(name)
        if found is None:
            return None
        return found.previous if which == "previous" else found.value

    def wake(self) -> None:
        """Let every destination look whether something is due."""
        for runner in self._runners.values():
            runner.wake()

    async def drain(self) -> None:
        """Return when nothing is due in any destination that may send."""
        await asyncio.gather(*(runner.idle() for runner in self._runners.values()))

    def failure(self) -> BaseException | None:
        """What ended a runner: the lease was lost."""
        for runner in self._runners.values():
            if runner.task.done() and not runner.task.cancelled() and runner.task.exception() is not None:
                return runner.task.exception()
        return None

    async def stop(self, grace_s: float) -> None:
        """Send no more, and let what is being sent come to its end for so long."""
        await asyncio.gather(*(runner.stop(grace_s) for runner in self._runners.values()))


class _Runner:
    """One destination."""

    def __init__(self, sender: Sender, key: DestinationKey) -> None:
        self._sender = sender
        self._key = key
        self._destination: Destination | None = None
        self._state = DestinationState()
        self._ready: deque[list[Leased]] = deque()
        self._requests: set[asyncio.Task[None]] = set()
        self._bookings: set[asyncio.Task[None]] = set()
        self._asked: set[str] = set()
        self._slots = 1
        self._faults = 0
        self._quiet_until_us = 0
        self._next_request = 0.0
        self._is_stopping = False
        self._is_failing = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    def configure(self, destination: Destination | None, state: DestinationState) -> None:
        """Take over the newest definition and state."""
        self._destination = destination
        if self._bookings:
            # What was decided here a moment ago may not be written yet.
            ours = self._state
            state = replace(ours, is_paused=ours.is_paused or state.is_paused, is_held=state.is_held)
        elif state.breaker_us is None and self._state.breaker_us is not None:
            self._faults = 0
        self._state = state
        self._slots = min(max(self._slots, 1), self._concurrency)
        if self._faults == 0:
            self._slots = self._concurrency
        self.wake()

    def wake(self) -> None:
        """Look again whether something is due."""
        self._idle.clear()
        self._wake.set()

    async def idle(self) -> None:
        """Return when nothing is due, or it may not send."""
        await self._idle.wait()

    async def stop(self, grace_s: float) -> None:
        """End; what is being sent may come to its end meanwhile."""
        self._is_stopping = True
        self._wake.set()
        if self._requests:
            await asyncio.wait(self._requests, timeout=grace_s)
        for request in self._requests:
            request.cancel()
        self.task.cancel()
        await asyncio.gather(self.task, *self._requests, return_exceptions=True)
        await asyncio.gather(*self._bookings, return_exceptions=True)
        with suppress(LandingError):
            await self._put_back()

    @property
    def _concurrency(self) -> int:
        body = self._destination.body if self._destination else {}
        return int(body.get("concurrency") or DEFAULT_CONCURRENCY)

    @property
    def _may_send(self) -> bool:
        return (
            self._destination is not None
            and bool(self._destination.body["is_active"])
            and not self._state.is_paused
            and not self._state.is_held
            and not self._is_stopping
        )

    @property
    def _platform(self) -> Platform:
        assert self._destination is not None
        return self._sender.platforms[self._destination.kind]

    @property
    def _schedule(self) -> Schedule:
        platform = self._platform
        return Schedule(platform.schedule_s, platform.check_after_s or (3600.0,))

    async def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            try:
                wait_s = await self._advance()
                self._is_failing = False
            except LeaseLostError:
                raise
            except LandingError as error:
                if not self._is_failing:
                    _log.warning("%s: the outbox cannot be used: %s", "/".join(self._key), error)
                self._is_failing, wait_s = True, 1.0
            except Exception as error:
                _log.error("%s: %s", "/".join(self._key), _without_values(error))
                wait_s = 5.0
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _advance(self) -> float | None:
        """Send what may be sent now; returns how long nothing will be due, seconds, None for not known."""
        if not self._may_send:
            await self._put_back()
            if not self._requests and not self._bookings:
                self._idle.set()
            return None
        now_us = self._sender.now_us()
        quiet_us = max(self._quiet_until_us, self._state.probe_us if self._state.breaker_us else 0)
        if quiet_us > now_us:
            if not self._requests and not self._bookings:
                self._idle.set()
            return (quiet_us - now_us) / 1e6
        slots = 1 if self._state.breaker_us else self._slots
        found = None
        while len(self._requests) < slots and len(self._bookings) < UNBOOKED:
            if not self._ready:
                found = await self._lease(slots)
                if not self._may_send:
                    await self._put_back()
                    return 0.0
                if not self._ready:
                    break
            self._start(self._send(self._ready.popleft()))
        if found is None or self._ready:
            # Whatever ends wakes this.
            return None
        next_us = found.next_us
        if found.ready and found.oldest_us is not None:
            # They are gathered.
            next_us = max(found.oldest_us + int(self._platform.gather_s * 1e6), now_us + 1000)
        if not self._requests and not self._bookings:
            self._idle.set()
        return None if next_us is None else max((next_us - now_us) / 1e6, 0.001)

    async def _lease(self, slots: int) -> Due:
        """Lease what is due, as requests that are ready; also asks after what was accepted."""
        sender, platform, key = self._sender, self._platform, self._key
        now_us = sender.now_us()
        most = platform.most_at_once
        is_probe = self._state.breaker_us is not None
        wanted = most * (slots if most > 1 else slots * AHEAD)
        if is_probe:
            wanted = most
        gather_us = 0 if sender.is_once or is_probe else int(platform.gather_s * 1e6)
        until_us = NEVER_US - 1 if is_probe else now_us

        def work(store: OutboxStore) -> tuple[Due, list[Leased], dict[str, list[tuple[Leased, int, int]]]]:
            found = sends.due(store, key, until_us, most)
            leased: list[Leased] = []
            if found.ready >= most or (
                found.oldest_us is not None and (is_probe or found.oldest_us <= now_us - gather_us)
            ):
                leased = sends.lease(
                    store, sender.owner, key, now_us, until_us, now_us + sender.lease_us, wanted
                )
            accepted = sends.accepted_due(store, key, now_us, slots) if platform.check_after_s else {}
            return found, leased, accepted

        found, leased, accepted = await sender.writer.do(work)
        for remote_id, asked in accepted.items():
            if remote_id not in self._asked:
                self._asked.add(remote_id)
                self._start(self._ask(remote_id, asked))
        by_split: dict[str | None, list[Leased]] = {}
        for each in await self._without_skipped(leased):
            by_split.setdefault(each.split_id, []).append(each)
        for group in by_split.values():
            self._ready.extend(group[start : start + most] for start in range(0, len(group), most))
        if leased and not self._ready:
            # All of them ended without a request: others may be due.
            self._wake.set()
        return found

    async def _without_skipped(self, leased: Sequence[Leased]) -> list[Leased]:
        """End what cannot be told any more, by now."""
        assert self._destination is not None
        now_us = self._sender.now_us()
        kept, skipped = [], []
        for each in leased:
            try:
                reason = self._platform.skip_reason(self._destination, each.delivery, now_us)
            except Exception as error:
                _log.error("%s: %s", each.delivery.delivery_id, _without_values(error))
                reason = "internal_error"
            if reason is None:
                kept.append(each)
            else:
                delivery = each.delivery
                skipped.append(
                    (delivery.delivery_id, delivery.conversion_id, delivery.ordinal, "skipped", reason)
                )
        if skipped:
            self._sender.counts[self._key]["skipped"] += len(skipped)
            await self._sender.writer.do(lambda store: sends.end(store, self._key, skipped, now_us))
        return kept

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        self._wake.set()

    async def _send(self, batch: list[Leased]) -> None:
        destination, platform = self._destination, self._platform
        assert destination is not None
        exchange = _Exchange(self._sender, self._key, self._pace)
        deliveries = [each.delivery for each in batch]
        try:
            outcomes = await platform.send(destination, deliveries, exchange)
        except asyncio.CancelledError:
            self._book(self._returned(batch))
            raise
        except Exception as error:
            _log.error("%s: %s", "/".join(self._key), _without_values(error))
            outcomes = {
                each.delivery_id: Outcome("retry", "internal_error", type(error).__name__)
                for each in deliveries
            }
        self._book(self._booked(batch, outcomes, exchange.attempts, platform.most_at_once))

    async def _ask(self, remote_id: str, asked: list[tuple[Leased, int, int]]) -> None:
        destination, platform = self._destination, self._platform
        assert destination is not None
        exchange = _Exchange(self._sender, self._key, self._pace)
        batch = [each for each, _, _ in asked]
        outcomes: Mapping[str, Outcome] | None = None
        try:
            outcomes = await platform.check(
                destination, remote_id, [each.delivery for each in batch], exchange
            )
        except UndeliveredError:
            pass
        except Exception as error:
            _log.error("%s: %s", "/".join(self._key), _without_values(error))
        finally:
            if outcomes is None:
                self._book(self._asked_again(remote_id, asked, exchange.attempts))
            else:
                self._book(self._booked(batch, outcomes, exchange.attempts, 1, remote_id))

    def _book(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._bookings.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._bookings.discard(task)
            self._wake.set()

        task.add_done_callback(ended)

    async def _returned(self, batch: Sequence[Leased]) -> None:
        now_us = self._sender.now_us()
        with suppress(LandingError):
            await self._sender.writer.do(lambda store: sends.put_back(store, batch, now_us, True))

    async def _asked_again(
        self, remote_id: str, asked: Sequence[tuple[Leased, int, int]], attempts: Sequence[Attempt]
    ) -> None:
        now_us, schedule = self._sender.now_us(), self._schedule
        await self._surely(lambda store: sends.ask_again(store, self._key, asked, attempts, schedule, now_us))
        self._asked.discard(remote_id)

    async def _booked(
        self,
        batch: Sequence[Leased],
        outcomes: Mapping[str, Outcome],
        attempts: Sequence[Attempt],
        most_at_once: int,
        remote_id: str | None = None,
    ) -> None:
        """React to what came back, and book it; what cannot be booked is sent again."""
        try:
            await self._react_and_book(batch, outcomes, attempts, most_at_once)
        except Exception as error:
            _log.error("%s: %s", "/".join(self._key), _without_values(error))
            await self._returned(batch)
        finally:
            if remote_id is not None:
                self._asked.discard(remote_id)

    async def _react_and_book(
        self,
        batch: Sequence[Leased],
        outcomes: Mapping[str, Outcome],
        attempts: Sequence[Attempt],
        most_at_once: int,
    ) -> None:
        key, now_us, schedule = self._key, self._sender.now_us(), self._schedule
        was_open = self._state.breaker_us is not None
        said = list(outcomes.values())
        changes = self._react(said, now_us)
        batch_id = f"bat_{secrets.token_hex(8)}" if most_at_once > 1 else None

        def work(store: OutboxStore) -> Counter[str]:
            counts = sends.book(store, key, batch, outcomes, attempts, schedule, batch_id, now_us, was_open)
            for change in changes:
                change(store)
            return counts

        counts = await self._surely(work)
        if counts is not None:
            self._sender.counts[key].update(counts)
        if changes:
            self.wake()

    async def _surely(self, work: Callable[[OutboxStore], Any]) -> Any:
        """Write what has happened already, as often as it takes; None where another process took over."""
        while True:
            try:
                return await self._sender.writer.do(work)
            except LeaseLostError:
                return None
            except LandingError as error:
                if self._is_stopping:
                    return None
                _log.warning("%s: not booked yet: %s", "/".join(self._key), error)
                await asyncio.sleep(1.0)

    def _react(self, said: Sequence[Outcome], now_us: int) -> list[Callable[[OutboxStore], None]]:
        """How the destination goes on; returns what is to be written about that."""
        key, state = self._key, self._state
        changes: list[Callable[[OutboxStore], None]] = []
        paused = next((each for each in said if each.result == "pause"), None)
        if paused is not None:
            if not state.is_paused:
                _log.warning("%s: paused: %s %s", "/".join(key), paused.code, paused.text)
            reason = f"{paused.code} {paused.text}".strip()[:TEXT_BYTES]
            self._state = DestinationState(True, state.is_held)
            return [lambda store: write_pause(store, key, reason, now_us)]
        wait_s = min(max((each.wait_s or 0.0 for each in said), default=0.0), sends.MOST_WAIT_S)
        if wait_s:
            self._quiet_until_us = max(self._quiet_until_us, now_us + int(wait_s * 1e6))
        if any(each.is_fault for each in said if each.result == "retry"):
            self._faults += 1
            self._slots = max(1, self._slots // 2)
            if state.breaker_us is not None or self._faults >= BREAKER_FAULTS:
                changes.append(self._open_breaker(now_us))
        elif wait_s or any(each.status in _THROTTLES for each in said if each.result == "retry"):
            self._slots = max(1, self._slots // 2)
        elif said:
            self._slots = min(self._concurrency, self._slots + 1)
            if self._faults or state.breaker_us is not None:
                if state.breaker_us is not None:
                    _log.info("%s: answers again", "/".join(key))
                self._faults = 0
                self._slots = self._concurrency
                self._state = DestinationState(state.is_paused, state.is_held)
                changes += [
                    lambda store: write_breaker(store, key, None, None, 0),
                    lambda store: sends.hurry(store, key, now_us),
                ]
        return changes

    def _open_breaker(self, now_us: int) -> Callable[[OutboxStore], None]:
        state = self._state
        if state.breaker_us is None:
            _log.warning("%s: %d failures in a row; probing from now on", "/".join(self._key), self._faults)
        probes = state.probes + 1 if state.breaker_us is not None else 0
        wait_s = min(LAST_PROBE_S, FIRST_PROBE_S * math.pow(PROBE_GROWTH, min(probes, 20)))
        opened_us = state.breaker_us if state.breaker_us is not None else now_us
        probe_us = now_us + int(wait_s * 1e6)
        self._state = DestinationState(state.is_paused, state.is_held, opened_us, probe_us, probes)
        key = self._key
        return lambda store: write_breaker(store, key, opened_us, probe_us, probes)

    async def _pace(self) -> None:
        """Wait for the turn of a request, where the definition says how many there may be in a second."""
        per_second = self._destination.body.get("per_second") if self._destination else None
        if not per_second:
            return
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next_request)
        self._next_request = turn + 1 / float(per_second)
        if turn > now:
            await asyncio.sleep(turn - now)

    async def _put_back(self) -> None:
        """Give up what was leased and not sent."""
        if not self._ready:
            return
        unsent = [each for batch in self._ready for each in batch]
        self._ready.clear()
        now_us = self._sender.now_us()
        await self._sender.writer.do(lambda store: sends.put_back(store, unsent, now_us, False))


class _Exchange:
    """What a platform may use during one call."""

    def __init__(self, sender: Sender, key: DestinationKey, pace: Callable[[], Any]) -> None:
        self._sender = sender
        self._key = key
        self._pace = pace
        self.attempts: list[Attempt] = []

    async def send(self, message: Message, delivery_ids: Sequence[str]) -> Answer:
        """Send a request, and log it as an attempt of these deliveries. Raises UndeliveredError."""
        await self._pace()
        started_us = self._sender.now_us()
        try:
            answer = await self._sender.transport.send(message)
        except UndeliveredError as error:
            self._log(message, delivery_ids, started_us, error.milliseconds, None, error.code, str(error))
            raise
        body = answer.body.decode(errors="replace")
        self._log(message, delivery_ids, started_us, answer.milliseconds, answer.status, "", body)
        return answer

    def secret(self, name: str) -> str | None:
        """The destination's secret of this name, None where it is not set."""
        return self._sender.secret(self._key, name)

    def now_us(self) -> int:
        """Unix microseconds."""
        return self._sender.now_us()

    def _log(
        self,
        message: Message,
        delivery_ids: Sequence[str],
        started_us: int,
        milliseconds: int,
        status: int | None,
        code: str,
        said: str,
    ) -> None:
        if delivery_ids:
            said = redacted(said, message.secrets).replace("\0", " ")
            said = said.encode(errors="replace")[:ANSWER_BYTES].decode(errors="ignore")
            self.attempts.append(Attempt(delivery_ids, started_us, milliseconds, status, code, said))


def _without_values(error: Exception) -> str:
    """Where an error was raised; what it says may hold what somebody sent."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {where}"
