"""Forwarding: how fast a publication is planned, and how fast that is told; prints markdown tables.

Run it with `python -m benchmarks.forwarding`. Each case has a home and a process of its own, whose peak
memory is told. Measured are:

- planning a publication against a million conversions that were told: nothing new, 10,000 new, 100,000
  changed; the divisor is the processor's time for reading keys and fingerprints of both sides;
- sending to a local receiver, a process on the same cores: webhooks and postbacks, whose divisor is as many
  requests through the guarded transport without an outbox, and Meta and Google in batches;
- how long nobody forwards after a process was killed, with SQLite.
"""

import argparse
import asyncio
import base64
import multiprocessing
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import orjson

from forwarding.deliveries import Destination, Message, Platform
from forwarding.outbox.installation import installation_of, make_row
from forwarding.outbox.store import Lease, open_existing_outbox, open_outbox
from forwarding.planning import Planner
from forwarding.platforms import PLATFORMS
from forwarding.service import forward_once
from forwarding.transport import Transport
from funnelhouse.settings import Settings
from ingest_api.definitions.destination import DESTINATIONS, read_destination
from publication.layout import BUILD_FILE, MARTS_FILE, new_build_id
from publication.publishing import point_current_at
from record.contract import Definition, row_values
from record.landing import open_store
from record.secrets import new_secret_key, set_secret

PROJECT = "bench"

KINDS: Mapping[str, Mapping[str, Any]] = {
    "webhook": {"url": "{receiver}/webhook"},
    "postback": {"url": "{receiver}/postback?cid={external}&payout={payout}&tx={tx}", "allow_http": True},
    "meta": {"dataset_id": "1234567890"},
    "google": {"account_id": "1234567890", "conversion_action_id": "987654321"},
}

