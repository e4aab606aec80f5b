"""From an HTTP request to a published figure, through real servers, files and builds: those of the wheel."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from installed_wheel import Wheel
from servers import free_port

from funnelhouse.settings import Settings

DAY_1 = "2026-03-01T10:00:00Z"
DAY_2 = "2026-03-02T10:00:00Z"
DAY_3 = "2026-03-03T10:00:00Z"
RANGE = "20260301,20260331"

VISITS = [
    {
        "event_type": "pageview",
        "event_id": "v1",
        "anonymous_id": "phone",
        "url": "https://shop.example/?utm_source=google&utm_medium=cpc&gclid=g1",
        "country": "es",
        "timestamp": DAY_1,
    },
    {
        "event_type": "pageview",
        "event_id": "v2",
        "anonymous_id": "laptop",
        "session_id": "s-laptop",
        "url": "https://shop.example/cart",
        "referrer": "https://www.bing.com/search?q=shoes",
        "timestamp": DAY_2,
    },
    {
        "event_type": "pageview",
        "event_id": "v3",
        "anonymous_id": "bookmark",
        "url": "https://shop.example/",
        "timestamp": DAY_2,
    },
    # Ada logs in on both devices: both were hers all along.
    {"event_type": "identify", "anonymous_id": "phone", "user_id": "ada", "timestamp": DAY_2},
    {"event_type": "identify", "anonymous_id": "laptop", "user_id": "ada", "timestamp": DAY_2},
]

SALE = {
    "event_type": "conversion",
    "event_name": "purchase",
    "user_id": "ada",
    "revenue": 99.99,
    "currency": "USD",
    "properties": {"order_id": "o-1"},
    "timestamp": DAY_3,
}


class House:
    """A running house: what its servers answer to one key."""

    def __init__(self, wheel: Wheel, settings: Settings) -> None:
        self.wheel = wheel
        self.settings = settings
        scopes = ["--scopes", "ingest,read,admin", "--name", "shop"]
        key = wheel.run(settings, "keys", "create", "--project", "shop", *scopes).strip()
        headers = {"Authorization": f"Bearer {key}"}
        host = f"http://{settings.host}"
        self.ingest = httpx.Client(base_url=f"{host}:{settings.ingest_port}", headers=headers, timeout=30)
        self.read = httpx.Client(base_url=f"{host}:{settings.read_port}", headers=headers, timeout=30)

    def wait(self) -> None:
        """Wait until both servers answer."""
        deadline = time.monotonic() + 60
        for client, path in ((self.ingest, "/ingest/ready"), (self.read, "/read/live")):
            while True:
                try:
                    assert client.get(path).status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)

    def build(self) -> str:
        """Build and publish; returns the build id."""
        assert "Published as" in self.wheel.run(self.settings, "build")
        return (self.settings.published_dir / "current").resolve().name

    def get(self, path: str, **query: str) -> Any:
        """The read API's answer, which must be a good one."""
        answer = self.read.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def funnel(self) -> dict[str, dict[str, Any]]:
        """The funnel report by source."""
        data = self.get("/v1/funnel", account_id="shop", report_type="Source", date_range=RANGE)["data"]
        return {row["Source"]: row for row in data}

    def credit(self, model: str) -> dict[str, tuple[float, int]]:
        """Conversions and cents by source."""
        rows = self.get("/v1/projects/shop/reports/attribution", model=model)["rows"]
        return {row["value"]: (row["conversions"], row["net_amount_minor"]) for row in rows}


