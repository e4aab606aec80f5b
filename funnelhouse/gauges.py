"""How the house does, as metrics of both APIs: how old figures are, what waits, and what runs out.

They are looked up when somebody asks, but no more often than every few seconds, and each look-up is small,
however much there is. What cannot be read has no sample: an alert on `absent(…)` sees it.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from funnelhouse.last_build import read_last_build
from funnelhouse.settings import Settings
from publication.layout import read_published
from record.contract import DAY_US
from record.landing import open_existing
from record.landing.store import LandingError, LandingStore

LOOK_SECONDS = 5.0
"""So long the last look is good enough: metrics need no key, and anybody could ask without end."""

_DESCRIPTIONS = {
    "publication_age_seconds": "Since what readers see was published.",
    "last_build_succeeded": "1 when the last build was published, 0 when it failed.",
    "last_build_duration_seconds": "Wall time of the last build.",
    "last_build_end_timestamp_seconds": "When the last build ended, Unix time.",
    "oldest_unpublished_event_age_seconds": "Since the oldest event arrived that readers do not see yet; 0 "
    "when there is none.",
    "unpublished_events": "Events that readers do not see yet; of unsealed ones 100,000 at most.",
    "unsealed_rows": "Rows that are in the landing store only; of each table, 100,000 at most.",
    "home_free_bytes": "Free space where the home folder lies.",
    "next_key_end_days": "Until the first of the keys that hold now ends.",
}


class HouseGauges(Collector):
    """The gauges of one home and its landing store; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: LandingStore | None = None
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._seen_until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges that can be told now."""
        for name, value in self._values().items():
            yield GaugeMetricFamily(f"funnelhouse_{name}", _DESCRIPTIONS[name], value)

    def _values(self) -> dict[str, float]:
        # While somebody looks, others are told what was seen before: they hold no thread meanwhile.
        if time.monotonic() >= self._seen_until and self._lock.acquire(blocking=False):
            try:
                self._seen = self._look(time.time())
                self._seen_until = time.monotonic() + LOOK_SECONDS
            finally:
                self._lock.release()
        return self._seen

    def _look(self, now: float) -> dict[str, float]:
        """Values by name, at `now` in Unix seconds; without those that cannot be told."""
        found: dict[str, float] = {}
        published = read_published(self._settings.published_dir)
        if published is not None:
            found["publication_age_seconds"] = max(0.0, now - published.published_at.timestamp())
        last = read_last_build(self._settings.last_build_path)
        if last is not None:
            found["last_build_succeeded"] = float(last.outcome == "published")
            found["last_build_duration_seconds"] = last.seconds
            found["last_build_end_timestamp_seconds"] = last.ended_us / 1e6
        with suppress(OSError):
            found["home_free_bytes"] = float(shutil.disk_usage(self._settings.home_dir).free)
        to_seq = published.to_seq if published is not None else 0
        return {**found, **self._look_at_landing(int(now * 1e6), to_seq)}

    def _look_at_landing(self, now_us: int, to_seq: int | None) -> dict[str, float]:
        try:
            if self._store is None:
                self._store = open_existing(self._settings.landing_store)
            if self._store is None:
                return {}
            found: dict[str, float] = {}
            events = self._store.backlog("events", to_seq or 0)
            others = [self._store.backlog(table, 0) for table in ("definitions", "costs")]
            found["unsealed_rows"] = float(sum(each.unsealed_rows for each in (events, *others)))
            if to_seq is not None:
                oldest_us = now_us if events.oldest_us is None else events.oldest_us
                found["oldest_unpublished_event_age_seconds"] = max(0.0, (now_us - oldest_us) / 1e6)
                found["unpublished_events"] = float(events.rows)
            ((ends_us,),) = self._store.query("SELECT min(expires_us) FROM keys WHERE expires_us > ?", now_us)
            if ends_us is not None:
                found["next_key_end_days"] = (ends_us - now_us) / DAY_US
            return found
        except LandingError:
            if self._store is not None:
                with suppress(LandingError):
                    self._store.close()
                self._store = None
            return {}
