"""No path, query or form is an error of ours; and a key without the scope read opens no route."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, publish_rows
from servers import Server, start_ingest, start_read

from read_api.app import create_app
from record.landing import open_store

ODD = (
    "%ff",
    "%00",
    "%2e",
    "%2e%2e",
    "%2f",
    "%0a",
    "%ed%a0%80",
    "%E2%80%AE",
    "a" * 5_000,
    "%F0%9F%98%80",
    "'",
    "%",
    "-1",
)

NAMES = ("id", "offset", "from", "funnel", "cursor", "limit", "match_value", "network", "seen")
"""Parameters that pages and reports read."""


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """An ingest and a read server over one home."""
    ingest = start_ingest(tmp_path_factory.mktemp("odd") / "home")
    publish_rows(ingest.settings, EXAMPLE_ROWS)
    read = start_read(ingest.settings.home, FUNNELHOUSE_INGEST_URL=ingest.url)
    yield ingest, read
    read.stop()
    ingest.stop()


@pytest.fixture(scope="module")
def client(houses: tuple[Server, Server]) -> Iterator[httpx.Client]:
    """With a key for the routes, and signed in for the pages."""
    key = houses[0].key()
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=houses[1].url, headers=headers, timeout=60) as client:
        form = {"csrf": csrf(client.get("/app/sign-in").text), "key": key}
        assert client.post("/app/sign-in", data=form).status_code == 303
        yield client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def paths(method: str) -> list[str]:
    """All that the app serves, but for signing in and out."""
    routes: list[Any] = []
    for each in create_app().routes:
        included = getattr(each, "original_router", None)
        routes += included.routes if included else [each]
    found = {route.path for route in routes if method in (route.methods or ())}
    return sorted(path for path in found if "/sign-" not in path)


@pytest.mark.parametrize("with_names", ["one in turn", pytest.param("all", marks=pytest.mark.long)])
@pytest.mark.parametrize("turn", range(len(ODD)))
def test_no_address_is_an_error_of_ours(client: httpx.Client, turn: int, with_names: str) -> None:
    """With one name in turn, each value meets each name somewhere, and each path meets each name."""
    odd, tried = ODD[turn], 0
    for place, path in enumerate(paths("GET")):
        shop = path.replace("{project_id}", "shop")
        asked = [re.sub(r"\{[^}]+\}", lambda _: odd, shop)] if "{" in shop else []
        if "{project_id}" in path:
            asked.append(re.sub(r"\{[^}]+\}", "one", path.replace("{project_id}", odd)))
        plain = re.sub(r"\{[^}]+\}", "fct_touches" if "/marts/" in path else "one", shop)
        names = NAMES if with_names == "all" else [NAMES[(place + turn) % len(NAMES)]]
        asked += [
            f"{plain}?{name}={odd}&match_type=url_path&match_operator=wildcard&dates=own" for name in names
        ]
        for address in asked:
            answer = client.get(address)
            assert answer.status_code < 500, (address[:200], answer.text[:500])
            tried += 1
    assert tried > (300 if with_names == "all" else 100)


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_no_form_is_an_error_of_ours(client: httpx.Client, odd: str) -> None:
    token = csrf(client.get("/app/keys").text)
    rule = ("match_type", "operator", "value", "property_key", "property_value", "minimum_amount")
    fields = ("name", "id", "stage", "step_name", "window_days", "mode", "unit", *rule)
    fields += ("kind", "path", "valid_from", "amount", "currency", "source", "medium", "is_paid")
    fields += ("scopes", "days", "once", "page_id", "url", "weight", "to_page_id", "pass", "fallback_url")
    fields += ("fires", "fires_name")
    rest = "&".join((f"csrf={token}", *(f"{name}={odd}" for name in fields)))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in paths("POST"):
        address = re.sub(r"\{[^}]+\}", lambda _: odd, path.replace("{project_id}", "shop"))
        answer = client.post(address, content=rest, headers=headers)
        assert answer.status_code < 500, (address[:200], answer.text[:500])


@pytest.mark.parametrize("scopes", ["ingest", "admin", "page", "whatever"])
def test_a_key_without_the_scope_read_reads_nothing(houses: tuple[Server, Server], scopes: str) -> None:
    ingest, read = houses
    key = ingest.key(scopes="ingest")
    with closing(open_store(ingest.settings.landing_store)) as store:
        # Also scopes that this version does not know.
        store.execute("UPDATE keys SET scopes = ? WHERE key_id = ?", scopes, key.split("_")[2])
    with httpx.Client(base_url=read.url, headers={"x-api-key": key}, timeout=30) as client:
        for path in paths("GET"):
            if path.startswith(("/v1/", "/api/")):
                address = re.sub(r"\{[^}]+\}", "one", path.replace("{project_id}", "shop"))
                assert client.get(address).status_code == 403, path
        form = {"csrf": csrf(client.get("/app/sign-in").text), "key": key}
        assert client.post("/app/sign-in", data=form).status_code == 422
