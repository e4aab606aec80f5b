"""A home that forwards, for tests: definitions, publications of `fct_forwardings`, a service, and a book.

`Plain` is a platform that says everything in JSON, over the guarded transport, to a real server; what is
tested with it holds for each platform.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
from receivers import Receiver, Reply, Request

from forwarding.deliveries import (
    RETRY_SCHEDULE_S,
    Delivery,
    Destination,
    Exchange,
    Message,
    Outcome,
    UndeliveredError,
)
from forwarding.outbox.store import open_existing_outbox
from forwarding.service import Service
from forwarding.transport import Transport
from funnelhouse.settings import Settings
from publication.layout import BUILD_FILE, MARTS_FILE, new_build_id
from publication.publishing import point_current_at
from record.contract import Definition, row_values
from record.landing import Location, open_store
from record.wishes import append_wish

DAY_US = 86_400_000_000
START = datetime(2026, 11, 1, 12, tzinfo=UTC)

COLUMNS = {
    "forwarding_id": "VARCHAR",
    "destination_id": "VARCHAR",
    "destination_version": "BIGINT",
    "destination_kind": "VARCHAR",
    "conversion_id": "VARCHAR",
    "project_id": "VARCHAR",
    "person_id": "VARCHAR",
    "is_wanted": "BOOLEAN",
    "not_wanted_reason": "VARCHAR",
    "name": "VARCHAR",
    "goal_id": "VARCHAR",
    "event_name": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "learnt_at": "TIMESTAMP",
    "approved_at": "TIMESTAMP",
    "state": "VARCHAR",
    "value_minor": "BIGINT",
    "currency": "VARCHAR",
    "dedup_id": "VARCHAR",
    "transaction_id": "VARCHAR",
    "sender": "VARCHAR",
    "is_forwardable": "BOOLEAN",
    "external_click_id": "VARCHAR",
    "clicked_at": "TIMESTAMP",
    "landing_url": "VARCHAR",
    "event_url": "VARCHAR",
    "user_agent": "VARCHAR",
    "em_meta": "VARCHAR",
    "em_google": "VARCHAR",
    "fingerprint": "VARCHAR",
}
"""Those of the mart that every destination has; the journeys build the real one."""


def forwarding(conversion_id: str, **given: Any) -> dict[str, Any]:
    """A row of the mart: wanted, approved, 10.00 USD, unless said otherwise."""
    row: dict[str, Any] = {
        "project_id": "shop",
        "destination_id": "net",
        "destination_version": 1,
        "destination_kind": "webhook",
        "conversion_id": conversion_id,
        "person_id": "shop/user:1",
        "is_wanted": True,
        "name": "purchase",
        "event_name": "Purchase",
        "occurred_at": START,
        "learnt_at": START,
        "approved_at": START,
        "state": "approved",
        "value_minor": 1000,
        "currency": "USD",
        "dedup_id": conversion_id,
        "transaction_id": conversion_id,
        "sender": "server",
        "is_forwardable": True,
        "external_click_id": f"click-{conversion_id}",
        **given,
    }
    row["forwarding_id"] = f"{row['project_id']}/{row['destination_id']}/{conversion_id}"
    row.setdefault("fingerprint", f"{row['state']}/{row['value_minor']}/{row['currency']}")
    return row


def _naive(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


class Clock:
    """A clock that tests move."""

    def __init__(self, at: datetime = START) -> None:
        self.us = int(at.timestamp() * 1e6)

    def __call__(self) -> int:
        return self.us

    def move(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class Home:
    """A home with a landing store, in which builds are published by hand."""

    def __init__(self, folder: Path, location: Location | None = None, **settings: Any) -> None:
        landing = location if isinstance(location, str) else ""
        self.settings = Settings(home=folder, landing=landing, **settings)
        self.settings.home_dir.mkdir(parents=True, exist_ok=True)
        self.clock: Clock | None = None
        """Says when somebody wishes; None for now."""
        self._builds = 0
        with closing(open_store(self.settings.landing_store)):
            pass

    def define(
        self, destination_id: str = "net", project_id: str = "shop", body: Any = True, **members: Any
    ) -> None:
        """Add a version of a destination; `body=None` deletes it."""
        told = {"name": "Net", "kind": "webhook", "is_active": True, "concurrency": 8, "per_second": None}
        text = None if body is None else orjson.dumps({**told, **members}).decode()
        row = Definition(
            project_id=project_id, kind="destination", key=destination_id, received_us=1, body=text
        )
        with closing(open_store(self.settings.landing_store)) as store:
            store.append([("definitions", [row_values(Definition)(row)])])

    def wish(
        self, action: Any, destination_id: str | None = "net", project_id: str = "shop", **body: Any
    ) -> None:
        with closing(open_store(self.settings.landing_store)) as store:
            wish = append_wish(store, project_id, destination_id, action, body)
            if self.clock is not None:
                # A release lets go what was held by the time of the wish.
                store.execute(
                    "UPDATE forwarding_wishes SET wished_us = ? WHERE id = ?", self.clock(), wish.id
                )

    def publish(
        self, rows: Iterable[Mapping[str, Any]], at: datetime | None = None, has_mart: bool = True
    ) -> str:
        """Publish a build with these forwardings; a second later than the last one, unless said otherwise."""
        self._builds += 1
        at = at or datetime.now(UTC) + timedelta(seconds=self._builds)
        build_id = new_build_id(at)
        folder = self.settings.published_dir / build_id
        folder.mkdir(parents=True)
        with duckdb.connect(str(folder / MARTS_FILE)) as marts:
            if has_mart:
                declared = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
                marts.execute(f"create table fct_forwardings ({declared})")
                found = list(rows)
                if found:
                    given = {name: [_naive(row.get(name)) for row in found] for name in COLUMNS}
                    marts.register("given", pa.table(given))
                    marts.execute("insert into fct_forwardings select * from given")
            marts.execute("checkpoint")
        said = {"build_id": build_id, "published_at": at.isoformat(), "marts": {"fct_forwardings": 0}}
        (folder / BUILD_FILE).write_text(json.dumps(said))
        point_current_at(self.settings.published_dir, build_id)
        return build_id

    @property
    def outbox(self) -> Location:
        return self.settings.landing or self.settings.outbox_path

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the outbox; none while there is none."""
        store = open_existing_outbox(self.outbox)
        if store is None:
            return []
        with closing(store):
            return store.query(sql, *values)

    def states(self, destination_id: str = "net") -> dict[str, int]:
        return dict(
            self.query(
                "SELECT state, count(*) FROM deliveries WHERE destination_id = ? GROUP BY state",
                destination_id,
            )
        )


