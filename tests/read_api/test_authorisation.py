"""Who may call what: every route of both APIs' OpenAPI documents, with every kind of key.

A route that the documents name and the table has no word for fails, and so does a word without a route.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, publish_rows, read_server
from servers import Server, start_ingest

from funnelhouse.keys import PAGE, SCOPES, create_key, revoke_key

KINDS = ("goals", "funnels", "pages", "traffic-sources", "experiments", "links", "destinations")
IDS = {kind: kind.removesuffix("s").replace("-", "_") + "_id" for kind in KINDS}
PROJECT = "/v1/projects/{project_id}"
REPORTS = [
    "summary",
    "timeline",
    "changes",
    "conversions",
    "conversions/{conversion_id}",
    "people/{identifier}",
    "performance",
    "sources",
    "campaigns",
    "landing-pages",
    "pages",
    "goals",
    "goals/preview",
    "funnels",
    "attribution",
    "channel-importance",
    "paths",
    "time-to-convert",
    "experiments",
    "cohorts",
    "costs",
    "unconverted",
    "exchange-rates",
    "deliveries",
    "deliveries/{delivery_id}",
    "destinations",
    "destinations/{destination_id}/dry-run",
    "data-trust",
    "builds",
]

# Scopes of which one is enough; none: no key is asked for.
ALLOWED: dict[str, set[str]] = {
    **{f"GET /{api}/{path}": set() for api in ("ingest", "read") for path in ("metrics", "live", "ready")},
    # What pages load and send, and links that they follow.
    **{
        name: set()
        for name in (
            "GET /t.js",
            "GET /t/{project_id}.js",
            "POST /t/{project_id}",
            "GET /c/{link_id}",
            "GET /c/{project_id}/{link_id}",
        )
    },
    # The hit that it names is the capability, and the project must have it on.
    **{
        f"{method} /pb{path}": set()
        for method in ("GET", "POST")
        for path in ("", "/{project_id}", "/{project_id}/{secret}")
    },
    **{
        f"POST {path}": {"page", "ingest"}
        for path in (
            f"{PROJECT}/events",
            f"{PROJECT}/conversions",
            "/v1/conversions",
            "/v2/conversions",
            "/v2/conversions/bulk",
            "/v1/analytics/report-conversion",
            *(f"/v1/{call}" for call in ("batch", "track", "page", "screen", "identify", "group", "alias")),
        )
    },
    **{
        f"{method} {PROJECT}/{kind}/{{{IDS[kind]}}}": scopes
        for kind in KINDS
        for method, scopes in (("PUT", {"admin"}), ("DELETE", {"admin"}), ("GET", {"read", "admin"}))
    },
    **{f"GET {PROJECT}/{kind}": {"read", "admin"} for kind in KINDS},
    **{f"{method} {PROJECT}/keys": {"admin"} for method in ("GET", "POST")},
    **{f"{method} {PROJECT}/keys/{{key_id}}": {"admin"} for method in ("PUT", "DELETE")},
    **{
        f"{method} {PROJECT}/{single}": scopes
        for single in ("settings", "tracker", "channels")
        for method, scopes in (("PUT", {"admin"}), ("DELETE", {"admin"}), ("GET", {"read", "admin"}))
    },
    **{
        f"{method} {PROJECT}/destinations/{{destination_id}}/secrets/{{name}}": {"admin"}
        for method in ("PUT", "GET", "DELETE")
    },
    f"GET {PROJECT}/destinations/{{destination_id}}/secrets": {"admin"},
    **{
        f"POST {PROJECT}/destinations/{{destination_id}}/{action}": {"admin"}
        for action in ("pause", "resume", "release", "test")
    },
    f"POST {PROJECT}/deliveries/replay": {"admin"},
    # Personal notes; those of the project are of admins: test_note_routes.py.
    **{f"{method} {PROJECT}/notes": {"read", "admin"} for method in ("GET", "POST")},
    f"DELETE {PROJECT}/notes/{{note_id}}": {"read", "admin"},
    f"GET {PROJECT}/definition-changes": {"read", "admin"},
    f"POST {PROJECT}/costs": {"admin"},
    f"GET {PROJECT}/exchange-rates": {"read", "admin"},
    f"POST {PROJECT}/exchange-rates": {"admin"},
    f"DELETE {PROJECT}/exchange-rates/{{exchange_rates_id}}": {"admin"},
    **{f"GET {PROJECT}/events/{path}": {"read", "admin"} for path in ("recent", "stream", "{event_id}")},
    f"GET {PROJECT}/rejected/recent": {"read", "admin"},
    "GET /v1/funnel": {"read"},
    "GET /api/report/funnel": {"read"},
    **{f"GET {PROJECT}/reports/{report}": {"read"} for report in REPORTS},
    f"GET {PROJECT}/receipt": {"read"},
    f"GET {PROJECT}/filter-values": {"read"},
    f"GET {PROJECT}/marts": {"read"},
    f"GET {PROJECT}/marts/{{name}}": {"read"},
}


class Route(NamedTuple):
    """A route, and how it is asked in the documents' own example."""

    client: httpx.Client
    method: str
    path: str
    filled: dict[str, str]
    query: dict[str, str]
    body: bytes
    refusal: str
    """What the documents say to a key without the scope."""

    def ask(self, key: str | None, project: str = "shop") -> int:
        """The status of the answer, which is not read: a stream has no end."""
        query = {**self.query, **({"account_id": project} if "account_id" in self.query else {})}
        path = self.path.format(**{**self.filled, "project_id": project})
        headers = {"Funnelhouse-Dry-Run": "1", **({"x-api-key": key} if key else {})}
        with self.client.stream(
            self.method, path, params=query, headers=headers, content=self.body
        ) as answer:
            return answer.status_code


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Route]]]:
    """Both servers over one home, and every route that their documents name."""
    server = start_ingest(tmp_path_factory.mktemp("matrix") / "home")
    try:
        publish_rows(server.settings, EXAMPLE_ROWS)
        with (
            httpx.Client(base_url=server.url, timeout=20) as ingesting,
            read_server(server.settings.home_dir) as running,
            httpx.Client(base_url=running.client.base_url, timeout=20) as reading,
        ):
            yield server, {**routes(ingesting, "ingest"), **routes(reading, "read")}
    finally:
        server.stop()


