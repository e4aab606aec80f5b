"""The process that forwards: follows publications, definitions and wishes, plans, and sends.

One process at a time, by the outbox's lease; another waits. It looks a few times a second, and costs next to
nothing while nothing happens. As long as no destination was ever defined, it makes no outbox.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb

from forwarding.defined import Defined, has_destinations, read_defined, version_of_defined
from forwarding.deliveries import Platform
from forwarding.outbox import sends
from forwarding.outbox.installation import claim_outbox, installation_of, is_dev_home, make_row
from forwarding.outbox.retention import forget
from forwarding.outbox.schema import DestinationKey
from forwarding.outbox.states import read_states
from forwarding.outbox.store import LEASE_S, Lease, LeaseLostError, OutboxStore, open_outbox
from forwarding.outbox.wishes import carry_out
from forwarding.planning import Planned, Planner
from forwarding.publications import facts_of, newest_publication, version_of_published
from forwarding.sending import Sender, Transport
from forwarding.writer import Writer
from funnelhouse.settings import Settings
from record.landing import Location, open_existing
from record.landing.store import LandingError, LandingStore
from record.wishes import Wish, wishes_after

LOOK_S = 0.5
GRACE_S = 5.0
"""How long requests that were begun may take to end when the process is asked to end."""

WAIT_FOR_LEASE_S = 1.0
FORGET_EVERY_S = 3600.0
RETRY_PLAN_S = 10.0

_log = logging.getLogger("funnelhouse.forward")

_NOTHING = Defined({}, {}, ())


class ForwardError(Exception):
    """It cannot forward; the message says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one round ended. `counts`: of what was sent; `states`: what is in the outbox by now."""

    counts: Mapping[DestinationKey, Counter[str]]
    states: Mapping[DestinationKey, Mapping[str, int]]
    stopped: Mapping[DestinationKey, str]
    """Destinations that don't send, and why."""

    @property
    def is_well(self) -> bool:
        """Whether everything arrived that was due."""
        failed = ("retrying", "dead")
        return not self.stopped and not any(
            counts[state] for counts in self.counts.values() for state in failed
        )


