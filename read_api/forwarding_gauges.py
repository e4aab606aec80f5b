"""How telling destinations goes, as metrics of the read API: what waits, what is held, and what fails.

As those of the house, they are looked up no more often than every few seconds, and have no sample while the
outbox cannot be read, or is not there.
"""

import threading
import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from forwarding.outbox import reading
from funnelhouse.gauges import LOOK_SECONDS
from funnelhouse.problems import Refusal
from read_api.forwarded import Forwarded

OUTCOMES = ("2xx", "3xx", "4xx", "5xx", "no_answer")

_DESCRIPTIONS = {
    "deliveries_waiting": "Deliveries to be sent, or sent again; 100,000 at most.",
    "oldest_waiting_delivery_age_seconds": "Since the oldest of them was planned; 0 when none waits.",
    "deliveries_held": "Deliveries that wait for `funnelhouse destinations release`; 100,000 at most.",
    "destinations_paused": "Destinations to which nothing is sent until they are resumed.",
    "destinations_failing": "Destinations that failed so often in a row that they are asked once in a while.",
    "conversions_told_differently": "Conversions that destinations know otherwise than they were published, "
    "though nothing waits, died, or cannot be told: should be 0.",
}
_ATTEMPTS = "Requests to destinations in the last 24 hours, by what was answered."


class ForwardingGauges(Collector):
    """The gauges of one home's outbox; safe to share between threads."""

    def __init__(self, forwarded: Forwarded) -> None:
        self._forwarded = forwarded
        self._lock = threading.Lock()
        self._seen: reading.Totals | None = None
        self._seen_at = 0.0
        self._seen_until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges that can be told now."""
        found = self._totals()
        if found is None:
            return
        oldest_us = found.oldest_waiting_us
        values = {
            "deliveries_waiting": found.waiting,
            "oldest_waiting_delivery_age_seconds": 0.0
            if oldest_us is None
            else max(0.0, self._seen_at - oldest_us / 1e6),
            "deliveries_held": found.held,
            "destinations_paused": found.paused,
            "destinations_failing": found.failing,
            "conversions_told_differently": found.told_differently,
        }
        for name, value in values.items():
            yield GaugeMetricFamily(f"funnelhouse_{name}", _DESCRIPTIONS[name], float(value))
        attempts = GaugeMetricFamily("funnelhouse_delivery_attempts_1d", _ATTEMPTS, labels=["outcome"])
        for outcome in OUTCOMES:
            attempts.add_metric([outcome], float(found.attempts.get(outcome, 0)))
        yield attempts

    def _totals(self) -> reading.Totals | None:
        # While somebody looks, others are told what was seen before: they hold no thread meanwhile.
        if time.monotonic() >= self._seen_until and self._lock.acquire(blocking=False):
            try:
                self._seen_at = time.time()
                self._seen = self._look(int(self._seen_at * 1e6))
                self._seen_until = time.monotonic() + LOOK_SECONDS
            finally:
                self._lock.release()
        return self._seen

    def _look(self, now_us: int) -> reading.Totals | None:
        try:
            with self._forwarded.outbox() as store:
                return None if store is None else reading.totals(store, now_us)
        except Refusal:
            return None
