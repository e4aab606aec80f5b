"""Processor seconds of builds of what a single sender could make endless, beside builds of ordinary events.

Run it with `python -m benchmarks.poison`, or name kinds: `python -m benchmarks.poison refunds doubles`. The
events of each kind are sent over HTTP into a home of their own, built from nothing, and built again after one
event more. As many ordinary events (visitors with nine views and an order each) are built in another home:
what is printed is the ratio. Times are processor seconds of all processes of a build, which say the same on a
busy machine. A build that takes longer than `--seconds` of wall time is ended, and said not to end.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.invoices import two_free_ports
from command_line.processes import Processes
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing import open_store

Event = dict[str, Any]

PROJECT = "shop"
START_MS = 1_767_225_600_000
DAY_MS = 86_400_000
EVENTS_PER_REQUEST = 1_000
ONE_MORE: Event = {"event_type": "pageview", "anonymous_id": "x", "url": "https://shop.example/again"}


@dataclass(frozen=True)
class Kind:
    """What is sent: by a server, by a browser, and definitions by their addresses within the project."""

    by_server: Sequence[Event]
    by_browser: Sequence[Event] = ()
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events it has."""
        return len(self.by_server) + len(self.by_browser)


def ordinary(count: int) -> Kind:
    """Visitors with nine page views of one of three sources, and an order."""
    events = []
    for number in range(count):
        visitor, place = divmod(number, 10)
        at_ms = START_MS + visitor * 60_000 + place * 1_000
        if place < 9:
            source = {"utm_source": f"source-{visitor % 3}", "utm_medium": "cpc"}
            events.append(_view(f"visitor-{visitor}", at_ms, url=f"https://shop.example/{place}", **source))
        else:
            events.append(_order(f"visitor-{visitor}", f"order-{visitor}", at_ms, revenue=10))
    return Kind(events)


def wildcards() -> Kind:
    """A path that each star of a goal's wildcard could end at each letter of."""
    match = {"type": "url_path", "operator": "wildcard", "value": "/" + "*a" * 30 + "*b"}
    views = [_view("x", START_MS + n, url="https://shop.example/" + "a" * 400) for n in range(1_000)]
    return Kind(views, definitions={"goals/stars": {"match": match}})


def largest_amounts() -> Kind:
    """Conversions of the largest amount, in a currency of four decimals: their sum is beyond 64 bits."""
    return Kind([_order("x", None, START_MS, revenue=9_999_999_999.9999, currency="CLF")] * 93_000)


def refunds() -> Kind:
    """One sale, and its refunds in the order in which they happened."""
    return Kind([_order("x", "sale", START_MS, revenue=1_000), *_refunds(range(10_000))])


def refunds_backwards() -> Kind:
    """The same, each refund earlier than those that came before it, and more than there was to refund."""
    return Kind([_order("x", "sale", START_MS, revenue=1), *_refunds(range(10_000, 0, -1))])


def touches() -> Kind:
    """Views of one browser by many sources, and many conversions that all of them brought."""
    views = [
        _view("x", START_MS + n * 1_000, utm_source=f"source-{n % 10}", utm_campaign=f"campaign-{n}")
        for n in range(2_000)
    ]
    return Kind(views + [_order("x", f"order-{n}", START_MS + DAY_MS + n) for n in range(2_000)])


def pages() -> Kind:
    """Views of many pages in one session, and conversions that name one of them each."""
    views = [
        _view("x", START_MS + n, url=f"https://shop.example/{n}", visit_id=f"view-{n}", utm_source=f"s-{n}")
        for n in range(3_000)
    ]
    orders = [_order("x", f"order-{n}", START_MS + DAY_MS + n, visit_id=f"view-{n}") for n in range(3_000)]
    return Kind(views + orders)


def exposures() -> Kind:
    """One person's sessions in many experiments, and many conversions after them."""
    carried = {f"experiment-{n}": "b" for n in range(30)}
    views = [_view("x", START_MS + n, session_id=f"session-{n}", experiments=carried) for n in range(300)]
    return Kind(views + [_order("x", f"order-{n}", START_MS + DAY_MS + n) for n in range(3_000)])


def doubles() -> Kind:
    """Conversions of one person within a second, half of them by a browser without transaction."""
    by_browser = [_order("x", None, START_MS + n % 1_000, event_name="bought") for n in range(10_000)]
    by_server = [_order("x", f"order-{n}", START_MS + n % 1_000, revenue=2) for n in range(10_000)]
    return Kind(by_server, by_browser)


def chain() -> Kind:
    """Aliases, each of the user that the one before it named: one person of 100,001 ids."""
    return Kind([_alias(f"user-{n}", f"user-{n + 1}") for n in range(100_000)])


def visitor() -> Kind:
    """One browser that views a page each second for days, and comes back from another source each hour."""
    views = []
    for n in range(300_000):
        url = f"https://shop.example/{n % 50}"
        views.append(_view("x", START_MS + n * 1_000, url=url, utm_source=f"source-{n // 3_600}"))
    return Kind(views)


def goals() -> Kind:
    """1,000 goals, half of them alike, over ordinary events."""
    return replace(
        ordinary(10_000),
        definitions={
            f"goals/goal-{n}": {"match": {"type": "url_path", "operator": "prefix", "value": f"/{n % 500}"}}
            for n in range(1_000)
        },
    )