class Plain:
    """A platform: each request is a JSON list of what is told."""

    check_after_s: Sequence[float] = ()

    def __init__(
        self,
        url: str,
        most_at_once: int = 1,
        gather_s: float = 0,
        schedule_s: Sequence[float] = RETRY_SCHEDULE_S,
        skip: Callable[[Delivery], str | None] = lambda _: None,
        lives_s: float | None = None,
    ) -> None:
        self.url = url
        self.most_at_once = most_at_once
        self.gather_s = gather_s
        self.schedule_s = schedule_s
        self._skip = skip
        self._lives_s = lives_s

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:
        return self._skip(delivery)

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:
        return None if self._lives_s is None else delivery.made_us + int(self._lives_s * 1e6)

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        told = [
            {
                "id": each.delivery_id,
                "destination": each.destination_id,
                "conversion": each.conversion_id,
                "ordinal": each.ordinal,
                "kind": each.kind,
                "state": each.facts.get("state"),
                "value": each.facts.get("value_minor"),
                "before": None if each.before is None else [each.before.state, each.before.value_minor],
            }
            for each in deliveries
        ]
        body = orjson.dumps(told)
        url = f"{destination.body.get('url') or self.url}/{destination.destination_id}"
        return Message("POST", url, {"Content-Type": "application/json"}, body, url, body.decode())

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        ids = [each.delivery_id for each in deliveries]
        try:
            answer = await exchange.send(self.render(destination, deliveries, exchange), ids)
        except UndeliveredError as error:
            return dict.fromkeys(ids, Outcome("retry", error.code, is_fault=True))
        said = answer.body.decode()
        status = answer.status
        if status == 200 and said.startswith("["):
            # One word for each.
            results = orjson.loads(said)
            return {each: Outcome(*result) for each, result in zip(ids, results, strict=True)}
        if status == 200:
            return dict.fromkeys(ids, Outcome("delivered", status=200))
        if status == 202:
            return dict.fromkeys(ids, Outcome("accepted", status=202, remote_id=said))
        if status == 401:
            return dict.fromkeys(ids, Outcome("pause", "unauthorised", said, status))
        if status == 429:
            return dict.fromkeys(
                ids, Outcome("retry", "busy", status=429, wait_s=float(answer.headers["retry-after"]))
            )
        if status >= 500:
            return dict.fromkeys(ids, Outcome("retry", f"http_{status}", status=status, is_fault=True))
        return dict.fromkeys(ids, Outcome("dead", f"http_{status}", said, status))

    async def check(
        self, destination: Destination, remote_id: str, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome] | None:
        url = f"{self.url}/status/{remote_id}"
        message = Message("GET", url, {}, b"", url, "")
        answer = await exchange.send(message, [each.delivery_id for each in deliveries])
        result, *code = answer.body.decode().split()
        if result == "processing":
            return None
        return {each.delivery_id: Outcome(result, *code) for each in deliveries}  # type: ignore[arg-type]


class Book(Receiver):
    """Books what `Plain` tells: every message, and what is known of each conversion by the newest."""

    def __init__(self, **options: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self.heard = threading.Event()
        super().__init__(**options)

    def answer(self, request: Request) -> Reply:
        for each in request.json():
            self.told.append(each)
            known = self.known.get((each["destination"], each["conversion"]))
            if known is None or known["ordinal"] < each["ordinal"]:
                self.known[each["destination"], each["conversion"]] = each
        self.heard.set()
        return Reply(body=b"ok")

    def of(self, conversion_id: str) -> list[tuple[int, str, int | None]]:
        """Ordinal, kind and value of what was told of a conversion, repeats once."""
        told = [each for each in self.told if each["conversion"] == conversion_id]
        return list(dict.fromkeys((each["ordinal"], each["kind"], each["value"]) for each in told))


def service_of(
    home: Home, platform: Any, receiver: Receiver, clock: Callable[[], int] | None = None
) -> Service:
    """The service of a home whose webhooks are of this platform; it may tell the receiver."""
    settings = home.settings.model_copy(update={"forward_allow": (receiver.place,)})
    kinds = dict.fromkeys(("webhook", "postback", "meta", "google"), platform)
    options = {} if clock is None else {"now_us": clock}
    return Service(settings, lambda: Transport(settings), lambda: kinds, **options)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """While open, the service runs."""
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.stop()
        await asyncio.wait_for(task, 20)


async def until(holds: Callable[[], Any], within_s: float = 20) -> None:
    """Return when it holds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline, "it never came to hold"
        await asyncio.sleep(0.02)


def once(home: Home, receiver: Receiver, platform: Any = None, clock: Callable[[], int] | None = None) -> Any:
    """Forward one round."""
    return asyncio.run(service_of(home, platform or Plain(receiver.url), receiver, clock).run_once())