class Service:
    """Forwards for one home. `now_us` is the clock; `platforms` and `transport` are made in the loop."""

    def __init__(
        self,
        settings: Settings,
        make_transport: Callable[[], Any],
        make_platforms: Callable[[], Mapping[str, Platform]],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        lease_s: float = LEASE_S,
    ) -> None:
        self._settings = settings
        self._make_transport = make_transport
        self._make_platforms = make_platforms
        self._now_us = now_us
        self._location: Location = settings.landing or settings.outbox_path
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._lease = Lease(self.owner, self._location, lease_s)
        self._stop = asyncio.Event()
        self._landing = _Landing(settings)
        self._defined = _NOTHING
        self._planner: Planner | None = None
        self._sender: Sender | None = None
        self._planned_for: tuple[object, ...] | None = None
        self._plan_again_at = 0.0
        self._last_wish: int | None = None

    def stop(self) -> None:
        """End soon; may be called again."""
        self._stop.set()
        if self._planner is not None:
            self._planner.stop()

    def wake(self) -> None:
        """Let every destination look whether something is due: for whoever moves the clock."""
        if self._sender is not None:
            self._sender.wake()

    async def run(self) -> None:
        """Forward until it is stopped."""
        said = ""
        try:
            while not self._stop.is_set():
                try:
                    await self._with_lease(is_once=False)
                    said = ""
                except LeaseLostError:
                    _log.warning("Another process forwards now; waiting.")
                except (LandingError, OSError) as error:
                    # Once: it may be so for hours.
                    if str(error) != said:
                        said = str(error)
                        _log.warning("Waiting: %s", said)
                    await self._pause(WAIT_FOR_LEASE_S)
        finally:
            await self._landing.close()

    async def run_once(self) -> Ended | None:
        """Plan, send what is due, and end; None when there is nothing to forward.

        Raises ForwardError while another process forwards, LandingError, duckdb.Error.
        """
        try:
            return await self._with_lease(is_once=True)
        finally:
            await self._landing.close()

    async def _with_lease(self, is_once: bool) -> Ended | None:
        """Wait for destinations, then for the lease; forward as long as it is held."""
        seen: object = None
        while True:
            version = await self._landing.ask(version_of_defined, default=None)
            if version != seen and await self._landing.ask(has_destinations, default=False):
                break
            seen = version
            if is_once or await self._pause(2 * LOOK_S):
                return None
        store = await asyncio.to_thread(open_outbox, self._location)
        is_held = False
        try:
            await asyncio.to_thread(make_row, store, installation_of(self._settings), self._now_us())
            is_held = await self._take_lease(store, is_once)
            if not is_held:
                return None
            self._defined = await self._read_defined()
            if claimed := await asyncio.to_thread(self._claim, store):
                names = ", ".join("/".join(key) for key in claimed)
                _log.warning(
                    "This outbox is a copy, or was moved: held until `destinations release`: %s", names
                )
            return await self._forward(store, is_once)
        finally:
            if is_held:
                await asyncio.to_thread(self._lease.give_back, store)
            await asyncio.to_thread(store.close)

    def _claim(self, store: OutboxStore) -> list[DestinationKey]:
        with self._lease.transaction(store):
            return claim_outbox(
                store, installation_of(self._settings), self._defined.destinations, self._now_us()
            )

    async def _take_lease(self, store: OutboxStore, is_once: bool) -> bool:
        is_said = False
        while not await asyncio.to_thread(self._lease.take, store):
            if is_once:
                raise ForwardError("Another process forwards for this home, such as `funnelhouse up`.")
            if not is_said:
                _log.info("Another process forwards; waiting.")
                is_said = True
            if await self._pause(WAIT_FOR_LEASE_S):
                return False
        return True

    async def _forward(self, planning_store: OutboxStore, is_once: bool) -> Ended | None:
        writer = Writer(lambda: open_outbox(self._location), self._lease)
        platforms = self._make_platforms()
        self._planner = Planner(planning_store, self._lease)
        self._planned_for = self._last_wish = None
        async with self._make_transport() as transport:
            sender = self._sender = self._made_sender(writer, platforms, transport, is_once)
            work: list[asyncio.Task[None]] = []
            try:
                await writer.do(lambda store: sends.take_up(store, self.owner, self._now_us()))
                await self._carry_out(writer)
                await self._configure(writer, sender)
                if is_once:
                    await self._plan(platforms, writer, sender, is_once=True)
                    sender.wake()
                    await self._first(sender.drain(), self._stop.wait())
                    return await self._ended(writer, sender)
                work = [
                    asyncio.create_task(self._follow_definitions(writer, sender)),
                    asyncio.create_task(self._follow_publications(platforms, writer, sender)),
                    asyncio.create_task(self._keep(writer)),
                ]
                await self._first(self._stop.wait(), *work)
                return None
            finally:
                self._planner.stop()
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                await sender.stop(GRACE_S)
                self._sender = None
                await writer.close()

    def _made_sender(
        self, writer: Writer, platforms: Mapping[str, Platform], transport: Transport, is_once: bool
    ) -> Sender:
        lease_us = self._lease.lease_us
        return Sender(writer, self.owner, platforms, transport, self._now_us, lease_us, is_once)

    async def _first(self, *works: Any) -> None:
        """Return when the first of these ends; raises what it raises."""
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_definitions(self, writer: Writer, sender: Sender) -> None:
        """Take over definitions, secrets and wishes as they come."""
        seen: object = None
        while True:
            version = await self._landing.ask(version_of_defined, default=seen)
            is_changed = version != seen
            if is_changed:
                self._defined = await self._read_defined()
                seen = version
            if await self._carry_out(writer) or is_changed:
                await self._configure(writer, sender)
            if (failure := sender.failure()) is not None:
                raise failure
            await asyncio.sleep(LOOK_S)

    async def _follow_publications(
        self, platforms: Mapping[str, Platform], writer: Writer, sender: Sender
    ) -> None:
        while True:
            if time.monotonic() >= self._plan_again_at:
                await self._plan(platforms, writer, sender)
            await asyncio.sleep(LOOK_S)

    async def _keep(self, writer: Writer) -> None:
        """Renew leases, take up those of lost processes, and forget what is old."""
        forget_at = time.monotonic() + 60
        while True:
            await asyncio.sleep(self._lease.lease_us / 3e6)
            now_us = self._now_us()

            def renew(store: OutboxStore, now_us: int = now_us) -> None:
                sends.renew(store, self.owner, now_us + self._lease.lease_us)
                sends.take_up(store, self.owner, now_us)

            try:
                await writer.do(renew)
                if time.monotonic() >= forget_at:
                    forget_at = time.monotonic() + FORGET_EVERY_S
                    while await writer.do(partial(forget, now_us=now_us)):
                        await asyncio.sleep(0.1)
            except LeaseLostError:
                raise
            except LandingError as error:
                _log.warning("The outbox cannot be written: %s", error)

    async def _plan(
        self, platforms: Mapping[str, Platform], writer: Writer, sender: Sender, is_once: bool = False
    ) -> None:
        """Plan the newest publication, unless that was done for these very definitions."""
        destinations = self._defined.destinations
        versions = tuple(sorted((key, each.version) for key, each in destinations.items()))
        wanted = (version_of_published(self._settings.published_dir), versions)
        if wanted == self._planned_for or self._planner is None:
            return
        found = newest_publication(self._settings.published_dir)
        if found is None:
            self._planned_for = wanted
            return
        folder, published = found
        published_us = int(published.published_at.timestamp() * 1e6)
        try:
            planned = await asyncio.to_thread(
                self._planner.plan,
                folder,
                published.build_id,
                published_us,
                destinations,
                platforms,
                self._now_us(),
            )
        except (duckdb.Error, OSError) as error:
            if not folder.exists():
                # Pruned while it was read: there is a newer one.
                return
            if is_once:
                raise
            said = str(error).partition("\n")[0]
            _log.error("Build %s cannot be read: %s", published.build_id, said)
            self._plan_again_at = time.monotonic() + RETRY_PLAN_S
            return
        self._planned_for = wanted
        for each in planned:
            _log.info("%s", _said(published.build_id, each))
        await self._configure(writer, sender)

    async def _carry_out(self, writer: Writer) -> bool:
        """Carry out what was wished since; says whether there was anything."""
        last_id = self._last_wish
        if last_id is None:
            last_id = await writer.do(_last_wish)
        wishes = await self._landing.ask(lambda store: wishes_after(store, last_id), default=[])
        self._last_wish = last_id
        for wish in wishes:
            said = await writer.do(partial(self._do, wish))
            self._last_wish = wish.id
            if said:
                _log.info("Wish %d: %s", wish.id, said)
        return bool(wishes)

    def _do(self, wish: Wish, store: OutboxStore) -> str:
        return carry_out(store, wish, self._fresh, self._now_us())

    def _fresh(self, key: DestinationKey, conversion_ids: list[str]) -> Mapping[str, dict[str, Any]]:
        found = newest_publication(self._settings.published_dir)
        return {} if found is None else facts_of(found[0], key, conversion_ids)

    async def _read_defined(self) -> Defined:
        keys = self._settings.secret_keys
        defined: Defined = await self._landing.ask(
            lambda store: read_defined(store, keys), default=self._defined
        )
        for said in set(defined.unreadable) - set(self._defined.unreadable):
            _log.warning("%s", said)
        return defined

    async def _configure(self, writer: Writer, sender: Sender) -> None:
        states = await writer.do(read_states)
        sender.configure(self._defined.destinations, states, self._defined.secrets)

    async def _ended(self, writer: Writer, sender: Sender) -> Ended:
        def read(store: OutboxStore) -> dict[DestinationKey, dict[str, int]]:
            found: dict[DestinationKey, dict[str, int]] = {}
            for project_id, destination_id, state, count in store.query(
                "SELECT project_id, destination_id, state, count(*) FROM deliveries"
                " GROUP BY project_id, destination_id, state"
            ):
                found.setdefault((project_id, destination_id), {})[state] = count
            return found

        states = await writer.do(read_states)
        stopped = {}
        for key, destination in self._defined.destinations.items():
            state = states.get(key)
            if destination.body["is_active"] and state is not None:
                for is_so, word in ((state.is_paused, "paused"), (state.is_held, "held")):
                    if is_so:
                        stopped[key] = word
        return Ended(sender.counts, await writer.do(read), stopped)

    async def _pause(self, seconds: float) -> bool:
        """Wait; says whether it is to end meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()


def _last_wish(store: OutboxStore) -> int:
    ((wish_id,),) = store.query("SELECT wish_id FROM outbox WHERE id = 1")
    return int(wish_id)


class _Landing:
    """The landing store, read in threads; while it is away, what was read last holds."""

    def __init__(self, settings: Settings) -> None:
        self._location = settings.landing_store
        self._store: LandingStore | None = None
        self._lock = threading.Lock()
        self._is_away = False

    async def ask(self, work: Callable[[LandingStore], Any], default: Any) -> Any:
        """What `work` reads; `default` while there is no store, or it cannot be read."""
        return await asyncio.to_thread(self._ask, work, default)

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._close)

    def _ask(self, work: Callable[[LandingStore], Any], default: Any) -> Any:
        with self._lock:
            try:
                if self._store is None:
                    self._store = open_existing(self._location)
                if self._store is None:
                    return default
                found = work(self._store)
                self._is_away = False
                return found
            except LandingError as error:
                if not self._is_away:
                    _log.warning("Definitions stay as they were read last: %s", error)
                self._is_away = True
                self._forget()
                return default

    def _close(self) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._store is not None:
            with suppress(LandingError):
                self._store.close()
            self._store = None


def made_service(settings: Settings) -> Service:
    """The service of a home, with the real platforms. Raises ForwardError for a home to edit in."""
    from forwarding.platforms import PLATFORMS
    from forwarding.transport import Transport as Guarded

    if is_dev_home(settings):
        raise ForwardError("A home to edit in never sends.")
    return Service(
        settings,
        lambda: Guarded(settings),
        lambda: {kind: make(settings) for kind, make in PLATFORMS.items()},
    )


def forward(settings: Settings) -> None:
    """Forward until SIGTERM or Ctrl-C. Raises ForwardError."""

    async def run() -> None:
        service = made_service(settings)
        _stop_at_signals(service)
        await service.run()

    asyncio.run(run())


def forward_once(settings: Settings) -> Ended | None:
    """Plan and send what is due. Raises ForwardError, LandingError, duckdb.Error."""

    async def run() -> Ended | None:
        service = made_service(settings)
        _stop_at_signals(service)
        return await service.run_once()

    return asyncio.run(run())


def _stop_at_signals(service: Service) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.stop)


def _said(build_id: str, planned: Planned) -> str:
    said = f"{'/'.join(planned.key)}: planned {planned.deliveries} of build {build_id}"
    for count, word in (
        (planned.held, "held"),
        (planned.skipped, "skipped"),
        (planned.cancelled, "cancelled"),
    ):
        if count:
            said += f", {count} {word}"
    return said