def routes(client: httpx.Client, api: str) -> dict[str, Route]:
    paths = client.get(f"/{api}/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": route(client, method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def route(client: httpx.Client, method: str, path: str, operation: Mapping[str, Any]) -> Route:
    places: dict[str, dict[str, str]] = {"path": {}, "query": {}}
    for each in operation.get("parameters", []):
        for example in list(each.get("examples", {}).values())[:1]:
            places.setdefault(each["in"], {})[each["name"]] = example["value"]
    filled = dict.fromkeys(re.findall(r"\{(\w+)\}", path), "one") | places["path"]
    body = b""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        body = json.dumps(next(iter(media["examples"].values()))["value"]).encode()
    refusals = operation["responses"].get("403", {}).get("content", {})
    return Route(client, method, path, filled, places["query"], body, json.dumps(refusals))


def test_the_matrix_is_complete(house: tuple[Server, dict[str, Route]]) -> None:
    assert set(house[1]) == set(ALLOWED)


def test_the_documents_name_the_scopes(house: tuple[Server, dict[str, Route]]) -> None:
    for name, route in house[1].items():
        named = set(re.findall("page|ingest|read|admin", route.refusal.partition("needs the scope")[2]))
        assert named == ALLOWED[name], name


def test_every_route_with_every_kind_of_key(house: tuple[Server, dict[str, Route]]) -> None:
    server, found = house
    others = [scope for scope in SCOPES if scope != PAGE]
    combinations = [[scope] for scope in SCOPES] + [["ingest", "read"], ["ingest", "admin"], others]
    with closing(server.store()) as store:
        keys = {
            f"{'test' if is_test else 'live'} {','.join(scopes)}": create_key(
                store, "shop", scopes, 1, is_test
            )
            for scopes in combinations
            for is_test in (False, True)
        }
        elsewhere = {f"{scopes}": create_key(store, "other", scopes) for scopes in ([PAGE], others)}
        no_keys = {
            "no": None,
            "wrong": keys["live read"][:-1] + ("A" if keys["live read"][-1] != "A" else "B"),
        }
        for scopes in ([PAGE], others):
            revoked, expired = (create_key(store, "shop", scopes) for _ in range(2))
            revoke_key(store, key_id(revoked))
            ended_us = time.time_ns() // 1000 - 1
            store.execute("UPDATE keys SET expires_us = ? WHERE key_id = ?", ended_us, key_id(expired))
            no_keys |= {f"revoked {scopes}": revoked, f"expired {scopes}": expired}
    tried = 0
    for name, route in found.items():
        allowed = ALLOWED[name]
        if not allowed:
            # The same answer whatever key comes along: postbacks and the tracker are off, no link is there.
            statuses = {route.ask(key) for key in (*no_keys.values(), *elsewhere.values(), *keys.values())}
            assert statuses == ({404} if route.path.startswith(("/pb", "/t/", "/c/")) else {200}), name
            continue
        for kind, key in no_keys.items():
            assert route.ask(key) == 401, f"{name} with {kind} key"
            tried += 1
        for kind, key in keys.items():
            status = route.ask(key)
            if allowed.isdisjoint(kind.partition(" ")[2].split(",")):
                assert status == 403, f"{name} with {kind}: {status}"
            else:
                # What the example names need not be there, and nothing is there of the test project.
                missing = "_id}" in route.path.removeprefix(PROJECT) or route.path.endswith(
                    ("/settings", "/tracker", "/channels")
                )
                missing = (missing or kind.startswith("test")) and route.method in ("GET", "DELETE")
                missing = missing or "{key_id}" in route.path or "/{destination_id}/" in route.path
                # The example is a key of a scope that the caller may not have.
                beyond = route.path.endswith("/keys") and route.method == "POST" and "ingest" not in kind
                expected = status == 403 if beyond else status < 300 or (status == 404 and missing)
                assert expected, f"{name} with {kind}: {status}"
            tried += 1
        if "{project_id}" in route.path or "account_id" in route.query:
            for kind, key in elsewhere.items():
                # An account is looked at after the key.
                status = 404 if "{project_id}" in route.path or "read" in kind else 403
                assert route.ask(key) == status, f"{name} with another project's key, {kind}"
            for kind in ("live", "test"):
                assert route.ask(keys[f"{kind} {min(allowed)}"], "other") == 404, f"{name} of another project"
            tried += 4
    assert tried > 1000


def key_id(key: str) -> str:
    return key.split("_")[2]