def funnels() -> Kind:
    """1,000 funnels over ordinary events, which all of them take."""
    steps = [
        {"name": "View", "match": {"type": "event_type", "value": "pageview"}},
        {"name": "Order", "match": {"type": "any_conversion"}},
    ]
    return replace(
        ordinary(10_000),
        definitions={f"funnels/funnel-{n}": {"name": str(n), "steps": steps} for n in range(1_000)},
    )


def sources() -> Kind:
    """5,000 sources, each of which brought a view of the same ten browsers, which order then and again."""
    views = [_view(f"x-{n % 10}", START_MS + n * 60_000, utm_source=f"source-{n}") for n in range(5_000)]
    orders = [_order(f"x-{n % 10}", f"order-{n}", START_MS + n * 600_000 + 1) for n in range(500)]
    return Kind(views + orders)


def one_order() -> Kind:
    """Orders of as many browsers under one transaction id: one cluster."""
    return Kind([_order(f"visitor-{n}", "order", START_MS + n * 1_000) for n in range(100_000)])


def one_session() -> Kind:
    """Views of as many browsers under one session id, and an order that names it: one cluster."""
    views = [_view(f"visitor-{n}", START_MS + n * 10, session_id="session") for n in range(300_000)]
    return Kind([*views, _order("visitor-1", "order", START_MS + DAY_MS, session_id="session")])


KINDS = {
    kind.__name__: kind
    for kind in (
        wildcards,
        largest_amounts,
        refunds,
        refunds_backwards,
        touches,
        pages,
        exposures,
        doubles,
        chain,
        visitor,
        goals,
        funnels,
        sources,
        one_order,
        one_session,
    )
}


def _view(visitor: str, at_ms: int, **more: Any) -> Event:
    return {"event_type": "pageview", "anonymous_id": visitor, "timestamp": at_ms, **more}


def _order(visitor: str, order: str | None, at_ms: int, **more: Any) -> Event:
    known = {"event_type": "conversion", "event_name": "order", "anonymous_id": visitor, "revenue": 1}
    return {**known, "transaction_id": order, "timestamp": at_ms, **more}


def _alias(before: str, user: str) -> Event:
    return {"event_type": "alias", "previous_id": before, "user_id": user}


def _refunds(seconds: Sequence[int]) -> list[Event]:
    sale = {"event_type": "refund", "anonymous_id": "x", "revenue": 0.01, "transaction_id": "sale"}
    return [{**sale, "timestamp": START_MS + DAY_MS + second * 1_000} for second in seconds]


class House:
    """A home and its ingest server, until left."""

    def __init__(self, home: Path, key: str, client: httpx.Client) -> None:
        self._home, self._client = home, client
        self._client.headers["Authorization"] = f"Bearer {key}"

    def send(self, kind: Kind) -> None:
        """Put the definitions and post the events. Raises httpx.HTTPStatusError when one is refused."""
        for address, definition in kind.definitions.items():
            self._client.put(address, json=definition).raise_for_status()
        for events, headers in ((kind.by_server, {}), (kind.by_browser, {"Origin": "https://shop.example"})):
            for batch in _batches(events):
                self._client.post("events", json=batch, headers=headers).raise_for_status()

    def build(self, seconds: float) -> float | None:
        """Processor seconds of a build; None where it had not ended after so many seconds.

        Raises SystemExit when it publishes nothing.
        """
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "benchmarks.builds", "--build", str(self._home)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        if '"failures": []' not in said:
            raise SystemExit(said)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for at in range(0, len(events), EVENTS_PER_REQUEST):
        yield events[at : at + EVENTS_PER_REQUEST]


@contextmanager
def house() -> Iterator[House]:
    """A house of its own, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        ingest_port, read_port = two_free_ports()
        settings = Settings(ingest_port=ingest_port, read_port=read_port).isolated(home)
        with closing(open_store(settings.landing_store)) as store:
            key = create_key(store, PROJECT, ["ingest", "admin"])
        url = f"{settings.ingest_base_url}/v1/projects/{PROJECT}/"
        with Processes(settings) as servers, httpx.Client(base_url=url, timeout=120) as client:
            servers.serve(log=home / "servers.log")
            yield House(home, key, client)


def measure(kind: Kind, seconds: float) -> list[float | None]:
    """Processor seconds from nothing and of one event more, and of as many ordinary events from nothing."""
    with house() as ours:
        ours.send(kind)
        taken = [ours.build(seconds)]
        if taken[0] is not None:
            ours.send(Kind([ONE_MORE]))
        taken.append(None if taken[0] is None else ours.build(seconds))
    with house() as theirs:
        theirs.send(ordinary(kind.events))
        taken.append(theirs.build(seconds))
    return taken


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="which to measure; all without any")
    parser.add_argument("--seconds", type=float, default=600, help="wall time after which a build is ended")
    arguments = parser.parse_args()
    print("| kind | events | from nothing s | ÷ ordinary | one event more s | ÷ ordinary | ordinary s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.kinds or KINDS:
        kind = KINDS[name]()
        first, second, twin = measure(kind, arguments.seconds)
        cells = []
        for took in (first, second):
            if took is None or twin is None:
                cells += ["did not end", "-"]
            else:
                cells += [f"{took:.1f}", f"{took / twin:.2f}"]
        ordinary_s = "-" if twin is None else f"{twin:.1f}"
        print(f"| {name} | {kind.events:,} | {' | '.join(cells)} | {ordinary_s} |", flush=True)


if __name__ == "__main__":
    main()
