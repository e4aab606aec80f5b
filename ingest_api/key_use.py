"""When keys were last used, to the hour.

Who calls is noted in memory, and written beside the requests: of each key and hour once by each process. A
process that is killed loses what it noted in its last seconds.
"""

import asyncio
import logging
import time

from funnelhouse.keys import note_use
from funnelhouse.problems import Refusal
from ingest_api.landing_reader import LandingWriter

HOUR_US = 3_600_000_000
WRITE_SECONDS = 2.0

_log = logging.getLogger(__name__)


class KeyUse:
    """The running process's notes. Belongs to the event loop."""

    def __init__(self) -> None:
        self._hour_us = 0
        self._noted: set[str] = set()
        self._unwritten: dict[str, int] = {}

    def note(self, key_id: str) -> None:
        """A request of this key is let in now."""
        hour_us = time.time_ns() // 1000 // HOUR_US * HOUR_US
        if hour_us != self._hour_us:
            self._hour_us = hour_us
            self._noted.clear()
        if key_id not in self._noted:
            self._noted.add(key_id)
            self._unwritten[key_id] = hour_us

    async def write(self, writer: LandingWriter) -> None:
        """Write what was not written yet; where the store does not take it, it waits for the next time."""
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return
        try:
            await writer.ask("", lambda store: note_use(store, unwritten))
        except Refusal as refusal:
            _log.warning("Times at which keys were used wait: %s", refusal.detail)
            self._unwritten = unwritten | self._unwritten


async def write_key_use(use: KeyUse, writer: LandingWriter) -> None:
    """Write what is noted every few seconds, until this is cancelled, and then the rest."""
    try:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await use.write(writer)
    except asyncio.CancelledError:
        await use.write(writer)
        raise