@pytest.fixture(scope="module")
def house(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("house") / "home"
    settings = Settings(home=home, ingest_port=free_port(), read_port=free_port())
    before = wheel.files()
    house = House(wheel, settings)
    servers = [wheel.start(settings, "serve", name) for name in ("ingest", "read")]
    try:
        house.wait()
        yield house
    finally:
        for server in servers:
            server.terminate()
        assert [server.wait(60) for server in servers] == [0, 0]
    # Where it is installed, it is only read.
    assert wheel.files() == before


@pytest.mark.long
def test_a_request_becomes_a_figure_and_a_later_one_changes_it(house: House) -> None:
    goals = "/v1/projects/shop/goals"
    cart = {"match": {"type": "url_path", "value": "/cart"}, "is_micro": True, "stage": "add-to-cart"}
    assert house.ingest.put(f"{goals}/cart", json=cart).status_code in (200, 201)
    accepted = house.ingest.post("/v1/projects/shop/events", json=[*VISITS, SALE])
    assert (accepted.status_code, accepted.json()["accepted"]) == (202, 6)
    # Pagent names the session of the laptop's visit, not the user.
    lead = {"session_id": "s-laptop", "user_id": "laptop", "conversion_id": "lead", "revenue": 500}
    assert house.ingest.post("/v1/conversions", json={"events": [lead]}).json() == {"accepted": 1}

    first = house.build()

    assert house.funnel() == {
        "Google": _stages("Google", clicks=1),
        "Bing": _stages("Bing", clicks=1, conversions=1, micro=1, cart=1),
        "Direct": _stages("Direct", clicks=1),
    }
    # The lead is of today, long after the look-back; but the visit that it names counts whatever its age.
    assert house.credit("last_touch") == {"bing": (2, 10499)}
    assert house.credit("first_touch") == {"google": (1, 9999), "bing": (1, 500)}
    assert house.credit("linear") == {"google": (0.5, 5000), "bing": (1.5, 5499)}
    # Every model is offered. Half of the ways to bing lead over google: removal effects of 1/2 and 1.
    assert house.credit("first_touch_lifetime") == {"google": (2, 10499)}
    assert house.credit("last_paid_touch") == {"google": (1, 9999), "bing": (1, 500)}
    assert house.credit("named_touch") == {"bing": (2, 10499)}
    assert house.credit("linear_sources") == house.credit("position_based") == house.credit("linear")
    assert house.credit("time_decay") == {"google": (0.475264951, 4752), "bing": (1.524735049, 5747)}
    assert house.credit("markov") == {"google": (0.333333333, 3333), "bing": (1.666666667, 7166)}
    assert house.credit("shapley") == {"bing": (2, 10499)}

    refund = {
        "event_type": "refund",
        "event_name": "purchase",
        "revenue": 20,
        "transaction_id": "o-1",
        "timestamp": DAY_3,
    }
    late_visit = {**VISITS[2], "event_id": "v4", "anonymous_id": "phone", "url": "/?utm_source=news"}
    assert house.ingest.post("/v1/projects/shop/events", json=[refund, late_visit]).status_code == 202
    assert house.credit("last_touch")["bing"] == (2, 10499)  # nothing changes before a build

    second = house.build()

    answer = house.read.get("/v1/projects/shop/reports/attribution", params={"model": "linear"})
    assert answer.headers["Funnelhouse-Build"] == second > first
    assert house.credit("linear") == {
        "google": (0.333333334, 2667),
        "bing": (1.333333333, 3166),
        "news": (0.333333333, 2666),
    }


@pytest.mark.slow
def test_a_build_from_nothing_gives_the_same_marts(house: House) -> None:
    before = _published(house.settings)
    assert before["fct_conversions"]
    house.settings.warehouse_path.unlink()
    shutil.rmtree(house.settings.home_dir / "dbt")
    house.build()
    assert _published(house.settings) == before


def _stages(source: str, clicks: int, conversions: int = 0, micro: int = 0, cart: int = 0) -> dict[str, Any]:
    return {
        "Source": source,
        "clicks": clicks,
        "conversions": conversions,
        "microconversions": micro,
        "add-to-cart": cart,
        "checkout": 0,
    }


def _published(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every published mart."""
    path: Path = (settings.published_dir / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(path), read_only=True) as marts:
        names = [row[0] for row in marts.sql("show tables").fetchall()]
        return {name: marts.sql(f"select * from {name} order by all").fetchall() for name in names}
