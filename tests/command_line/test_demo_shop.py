"""The demo's shop: pages of its own origin that load nothing foreign, and orders that ingest hears of."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import httpx
import pytest
from servers import Server, free_port, start_ingest, start_read
from shop_visitor import journey, visitor

from command_line.demo.shop.definitions import FIRST_ASKED, LAMPS, PROJECT, define, open_project, shop_url
from command_line.processes import Processes
from funnelhouse.settings import Settings

PAGES = ("/", "/lamps", *(f"/lamps/{lamp.lamp_id}" for lamp in LAMPS), "/checkout?lamp=floor", "/account")


@dataclass
class Shop:
    """A shop that runs, and the key for people. `url` is for browsers; programs need not know its host."""

    url: str
    address: str
    key: str
    ingest: Server

    def reports(self, number: str) -> list[tuple[Any, ...]]:
        """What ingest has of an order, in the order of arrival."""
        with closing(self.ingest.store()) as store:
            return list(
                store.query(
                    "SELECT kind, dialect, sender, name, transaction_id, amount_text, visitor_id, hit_id"
                    " FROM events WHERE project_id = ? AND transaction_id = ? ORDER BY id",
                    *(PROJECT, number),
                )
            )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("shop") / "home"
    ingest = start_ingest(home)
    with running_shop(ingest, free_port()) as shop:
        yield shop
    ingest.stop()


@contextmanager
def running_shop(ingest: Server, read_port: int) -> Iterator[Shop]:
    ports = {"read_port": read_port, "demo_shop_port": free_port()}
    settings = ingest.settings.model_copy(update=ports)
    url, address = shop_url(settings), settings.address(settings.demo_shop_port)
    with closing(ingest.store()) as store:
        key = open_project(store, [url])
    define(ingest.url, key, url)
    with Processes(settings) as processes:
        processes.start("shop", [sys.executable, "-m", "command_line.demo.shop"])
        processes.wait_until_ready("shop", f"{address}{FIRST_ASKED}")
        yield Shop(url, address, key, ingest)


@pytest.fixture
def client(shop: Shop) -> Iterator[httpx.Client]:
    """A browser's window: it keeps cookies."""
    named = {"Host": urlsplit(shop.url).netloc}
    with httpx.Client(base_url=shop.address, headers=named, follow_redirects=True, timeout=30) as client:
        yield client


def buy(client: httpx.Client, **form: str) -> str:
    """Order by the form alone; returns the order's number."""
    answer = client.post("/orders", data={"lamp": "desk", **form})
    assert answer.status_code == 200
    return answer.url.path.rpartition("/")[2]


def test_it_is_visited_under_the_name_that_is_tracked(shop: Shop) -> None:
    assert httpx.get(shop.address).headers["Location"] == shop.url
    settings = Settings(host="192.0.2.7", demo_shop_port=8004)
    assert shop_url(settings) == "http://192.0.2.7:8004"


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_of_other_hosts(shop: Shop, client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    loaded = re.findall(r'<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert client.get(address).status_code == 200, address
        assert urlsplit(address).netloc in ("", urlsplit(shop.ingest.url).netloc), address
    # The publisher's page is not the shop's.
    assert ("/t/demo-shop.js" in page.text) == (path != "/")


def test_pages_have_the_tag_that_is_printed(shop: Shop, client: httpx.Client) -> None:
    settings = shop.ingest.settings
    command = [sys.executable, "-m", "command_line", "tracker", "snippet", "--project", PROJECT]
    given = {"HOME": settings.home, "INGEST_PORT": settings.ingest_port}
    environment = {**os.environ, **{f"FUNNELHOUSE_{name}": str(value) for name, value in given.items()}}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    stub, script = re.findall(r"^<script.*</script>$", printed.partition("Calls")[0], re.MULTILINE)
    page = client.get("/checkout").text
    assert stub in page
    assert script in page


def test_the_ad_leads_over_the_link_to_the_lander(shop: Shop, client: httpx.Client) -> None:
    [ad] = re.findall(r'class="ad" href="([^"]+)"', client.get("/").text)
    assert ad.startswith(f"{shop.ingest.url}/c/{PROJECT}/")
    answer = client.get(
        ad.replace("&amp;", "&"), headers={"User-Agent": "Mozilla/5.0"}, follow_redirects=False
    )
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{shop.url}/lamps?")
    assert "utm_campaign=reading-lamps" in answer.headers["Location"]
    assert "external=click-" in answer.headers["Location"]


def test_orders_and_refunds_are_reported_before_they_are_answered(shop: Shop, client: httpx.Client) -> None:
    number = buy(client, vid="visitor-1", hit="hit-1", sessionId="session-1")
    sale = ("conversion", "openanalytics", "server", "purchase", number, "49.0", "visitor-1", "hit-1")
    assert shop.reports(number) == [sale]
    assert number in client.get("/account").text
    for _ in range(2):
        assert "refunded" in client.post(f"/orders/{number}/refund").text
    kinds = [(kind, sender) for kind, _, sender, *_ in shop.reports(number)]
    assert kinds == [("conversion", "server"), ("refund", "server")]


def test_what_is_no_id_is_not_reported_as_one(shop: Shop, client: httpx.Client) -> None:
    number = buy(client, vid="<b>", hit="h" * 65, sessionId="\r\n")
    assert shop.reports(number)[0][-2:] == (None, None)


def test_orders_are_shown_to_whoever_made_them(shop: Shop, client: httpx.Client) -> None:
    number = buy(client)
    with httpx.Client(base_url=shop.address) as stranger:
        for path in (f"/orders/{number}", f"/orders/{number}/figures"):
            assert client.get(path).status_code == 200
            assert stranger.get(path).status_code == 404
        assert stranger.post(f"/orders/{number}/refund").status_code == 404
        assert number not in stranger.get("/account").text
    assert len(shop.reports(number)) == 1


def test_what_is_not_there_is_a_page_too(client: httpx.Client) -> None:
    for path in ("/lamps/none", "/checkout?lamp=none", "/orders/LF-1", "/no/page", "/%00"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html"), path
    assert client.post("/orders", data={"lamp": "none"}).status_code == 404
    assert client.post("/orders", data={"lamp": "desk", "vid": "x" * 20_000}).status_code == 413
    assert client.post("/orders", content=b"lamp=%ff\xff").status_code == 400
    foreign = {"Origin": "https://elsewhere.example"}
    assert client.post("/orders", data={"lamp": "desk"}, headers=foreign).status_code == 403


def build(settings: Settings) -> None:
    """Seal, build, check and publish, as the command does."""
    environment = {**os.environ, "FUNNELHOUSE_HOME": str(settings.home)}
    command = [sys.executable, "-m", "command_line", "build"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.long
def test_a_visitor_finds_the_own_journey_explained(tmp_path: Path) -> None:
    ingest = start_ingest(tmp_path / "home")
    read = start_read(tmp_path / "home", FUNNELHOUSE_INGEST_URL=ingest.url)
    try:
        with running_shop(ingest, read.settings.read_port) as shop, visitor() as page:
            journey(page, shop.url, shop.key, lambda: build(ingest.settings), within_s=30)
            # From the ad on it is one person's.
            marts = duckdb.connect(
                str(ingest.settings.published_dir / "current" / "marts.duckdb"), read_only=True
            )
            people = marts.sql("select distinct person_id from fct_link_clicks").fetchall()
            assert people == marts.sql("select person_id from fct_conversions").fetchall()
            marts.close()
    finally:
        read.stop()
        ingest.stop()
