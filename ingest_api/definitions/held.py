"""Definitions in memory, for what must know them at each request: the tracker's script, links.

A change is seen within a second, whichever process took it. What is held stays while the store is away.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import orjson

from funnelhouse.problems import Refusal
from ingest_api.definitions import versions
from ingest_api.landing_reader import LandingReader
from record.contract import DefinitionKind
from record.landing import Location
from record.landing.store import LandingStore

LOOK_SECONDS = 0.5
KIND_BYTES = 16 * 1024 * 1024
"""Of each kind of a project: definitions beyond, by their ids, are not held."""
HELD_BYTES = 64 * 1024 * 1024
"""Of all projects. Of more, those that were asked for longest ago are read again when they are."""

RECENT_IDS = 1000
"""PostgreSQL shows a commit with a higher id before one with a lower: so many are looked at again."""
PROJECT_BYTES = 1000
"""What a project takes besides its definitions' text."""

_HELD: tuple[DefinitionKind, ...] = tuple(
    kind for kind in get_args(DefinitionKind) if kind != "exchange_rates"
)
"""Exchange rates are large, and for the models alone."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What a project has defined: by kind and key the newest bodies, as they are stored."""

    bodies: Mapping[DefinitionKind, Mapping[str, dict[str, Any]]]
    size: int


class HeldDefinitions:
    """The running app's, in `app.state.definitions`. Belongs to the event loop; `follow` keeps it current."""

    def __init__(self, location: Location, most_bytes: int = HELD_BYTES) -> None:
        self._reader = LandingReader(location)
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, asyncio.Task[Held]] = {}
        self._recent_ids: frozenset[int] | None = None

    @property
    def held_projects(self) -> list[str]:
        """Those in memory, from the one that was asked for longest ago to the latest."""
        return list(self._held)

    def holds(self, project_id: str) -> bool:
        """Whether a project is in memory."""
        return project_id in self._held

    async def of(self, project_id: str) -> Held:
        """What a project has defined. Raises Refusal 503 where that was never read and cannot be now."""
        held = self._held.get(project_id)
        if held is None:
            return await self._load(project_id)
        self._held.move_to_end(project_id)
        return held

    async def follow(self) -> None:
        """Read what changes, a few times a second, until this is cancelled; at first all that has links."""
        wanted: set[str] = set()
        are_links_read = is_away = False
        while True:
            try:
                if not are_links_read:
                    wanted |= await self._reader.ask("", _with_links)
                    are_links_read = True
                wanted |= self._held.keys() & await self._reader.ask("", self._changed)
                for project_id in sorted(wanted):
                    # Read anew: what is being read already may have begun before the change.
                    await self._read(project_id)
                    wanted.discard(project_id)
                is_away = False
            except Refusal as refusal:
                if not is_away:
                    _log.warning("Definitions stay as they were read last: %s", refusal.detail)
                is_away = True
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._reader.close)

    async def _load(self, project_id: str) -> Held:
        """What is held once it is read; whoever asks meanwhile waits for the same reading."""
        task = self._loading.get(project_id)
        if task is None:
            task = self._loading[project_id] = asyncio.create_task(self._read(project_id))
            task.add_done_callback(lambda _: self._loading.pop(project_id))
        return await asyncio.shield(task)

    async def _read(self, project_id: str) -> Held:
        # One thread answers in the order of the questions, so that no older reading replaces a newer one.
        held = await self._reader.ask(project_id, lambda store: _read_held(store, project_id))
        before = self._held.pop(project_id, None)
        self._bytes += held.size - (before.size if before else 0)
        self._held[project_id] = held
        while self._bytes > self._most_bytes and len(self._held) > 1:
            _, forgotten = self._held.popitem(last=False)
            self._bytes -= forgotten.size
        return held

    def _changed(self, store: LandingStore) -> set[str]:
        """Projects of which something was defined since this was asked last; in the reader's thread."""
        looked_at = "SELECT id, project_id FROM definitions"
        if self._recent_ids is None:
            rows = store.query(f"{looked_at} ORDER BY id DESC LIMIT {RECENT_IDS}")
            changed = set(self._held)
        else:
            oldest = min(self._recent_ids) if len(self._recent_ids) == RECENT_IDS else 0
            rows = store.query(f"{looked_at} WHERE id >= ?", oldest)
            changed = {project_id for row_id, project_id in rows if row_id not in self._recent_ids}
        self._recent_ids = frozenset(sorted(row_id for row_id, _ in rows)[-RECENT_IDS:])
        return changed


def _read_held(store: LandingStore, project_id: str) -> Held:
    bodies: dict[DefinitionKind, dict[str, dict[str, Any]]] = {}
    for kind in _HELD:
        found, _ = versions.page_of(store, project_id, kind, "", KIND_BYTES)
        bodies[kind] = {key: version.body for key, version in found.items() if version.body is not None}
    return Held(bodies, PROJECT_BYTES + sum(len(orjson.dumps(found)) for found in bodies.values()))


def _with_links(store: LandingStore) -> set[str]:
    return {
        project_id
        for (project_id,) in store.query("SELECT DISTINCT project_id FROM definitions WHERE kind = 'link'")
    }
