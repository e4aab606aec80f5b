"""Every kind of definition over HTTP: versions are only ever added, bodies are flat, shapes are strict."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Server

from funnelhouse.settings import CHECKOUT
from ingest_api import costs
from ingest_api.definitions import exchange_rates
from ingest_api.definitions.channels import CHANNELS
from ingest_api.definitions.experiment import EXPERIMENTS
from ingest_api.definitions.funnel import FUNNELS
from ingest_api.definitions.kind import Kind
from ingest_api.definitions.project_settings import MAX_HOSTS, MAX_LABELS, SETTINGS
from ingest_api.definitions.routes import KINDS
from read_api.dashboard.pages.definitions import MOST_STEPS

PROJECT = "/v1/projects/definitions"
DRY = {"Funnelhouse-Dry-Run": "1"}
PAGE = {"name": "Offer", "kind": "offer"}
STEP = {"name": "Sign-up", "match": {"type": "event_name", "value": "signup"}}
FUNNEL = {"name": "F", "steps": [STEP, STEP]}
VARIANTS = [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]
LINK = {"name": "L", "to": [{"url": "https://offers.example/"}]}
SOURCE = {"name": "Ads", "source": "ads"}
EXPERIMENT = {"name": "E", "variants": VARIANTS, "control": "a"}
DEFAULTS = {
    "time_zone": "UTC",
    "reporting_currency": "USD",
    "lookback_days": 30,
    "half_life_days": 7,
    "session_gap_minutes": 30,
    "counts_direct": False,
    "postbacks_take_extended_status": False,
    "own_hosts": [],
    "ignored_referrers": [],
    "link_hosts": [],
}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("definitions", "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


def stored(server: Server, kind: str, key: str) -> list[Any]:
    rows = server.store().query(
        "SELECT body FROM definitions WHERE project_id = 'definitions' AND kind = ? AND key = ? ORDER BY id",
        *(kind, key),
    )
    return [None if body is None else orjson.loads(body) for (body,) in rows]


@every_kind
def test_versions_are_added_and_never_changed(
    kind: Kind, client: httpx.Client, ingest_server: Server
) -> None:
    url = f"{PROJECT}/{kind.path}/versioned"
    first = client.put(url, json=kind.example)
    assert first.status_code == 200
    assert first.json() == client.get(url).json()
    assert first.json().items() >= {kind.id_name: "versioned", "version": 1}.items()
    assert client.put(f"{url}/", json={**kind.example, "name": "Renamed"}).json()["version"] == 2
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == client.delete(url).status_code == 404
    assert client.put(url, json=kind.example).json()["version"] == 4
    names = [body and body["name"] for body in stored(ingest_server, kind.kind, "versioned")]
    assert names == [kind.example["name"], "Renamed", None, kind.example["name"]]


@every_kind
def test_what_is_shown_can_be_put_again(kind: Kind, client: httpx.Client) -> None:
    url = f"{PROJECT}/{kind.path}/again"
    shown = client.put(url, json=kind.example).json()
    envelope = (kind.id_name, "version", "received_us")
    body = {name: value for name, value in shown.items() if name not in envelope}
    assert set(body) >= set(kind.example)
    again = client.put(url, json=body).json()
    assert {**again, "received_us": 0} == {**shown, "received_us": 0, "version": 2}


@every_kind
def test_lists_leave_deleted_ones_out(kind: Kind, client: httpx.Client) -> None:
    for key in ("listed", "unlisted"):
        assert client.put(f"{PROJECT}/{kind.path}/{key}", json=kind.example).status_code == 200
    client.delete(f"{PROJECT}/{kind.path}/unlisted")
    listed = client.get(f"{PROJECT}/{kind.path}").json()[kind.plural]
    assert client.get(f"{PROJECT}/{kind.path}/listed").json() in listed
    assert "unlisted" not in [each[kind.id_name] for each in listed]


@every_kind
def test_a_dry_run_defines_and_deletes_nothing(kind: Kind, client: httpx.Client) -> None:
    url = f"{PROJECT}/{kind.path}"
    answer = client.put(f"{url}/dry", json=kind.example, headers=DRY)
    assert (answer.status_code, answer.headers["Funnelhouse-Dry-Run"]) == (200, "1")
    assert answer.json()["version"] == 1
    assert client.get(f"{url}/dry").status_code == 404
    client.put(f"{url}/wet", json=kind.example)
    assert client.delete(f"{url}/wet", headers=DRY).status_code == 204
    assert client.get(f"{url}/wet").status_code == 200
    assert client.put(f"{url}/dry", json={}, headers={"Funnelhouse-Dry-Run": "yes"}).status_code == 400


@every_kind
def test_who_may_do_what(kind: Kind, client: httpx.Client, ingest_server: Server) -> None:
    url = f"{PROJECT}/{kind.path}/scoped"
    client.put(url, json=kind.example)
    for scope, status in (("page", 403), ("ingest", 403), ("read", 200)):
        headers = {"x-api-key": ingest_server.key("definitions", scope)}
        assert client.get(url, headers=headers).status_code == status
        assert client.get(f"{PROJECT}/{kind.path}", headers=headers).status_code == status
        assert client.put(url, json=kind.example, headers=headers).status_code == 403
        assert client.delete(url, headers=headers).status_code == 403
    foreign = {"x-api-key": ingest_server.key("elsewhere", "admin")}
    assert client.get(url, headers=foreign).status_code == 404
    assert client.get(url, headers={"x-api-key": "none"}).status_code == 401


@every_kind
def test_the_api_is_described_with_an_example(kind: Kind, client: httpx.Client) -> None:
    paths = client.get("/ingest/openapi.json").json()["paths"]
    put = paths[f"/v1/projects/{{project_id}}/{kind.path}/{{{kind.id_name}}}"]["put"]
    (body,) = put["requestBody"]["content"].values()
    assert body["examples"]["example"]["value"] == kind.example
    assert body["schema"] == {"$ref": f"#/components/schemas/{kind.shape.__name__}"}
    names = {parameter["name"] for parameter in put["parameters"]}
    assert names == {"project_id", kind.id_name, "Funnelhouse-Dry-Run"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("funnels", {}, "name: Field required; steps: Field required"),
        ("funnels", {**FUNNEL, "steps": [STEP]}, "steps: List should have at least 2"),
        ("funnels", {**FUNNEL, "steps": [STEP] * 21}, "steps: List should have at most 20"),
        ("funnels", {**FUNNEL, "steps": [STEP, {"name": "S"}]}, "steps.1.match: Field required"),
        ("funnels", {**FUNNEL, "steps": [STEP, {**STEP, "name": ""}]}, "steps.1.name"),
        ("funnels", {**FUNNEL, "steps": [STEP, {**STEP, "is_micro": True}]}, "steps.1.is_micro: Extra"),
        ("funnels", {**FUNNEL, "steps": [STEP, {**STEP, "minimum_amount": -1}]}, "must not be negative"),
        ("funnels", {**FUNNEL, "mode": "loose"}, "mode"),
        ("funnels", {**FUNNEL, "unit": "visitor"}, "unit"),
        ("funnels", {**FUNNEL, "window_days": 0}, "window_days"),
        ("funnels", {**FUNNEL, "window_days": 366}, "window_days"),
        ("funnels", {**FUNNEL, "window_days": 1.5}, "window_days"),
        ("funnels", {**FUNNEL, "window_days": True}, "window_days"),
        ("funnels", {**FUNNEL, "windows": 3}, "windows: Extra inputs"),
        ("pages", {"name": "Offer"}, "kind: Field required"),
        ("pages", {**PAGE, "kind": "landing"}, "kind"),
        ("pages", {**PAGE, "path": "offers"}, "path"),
        ("pages", {**PAGE, "path": "/a?b=c"}, "path"),
        ("pages", {**PAGE, "payouts": {}}, "payouts"),
        ("pages", {**PAGE, "payouts": [{"valid_from": "2026-01-01"}]}, "payouts.0.amount: Field required"),
        (
            "pages",
            {**PAGE, "payouts": [{"valid_from": 1767225600000, "amount": 1, "currency": "USD"}]},
            "payouts.0.valid_from: must be an ISO 8601",
        ),
        (
            "pages",
            {**PAGE, "payouts": [{"valid_from": "1999-01-01", "amount": 1, "currency": "USD"}]},
            "payouts.0.valid_from: must be a time in the years",
        ),
        (
            "pages",
            {**PAGE, "payouts": [{"valid_from": "2026-01-01", "amount": "1", "currency": "USD"}]},
            "payouts.0.amount: must be a JSON number",
        ),
        (
            "pages",
            {
                **PAGE,
                "payouts": [
                    {"valid_from": "2026-01-01", "amount": 1, "currency": "USD"},
                    {"valid_from": "2026-01-01T01:00:00+01:00", "amount": 2, "currency": "USD"},
                ],
            },
            "payouts: two have the same valid_from",
        ),
        ("traffic-sources", {"name": "Ads"}, "source: Field required"),
        ("traffic-sources", {"name": "Ads", "source": ""}, "source"),
        ("traffic-sources", {"name": "Ads", "source": "ads", "is_paid": 1}, "is_paid"),
        ("traffic-sources", {"name": "Ads", "source": "ads", "cost": 1}, "cost: Extra inputs"),
        ("traffic-sources", {**SOURCE, "click_id_param": "click id"}, "click_id_param: must be a query"),
        ("traffic-sources", {**SOURCE, "click_id_param": "x" * 65}, "click_id_param: must be a query"),
        ("traffic-sources", {**SOURCE, "click_id_param": "gclid"}, "click_id_param: must be a parameter of"),
        ("traffic-sources", {**SOURCE, "click_id_param": "external"}, "click_id_param: must be a parameter"),
        ("traffic-sources", {**SOURCE, "click_id_param": "utm_id"}, "click_id_param: must be a parameter of"),
        ("traffic-sources", {**SOURCE, "click_id_param": 7}, "click_id_param"),
        ("experiments", {**EXPERIMENT, "variants": VARIANTS[:1]}, "variants: List should have at least 2"),
        ("experiments", {**EXPERIMENT, "variants": VARIANTS[:1] * 2}, "variants: two have the same id"),
        ("experiments", {**EXPERIMENT, "control": "c"}, "control: must be the id of one of the variants"),
        ("experiments", {"name": "E", "variants": VARIANTS}, "control: Field required"),
        ("experiments", {**EXPERIMENT, "goal_ids": ["a", "a"]}, "goal_ids: a goal is named twice"),
        ("experiments", {**EXPERIMENT, "goals": ["a"]}, "goals: Extra inputs"),
        ("links", {"name": "L"}, "to: Field required"),
        ("links", {**LINK, "to": []}, "to: List should have at least 1"),
        ("links", {**LINK, "to": LINK["to"] * 11}, "to: List should have at most 10"),
        ("links", {**LINK, "to": [{"url": "/relative"}]}, "to.0.url: must begin with https:// or http://"),
        ("links", {**LINK, "to": [{"url": "//a.example/"}]}, "to.0.url: must begin with"),
        ("links", {**LINK, "to": [{"url": "javascript:alert(1)"}]}, "to.0.url: must begin with"),
        ("links", {**LINK, "to": [{"url": "https:/a.example/"}]}, "to.0.url: must begin with"),
        ("links", {**LINK, "to": [{"url": "https:///a.example/"}]}, "to.0.url: must name a host"),
        ("links", {**LINK, "to": [{"url": "https://bücher.example/"}]}, "xn--"),
        ("links", {**LINK, "to": [{"url": "https://a..example/"}]}, "to.0.url: must name a host"),
        ("links", {**LINK, "to": [{"url": "https://a.example:99999/"}]}, "to.0.url: must name a host"),
        ("links", {**LINK, "to": [{"url": "https://a.example:/"}]}, "to.0.url: must name a host"),
        ("links", {**LINK, "to": [{"url": "https://u:p@a.example/"}]}, "to.0.url: must name no user"),
        ("links", {**LINK, "to": [{"url": "https://a.example\\@b.example"}]}, "no backslash; write %5C"),
        ("links", {**LINK, "to": [{"url": "https://a.example/\r\nX: y"}]}, "write a blank as %20"),
        ("links", {**LINK, "to": [{"url": "https://a.example/a b"}]}, "write a blank as %20"),
        ("links", {**LINK, "to": [{"url": "https://a.example/\u2028"}]}, "write a blank as %20"),
        ("links", {**LINK, "to": [{"url": "https://{vid}.example/"}]}, "tokens stand behind the host only"),
        ("links", {**LINK, "to": [{"url": "https://a.example:{vid}/"}]}, "tokens stand behind the host only"),
        (
            "links",
            {**LINK, "to": [{"url": "https://a.example{data-x}"}]},
            "tokens stand behind the host only",
        ),
        ("links", {**LINK, "to": [{"url": "https://a.example/{vi}"}]}, "known are {hit}, {visitor}"),
        ("links", {**LINK, "to": [{"url": "https://a.example/{data-}"}]}, "known are {hit}, {visitor}"),
        ("links", {**LINK, "to": [{"url": "https://a.example/{{vid}}"}]}, "write others as %7B and %7D"),
        ("links", {**LINK, "to": [{"url": f"https://a.example/{'a' * 2048}"}]}, "at most 2048 characters"),
        ("links", {**LINK, "to": [{"url": f"https://a.example/{'é' * 400}"}]}, "at most 2048 characters"),
        ("links", {**LINK, "to": [{**LINK["to"][0], "weight": 0}]}, "to.0.weight"),
        ("links", {**LINK, "to": [{**LINK["to"][0], "weight": 101}]}, "to.0.weight"),
        ("links", {**LINK, "pass": ["*"]}, "pass.0: must be a parameter's name"),
        ("links", {**LINK, "pass": ["a b"]}, "pass.0: must be a parameter's name"),
        ("links", {**LINK, "passed": ["a"]}, "passed: Extra inputs"),
        ("links", {**LINK, "fallback_url": "https://a.example/{vid}"}, "fallback_url: takes no tokens"),
        ("links", {**LINK, "fires": {"type": "sale", "name": "S"}}, "fires.type"),
        (
            "links",
            {**LINK, "fires": {"type": "event", "name": "S", "value": {"amount": 1, "currency": "USD"}}},
            "fires: value: only what fires a conversion has one",
        ),
        ("goals", {"match": STEP["match"], "value": {"amount": 1}}, "value.currency: Field required"),
        ("goals", {"match": STEP["match"], "value": {"amount": -1, "currency": "USD"}}, "value.amount"),
        ("settings", {"link_hosts": ["https://shop.example"]}, "link_hosts.0: must be a host alone"),
        ("settings", {"time_zone": "Mars/Olympus"}, "time_zone: must be a name of the IANA"),
        ("settings", {"time_zone": "../UTC"}, "time_zone"),
        ("settings", {"time_zone": "localtime"}, "time_zone"),
        ("settings", {"reporting_currency": "EURO"}, "reporting_currency"),
        ("settings", {"lookback_days": 91}, "lookback_days"),
        ("settings", {"lookback_days": 0}, "lookback_days"),
        ("settings", {"half_life_days": 0}, "half_life_days"),
        ("settings", {"own_hosts": ["https://shop.example/"]}, "own_hosts"),
        ("settings", {"own_hosts": ["shop.example."]}, "own_hosts.0: must be a host alone"),
        ("settings", {"own_hosts": ["*.shop.example"]}, "own_hosts"),
        ("settings", {"own_hosts": ["bücher.example"]}, "own_hosts"),
        ("settings", {"own_hosts": [".".join("abcdefghi")]}, "own_hosts"),
        ("settings", {"own_hosts": ["a" * 64 + ".example"]}, "own_hosts"),
        ("settings", {"own_hosts": "shop.example"}, "own_hosts"),
        ("settings", {"ignored_referrers": ["bank.example:443"]}, "ignored_referrers"),
        ("settings", {"own_hosts": [f"h{n}.example" for n in range(101)]}, "own_hosts"),
        ("settings", {"session_gap_minutes": 1441}, "session_gap_minutes"),
        ("settings", {"counts_direct": "yes"}, "counts_direct"),
        ("settings", {"timezone": "UTC"}, "timezone: Extra inputs"),
        ("settings", [], "JSON object"),
        ("channels", {"rules": [{"source": {"values": ["a"]}}]}, "rules.0.channel: Field required"),
        ("channels", {"rules": [{"channel": ""}]}, "rules.0.channel"),
        ("channels", {"rules": [{"channel": " x"}]}, "rules.0.channel"),
        ("channels", {"rules": [{"channel": "x", "medium": {"values": []}}]}, "rules.0.medium.values"),
        ("channels", {"rules": [{"channel": "x", "medium": {"values": [" "]}}]}, "must say something"),
        ("channels", {"rules": [{"channel": "x", "medium": {"values": ["é" * 126]}}]}, "at most 250 bytes"),
        (
            "channels",
            {"rules": [{"channel": "x", "medium": {"operator": "category", "values": ["search"]}}]},
            "rules.0.medium.operator",
        ),
        (
            "channels",
            {"rules": [{"channel": "x", "source": {"operator": "category", "values": ["ads"]}}]},
            "values: categories are search, social, video and shopping",
        ),
        ("channels", {"rules": [{"channel": "x", "click_id_type": "utm"}]}, "must be one of any, gclid"),
        ("channels", {"rules": [{"channel": "x", "is_paid": "yes"}]}, "rules.0.is_paid"),
        ("channels", {"rules": [{"channel": "x", "term": "y"}]}, "rules.0.term: Extra inputs"),
        ("channels", {"rules": [{"channel": "x"}] * 201}, "rules: List should have at most 200 items"),
        (
            "channels",
            {"rules": [{"channel": "x", "medium": {"values": ["y"] * 100}}] * 11},
            "rules: must have at most 1000 values together",
        ),
    ],
)
def test_a_bad_body_is_a_problem_naming_the_field(
    client: httpx.Client, path: str, body: Any, field: str
) -> None:
    is_single = path in ("settings", "channels")
    url = f"{PROJECT}/{path}" if is_single else f"{PROJECT}/{path}/bad"
    answer = client.put(url, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"]
    if not is_single:
        assert client.get(url).status_code == 404


def test_a_funnel_has_defaults_and_flat_steps(client: httpx.Client, ingest_server: Server) -> None:
    steps = [
        {**STEP, "property": {"key": "plan", "value": "pro"}, "minimum_amount": 9.5},
        {"name": "Any", "match": {"type": "any_conversion"}},
    ]
    body = {"name": "F", "steps": steps, "window_days": 30.0}
    answer = client.put(f"{PROJECT}/funnels/flat", json=body).json()
    assert (answer["mode"], answer["window_days"], answer["unit"]) == ("ordered", 30, "person")
    assert answer["steps"][0]["minimum_amount"] == 9.5
    flat = {
        "name": "Sign-up",
        "match_type": "event_name",
        "match_operator": "exact",
        "match_value": "signup",
        "property_key": "plan",
        "property_value": "pro",
        "minimum_amount": "9.5",
    }
    nothing = {"match_value": None, "property_key": None, "property_value": None, "minimum_amount": None}
    assert stored(ingest_server, "funnel", "flat")[0] == {
        "name": "F",
        "mode": "ordered",
        "window_days": 30,
        "unit": "person",
        "steps": [flat, {**flat, **nothing, "name": "Any", "match_type": "any_conversion"}],
    }


def test_payouts_are_kept_by_time_in_microseconds(client: httpx.Client, ingest_server: Server) -> None:
    payouts = [
        {"valid_from": "2026-06-01T12:00:00.5+02:00", "amount": 27.5, "currency": "usd"},
        {"valid_from": "2026-01-01", "amount": 25, "currency": "USD"},
    ]
    answer = client.put(f"{PROJECT}/pages/Offer.1:de", json={**PAGE, "payouts": payouts})
    assert answer.json()["payouts"] == [
        {"valid_from": "2026-01-01T00:00:00Z", "amount": 25, "currency": "USD"},
        {"valid_from": "2026-06-01T10:00:00.500000Z", "amount": 27.5, "currency": "USD"},
    ]
    assert stored(ingest_server, "page", "Offer.1:de")[0]["payouts"] == [
        {"valid_from_us": 1767225600000000, "amount": "25", "currency": "USD"},
        {"valid_from_us": 1780308000500000, "amount": "27.5", "currency": "USD"},
    ]


def test_what_a_link_fires_is_a_goal_of_the_same_request(client: httpx.Client, ingest_server: Server) -> None:
    link, goal = f"{PROJECT}/links/firing", f"{PROJECT}/goals/link-firing"
    fires = {"type": "conversion", "name": "Offer clicked", "value": {"amount": 0.5, "currency": "usd"}}
    answer = client.put(link, json={**LINK, "fires": fires})
    assert answer.json()["fires"] == {**fires, "value": {"amount": 0.5, "currency": "USD"}}
    shown = client.get(goal).json()
    assert shown["match"] == {"type": "event_name", "operator": "exact", "value": "click"}
    assert shown["property"] == {"key": "link_id", "value": "firing"}
    assert (shown["name"], shown["counts_as_conversion"]) == ("Offer clicked", True)
    assert shown["value"] == {"amount": 0.5, "currency": "USD"}
    assert shown["received_us"] == answer.json()["received_us"]
    event = {"type": "event", "name": "Clicked"}
    assert client.put(link, json={**LINK, "fires": event}).json()["fires"] == {**event, "value": None}
    assert client.get(goal).json().items() >= {"counts_as_conversion": False, "value": None}.items()
    # A trial writes neither.
    assert client.put(link, json=LINK, headers=DRY).status_code == 200
    assert client.get(goal).status_code == 200
    assert client.put(link, json=LINK).json()["fires"] is None
    assert client.get(goal).status_code == 404
    # Gone once is gone: nothing is deleted again.
    client.put(link, json=LINK)
    assert [body and body["name"] for body in stored(ingest_server, "goal", "link-firing")] == [
        *("Offer clicked", "Clicked", None)
    ]
    client.put(link, json={**LINK, "fires": event})
    assert client.delete(link).status_code == 204
    assert client.get(goal).status_code == 404


def test_a_goal_that_no_link_wrote_stays(client: httpx.Client) -> None:
    goal = f"{PROJECT}/goals/link-own"
    client.put(goal, json={"match": STEP["match"]})
    for answer in (client.put(f"{PROJECT}/links/own", json=LINK), client.delete(f"{PROJECT}/links/own")):
        assert answer.status_code < 300
    assert client.get(goal).status_code == 200


def test_links_lead_to_listed_hosts_only(ingest_server: Server) -> None:
    headers = {"x-api-key": ingest_server.key("listing", "admin")}
    with httpx.Client(base_url=f"{ingest_server.url}/v1/projects/listing", headers=headers) as client:
        assert client.put("/links/any", json=LINK).status_code == 200
        client.put("/settings", json={"link_hosts": ["shop.example", "offers.example"]})
        for host in ("offers.example", "OFFERS.example:8443", "de.offers.example"):
            link = {**LINK, "to": [{"url": f"https://{host}/x"}], "fallback_url": "http://shop.example"}
            assert client.put("/links/any", json=link).status_code == 200
        for host in ("example", "badoffers.example", "offers.example.evil.example"):
            link = {**LINK, "to": [{"url": f"https://{host}/"}], "fallback_url": f"https://{host}"}
            answer = client.put("/links/any", json=link)
            assert answer.status_code == 400
            for field in ("to.0.url", "fallback_url"):
                assert f"{field}: its host is not in the project's setting link_hosts" in answer.text


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("links", "a" * 59),
        ("links", "A"),
        ("funnels", "A"),
        ("traffic-sources", "a.b"),
        ("pages", "a b"),
        ("pages", "a" * 256),
        ("pages", "-a"),
    ],
)
def test_a_bad_id_is_refused(client: httpx.Client, path: str, key: str) -> None:
    answer = client.put(f"{PROJECT}/{path}/{key}", json=PAGE)
    assert answer.status_code == 400
    assert "_id: 1 to" in answer.json()["detail"]


def test_settings_are_versioned_and_start_from_defaults(ingest_server: Server) -> None:
    url = "/v1/projects/settled/settings"
    headers = {"x-api-key": ingest_server.key("settled", "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        assert client.get(url).json() == {"version": 0, "received_us": None, **DEFAULTS}
        assert client.delete(url).status_code == 404
        hosts = ["Shop.Example", "android-app://Example.App"]
        body = {"time_zone": "Europe/Madrid", "reporting_currency": "eur", "own_hosts": hosts}
        read = {"reporting_currency": "EUR", "own_hosts": ["shop.example", "android-app://example.app"]}
        trial = client.put(url, json=body, headers=DRY)
        assert (trial.json()["version"], trial.headers["Funnelhouse-Dry-Run"]) == (1, "1")
        assert client.get(url).json()["version"] == 0
        put = client.put(url, json=body).json()
        assert put.items() >= {**DEFAULTS, **body, **read, "version": 1}.items()
        assert client.get(url).json() == put
        # What the second version leaves out is the default again, not the first version's.
        assert client.put(url, json={"counts_direct": True}).json()["time_zone"] == "UTC"
        assert client.delete(url, headers=DRY).status_code == 204
        assert client.delete(url).status_code == 204
        assert client.get(url).json().items() >= {**DEFAULTS, "version": 3}.items()
        assert client.delete(url).status_code == 404
        read_key = {"x-api-key": ingest_server.key("settled", "read")}
        assert client.get(url, headers=read_key).status_code == 200
        assert client.put(url, json={}, headers=read_key).status_code == 403
        assert client.delete(url, headers=read_key).status_code == 403


def test_channels_are_versioned_and_without_rules_those_shipped_hold(ingest_server: Server) -> None:
    url = "/v1/projects/channelled/channels"
    with httpx.Client(
        base_url=ingest_server.url, headers={"x-api-key": ingest_server.key("channelled", "admin")}
    ) as client:
        assert client.get(url).json() == {"version": 0, "received_us": None, "rules": []}
        trial = client.put(url, json=CHANNELS.example, headers=DRY)
        assert (trial.json()["version"], client.get(url).json()["version"]) == (1, 0)
        put = client.put(url, json=CHANNELS.example).json()
        assert client.get(url).json() == put
        whole = {"source": None, "medium": None, "campaign": None, "click_id_type": None, "is_paid": None}
        assert put["rules"][2] == {**whole, "channel": "Other ads", "is_paid": True}
        assert put["rules"][1]["medium"] == {"operator": "exact", "values": ["email", "e-mail"]}
        assert client.delete(url).status_code == 204
        assert client.get(url).json().items() >= {"version": 2, "rules": []}.items()
        assert client.delete(url).status_code == 404
        read_key = {"x-api-key": ingest_server.key("channelled", "read")}
        assert client.get(url, headers=read_key).status_code == 200
        assert client.put(url, json={}, headers=read_key).status_code == 403


def model_variables() -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load((CHECKOUT / "dbt_project/dbt_project.yml").read_text())
    return dict(project["vars"])


def test_defaults_of_settings_are_those_of_the_models() -> None:
    variables = model_variables()
    assert DEFAULTS["lookback_days"] == variables["lookback_days"]
    assert DEFAULTS["half_life_days"] == variables["half_life_days"]
    assert DEFAULTS["session_gap_minutes"] == variables["session_gap_minutes"]
    assert DEFAULTS["reporting_currency"] == variables["default_currency"]
    assert variables["hosts_at_most"] == MAX_HOSTS
    assert variables["host_labels_at_most"] == MAX_LABELS


def test_models_read_as_many_steps_and_goals_as_the_api_takes() -> None:
    variables = model_variables()
    steps = FUNNELS.shape.model_json_schema()["properties"]["steps"]["maxItems"]
    goals = EXPERIMENTS.shape.model_json_schema()["properties"]["goal_ids"]["maxItems"]
    assert steps == variables["funnel_steps_at_most"] == MOST_STEPS
    assert goals == variables["experiment_goals_at_most"]


BODIES = {
    **{f"{kind.path}/any": ("PUT", kind.example) for kind in KINDS},
    "settings": ("PUT", SETTINGS.example),
    "channels": ("PUT", CHANNELS.example),
    "costs": ("POST", costs.EXAMPLE),
    "exchange-rates": ("POST", exchange_rates.EXAMPLE),
}


def with_one_part_changed(value: Any, draw: st.DataObject) -> Any:
    """The value with something in it, somewhere, replaced by anything that JSON can say."""
    parts = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    key, part = draw.draw(st.sampled_from(parts))
    if isinstance(part, dict | list) and part and draw.draw(st.booleans()):
        changed = with_one_part_changed(part, draw)
    else:
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800")
        changed = draw.draw(
            st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
        )
    return {**value, key: changed} if isinstance(value, dict) else [*value[:key], changed, *value[key + 1 :]]


# Of many routes, so that the fast tests draw few bodies for each.
@pytest.mark.parametrize("examples", [10, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("path", BODIES)
def test_no_body_ever_causes_a_server_error(client: httpx.Client, path: str, examples: int) -> None:
    method, example = BODIES[path]

    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def is_answered(data: st.DataObject) -> None:
        body = json.dumps(with_one_part_changed(example, data)).encode()
        answer = client.request(method, f"{PROJECT}/{path}", content=body, headers=DRY)
        assert answer.status_code in (200, 400)

    is_answered()