SECRETS = {
    "webhook": {"signing_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()},
    "postback": {},
    "meta": {"access_token": "EAAB-benchmark"},
    "google": {"client_id": "id", "client_secret": "secret", "refresh_token": "token"},
}

_HASH = "sha256('person' || n)"

FORWARDINGS = f"""
create table fct_forwardings as select
    '{PROJECT}/{{key}}/c' || n as forwarding_id, '{{key}}' as destination_id,
    1::bigint as destination_version,
    '{{kind}}' as destination_kind, 'conversion-' || lpad(n::varchar, 20, '0') as conversion_id,
    '{PROJECT}' as project_id, 'person-' || n as person_id, true as is_wanted,
    null::varchar as not_wanted_reason, 'purchase' as name, null::varchar as goal_id,
    'Purchase' as event_name,
    now()::timestamp - interval 1 hour as occurred_at, now()::timestamp - interval 50 minute as learnt_at,
    now()::timestamp - interval 50 minute as approved_at, 'approved' as state,
    (1000 + n % 997)::bigint as value_minor,
    'USD' as currency, 'order-' || n as dedup_id, 'order-' || n as transaction_id, 'server' as sender,
    true as is_forwardable, 'session' as matched_by, 'hit-' || n as hit_id, 'session-' || n as session_id,
    'visitor-' || n as visitor_id, 'user-' || n as user_id, 'google' as source, 'cpc' as medium,
    'spring' as campaign, null::varchar as content, null::varchar as term, 'thanks' as page_id,
    'offer' as page_kind, 'Cj0KCQ' || n as click_id, 'gclid' as click_id_type,
    'click-' || n as external_click_id,
    now()::timestamp - interval 2 hour as clicked_at, 'https://shop.example/spring' as landing_url,
    'https://shop.example/thanks' as event_url,
    'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' as user_agent,
    'DE' as country, '["' || {_HASH} || '"]' as em_meta, '["' || {_HASH} || '"]' as em_google,
    null::varchar as ph_meta, null::varchar as ph_google, null::varchar as hashes, null::varchar as plain,
    null::varchar as custom_data, '["user-' || n || '"]' as external_ids, 'granted' as consent_ads,
    md5('approved' || n % 997) as fingerprint
from range({{rows}}) as numbers (n)
"""


class Home:
    """A home with one destination and publications by hand."""

    def __init__(self, folder: str, kind: str, receiver: str = "", concurrency: int = 8) -> None:
        self.kind = kind
        key = new_secret_key("bench")
        place = receiver.removeprefix("http://")
        os.environ |= {
            "FUNNELHOUSE_HOME": folder,
            "FUNNELHOUSE_LANDING": "",
            "FUNNELHOUSE_SECRET_KEYS": key,
            "FUNNELHOUSE_FORWARD_ALLOW": place,
            "FUNNELHOUSE_META_URL": receiver or "https://graph.facebook.com",
            "FUNNELHOUSE_GOOGLE_URL": receiver or "https://datamanager.googleapis.com",
            "FUNNELHOUSE_GOOGLE_TOKEN_URL": f"{receiver}/token"
            if receiver
            else "https://oauth2.googleapis.com/token",
        }
        self.settings = Settings()
        self.settings.home_dir.mkdir(parents=True, exist_ok=True)
        members = {
            name: value.replace("{receiver}", receiver or "https://receiver.example")
            if isinstance(value, str)
            else value
            for name, value in KINDS[kind].items()
        }
        said = {"name": kind, "kind": kind, "is_active": True, "concurrency": concurrency, **members}
        self.body = DESTINATIONS.stored(read_destination(said))
        with closing(open_store(self.settings.landing_store)) as store:
            row = Definition(
                project_id=PROJECT,
                kind="destination",
                key=kind,
                received_us=1,
                body=orjson.dumps(self.body).decode(),
            )
            store.append([("definitions", [row_values(Definition)(row)])])
            for name, value in SECRETS[kind].items():
                set_secret(store, self.settings.secret_keys, (PROJECT, kind, name), value)
        self.destination = Destination(PROJECT, kind, 1, self.body)

    def publish(self, rows: int, change: str = "") -> Path:
        """Publish so many forwardings; `change` is SQL that alters them."""
        now = datetime.now(UTC)
        folder = self.settings.published_dir / new_build_id(now)
        folder.mkdir(parents=True)
        with duckdb.connect(str(folder / MARTS_FILE)) as marts:
            marts.execute(FORWARDINGS.format(key=self.kind, kind=self.kind, rows=rows))
            if change:
                marts.execute(change)
            marts.execute("checkpoint")
        said = {"build_id": folder.name, "published_at": now.isoformat(), "marts": {"fct_forwardings": rows}}
        (folder / BUILD_FILE).write_bytes(orjson.dumps(said))
        point_current_at(self.settings.published_dir, folder.name)
        return folder


@dataclass(frozen=True)
class Planning:
    """What a plan took: seconds, of the processor too, and the peak memory of its process in MB.

    `reading` is the processor's time to read both sides, and do nothing with them.
    """

    seconds: float
    processor: float
    reading: float
    peak_mb: float


CASES = {
    "nothing new": (0, ""),
    "10,000 new": (10_000, ""),
    "100,000 changed": (
        10_000,
        "update fct_forwardings set fingerprint = md5(fingerprint) where conversion_id <= "
        "(select conversion_id from fct_forwardings order by conversion_id limit 1 offset 100000)",
    ),
}
"""By name the conversions that are new, and what has changed of the others."""


def planning(rows: int) -> Iterator[tuple[str, Planning]]:
    """Each case in turn, against so many conversions that were told."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(f"{folder}/home", "webhook")
        _in_child(lambda: _prepare(home, rows))
        for name, (new, change) in CASES.items():
            published = _in_child(partial(home.publish, rows + new, change))
            reading = _in_child(lambda: _read(home, published))  # noqa: B023 (called at once)
            seconds, processor, peak_mb = _in_child(lambda: _plan(home, published))  # noqa: B023
            yield name, Planning(seconds, processor, reading, peak_mb)


def _read(home: Home, folder: Path) -> float:
    began = time.process_time()
    with closing(open_outbox(home.settings.outbox_path)) as store:
        store.query("SELECT conversion_id, planned_fingerprint, fingerprint FROM told")
    with duckdb.connect(str(folder / MARTS_FILE), read_only=True) as marts:
        marts.execute("select conversion_id, fingerprint from fct_forwardings").to_arrow_table()
    return time.process_time() - began


def _prepare(home: Home, rows: int) -> None:
    folder = home.publish(rows)
    with closing(open_outbox(home.settings.outbox_path)) as store:
        make_row(store, installation_of(home.settings), 1)
        with duckdb.connect(str(folder / MARTS_FILE), read_only=True) as marts, store.transaction():
            told = marts.execute(
                "select conversion_id,"
                " md5('approved' || regexp_extract(conversion_id, '[0-9]+')::bigint % 997)"
                " from fct_forwardings order by conversion_id"
            )
            while chunk := told.fetchmany(50_000):
                store.execute_many(
                    "INSERT INTO told (project_id, destination_id, conversion_id, ordinal, fingerprint,"
                    " state, value_minor, currency, told_us, planned_ordinal, planned_fingerprint)"
                    f" VALUES ('{PROJECT}', 'webhook', ?, 1, ?, 'approved', 1000, 'USD', 1, 1, ?)",
                    [(key, fingerprint, fingerprint) for key, fingerprint in chunk],
                )


def _platforms(settings: Settings) -> dict[str, Platform]:
    return {kind: make(settings) for kind, make in PLATFORMS.items()}


def _plan(home: Home, folder: Path) -> tuple[float, float, float]:
    store = open_outbox(home.settings.outbox_path)
    lease = Lease("bench", home.settings.outbox_path)
    assert lease.take(store)
    platforms = _platforms(home.settings)
    destinations = {(PROJECT, "webhook"): home.destination}
    began, began_processor = time.perf_counter(), time.process_time()
    Planner(store, lease).plan(folder, folder.name, 2**60, destinations, platforms, time.time_ns() // 1000)
    seconds, processor = time.perf_counter() - began, time.process_time() - began_processor
    return seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sending(kind: str, count: int, concurrency: int) -> tuple[float, float, float | None]:
    """Deliveries a second from a plan to their booking, the processor's milliseconds for each, and the same
    requests a second without an outbox.
    """
    with tempfile.TemporaryDirectory() as folder, _Receiving() as receiver:
        home = Home(f"{folder}/home", kind, receiver, concurrency)
        # The outbox is older than what is published.
        _in_child(lambda: forward_once(home.settings) is None)
        home.publish(count)
        with closing(open_store(home.settings.landing_store)):
            pass
        planned = _in_child(lambda: _plan_released(home))
        took = _in_child(lambda: _round(home))
        # What a round takes that has nothing to send is not theirs.
        idle = _in_child(lambda: _round(home))
        seconds, processor = took[0] - idle[0], took[1] - idle[1]
        store = open_existing_outbox(home.settings.outbox_path)
        assert store is not None
        with closing(store):
            done = store.query("SELECT count(*) FROM deliveries WHERE state IN ('delivered', 'accepted')")
        assert done == [(count,)], (done, planned)
        if kind not in ("webhook", "postback"):
            return count / seconds, 1000 * processor / count, None
        bare = _in_child(lambda: asyncio.run(_bare(home.settings, f"{receiver}/{kind}", count, concurrency)))
        return count / seconds, 1000 * processor / count, count / bare


def _plan_released(home: Home) -> int:
    """Plan the publication, and let go what the surge guard holds."""
    with closing(open_outbox(home.settings.outbox_path)) as store:
        lease = Lease("bench", home.settings.outbox_path)
        assert lease.take(store)
        folder = (home.settings.published_dir / "current").resolve()
        platforms = _platforms(home.settings)
        destinations = {(PROJECT, home.kind): home.destination}
        planner = Planner(store, lease)
        planner.plan(folder, folder.name, 2**60, destinations, platforms, time.time_ns() // 1000)
        with lease.transaction(store):
            store.execute(
                "UPDATE deliveries SET state = 'queued', reason = NULL, due_us = 1 WHERE state = 'held'"
            )
        lease.give_back(store)
        return len(store.query("SELECT 1 FROM deliveries WHERE state = 'queued'"))


def _round(home: Home) -> tuple[float, float]:
    """Seconds of one round, and those of the processor."""
    began, began_processor = time.perf_counter(), time.process_time()
    forward_once(home.settings)
    return time.perf_counter() - began, time.process_time() - began_processor


async def _bare(settings: Settings, url: str, count: int, concurrency: int) -> float:
    left = iter(range(count))
    async with Transport(settings) as transport:

        async def work() -> None:
            for number in left:
                body = b'{"conversion_id": "conversion-%020d"}' % number
                await transport.send(Message("POST", url, {}, body, url, "", allow_http=True))

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - began


def taking_over() -> float:
    """Seconds from the kill of a process to the first delivery of another that waited."""
    with tempfile.TemporaryDirectory() as folder, _Receiving() as receiver:
        home = Home(f"{folder}/home", "postback", receiver)
        command = [sys.executable, "-m", "command_line", "forward"]
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not home.settings.outbox_path.exists():
            time.sleep(0.05)
        time.sleep(2)
        second = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(3)
        first.send_signal(signal.SIGKILL)
        first.wait()
        began = time.perf_counter()
        home.publish(1)
        try:
            while True:
                store = open_existing_outbox(home.settings.outbox_path)
                assert store is not None
                with closing(store):
                    if store.query("SELECT 1 FROM deliveries WHERE state = 'delivered'"):
                        return time.perf_counter() - began
                time.sleep(0.02)
        finally:
            second.terminate()
            second.wait()


def _in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a process of its own, whose memory and engines end with it."""
    parent, child = multiprocessing.get_context("fork").Pipe()

    def run() -> None:
        child.send(work())

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    child.close()
    found = parent.recv()
    process.join()
    return found


class _Receiving:
    """A receiver that takes everything, as each platform would answer; it counts what is in a batch."""

    def __enter__(self) -> str:
        context = multiprocessing.get_context("fork")
        parent, child = context.Pipe()
        self._process = context.Process(target=_receive, args=(child,))
        self._process.start()
        return f"http://127.0.0.1:{parent.recv()}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _receive(ready: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                body = await reader.readexactly(length)
                if head.startswith(b"POST /v25.0/"):
                    said = b'{"events_received": %d, "messages": [], "fbtrace_id": "A"}' % body.count(
                        b'"event_name"'
                    )
                elif b"/token" in head[:40]:
                    said = b'{"access_token": "t", "expires_in": 3600}'
                elif b"events:ingest" in head[:60]:
                    said = b'{"requestId": "r-%d"}' % time.time_ns()
                else:
                    said = b"ok"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % len(said)
                    + said
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=2**22)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="Conversions that were told.")
    parser.add_argument("--deliveries", type=int, default=3000, help="Webhooks and postbacks of each case.")
    parser.add_argument("--batched", type=int, default=30_000, help="Conversions sent to Meta and Google.")
    arguments = parser.parse_args()
    print(f"| {arguments.rows:,} told | s | processor s | reading both | ÷ reading | peak MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, took in planning(arguments.rows):
        ratio = took.processor / took.reading
        print(
            f"| {name} | {took.seconds:.1f} | {took.processor:.1f} | {took.reading:.1f} | {ratio:.1f} |"
            f" {took.peak_mb:,.0f} |",
            flush=True,
        )
    print("\n| kind | concurrency | deliveries/s | processor ms each | without an outbox | ÷ |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        count = arguments.batched if kind in ("meta", "google") else arguments.deliveries
        for concurrency in (8, 64) if kind in ("webhook", "postback") else (8,):
            rate, processor_ms, bare = sending(kind, count, concurrency)
            beside = f"{bare:,.0f} | {rate / bare:.2f}" if bare else " | "
            print(f"| {kind} | {concurrency} | {rate:,.0f} | {processor_ms:.2f} | {beside} |", flush=True)
    print(f"\nA killed process was taken over from after {taking_over():.1f} s.")


if __name__ == "__main__":
    main()
