"""The funnel report over HTTP: the vendor's shape to the letter."""

import base64
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from example_marts import ReadServer, new_key, publish_rows, read_server, stage

from funnelhouse.settings import Settings

NOVEMBER = {"account_id": "shop", "report_type": "Source", "date_range": "20261101,20261130"}
STAGES = ["clicks", "conversions", "microconversions", "add-to-cart", "checkout", "book-a-call", "trial"]


def refused(answer: httpx.Response, status: int, message: str) -> None:
    assert answer.status_code == status
    assert answer.json() == {"status": "error", "message": message}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/funnel", "/v1/funnel/", "/api/report/funnel", "/api/report/funnel/"])
def test_the_report_by_source(server: ReadServer, path: str) -> None:
    answer = server.get(path, **NOVEMBER)
    assert answer.status_code == 200
    # google.ads is shown as Google too; what happened before November only leaves its column.
    values = [[12, 0, 0, 0, 6, 0, 0], [10, 2, 4, 5, 0, 0, 1], [10, 0, 0, 0, 0, 0, 0]]
    assert answer.json() == {
        "status": "ok",
        "data": [
            {"Source": name, **dict(zip(STAGES, row, strict=True))}
            for name, row in zip(
                ["Facebook", "Direct", "Google"], [values[0], values[2], values[1]], strict=True
            )
        ],
    }
    assert list(answer.json()["data"][0]) == ["Source", *STAGES]
    assert answer.headers["funnelhouse-build"]


@pytest.mark.parametrize(
    ("report_type", "key", "rows"),
    [
        ("medium", "Medium", [("social", 12), ("(none)", 10), ("cpc", 10)]),
        ("CAMPAIGN", "Campaign", [("(none)", 20), ("spring", 12)]),
        ("Term", "Term", [("(none)", 32)]),
        ("Content", "Content", [("(none)", 32)]),
        ("country", "Country", [("ES", 20), ("FR", 12)]),
        ("landing PAGE", "Landing page", [("(none)", 20), ("/sale", 12)]),
        ("Device", "Device", [("(none)", 20), ("mobile", 12)]),
        ("goal", "Goal", [("Added to cart", 5), ("buy", 2), ("lead", 2)]),
    ],
)
def test_other_report_types_in_any_case(
    server: ReadServer, report_type: str, key: str, rows: list[tuple[str, int]]
) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, "report_type": report_type})
    assert [(row[key], row["clicks"]) for row in answer.json()["data"]] == rows


def test_goals_have_the_same_columns(server: ReadServer) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, "report_type": "Goal"})
    values = [[5, 0, 9, 0, 0, 0, 0], [2, 3, 0, 0, 3, 0, 0], [2, 1, 0, 0, 0, 0, 0]]
    assert answer.json()["data"] == [
        {"Goal": name, **dict(zip(STAGES, row, strict=True))}
        for name, row in zip(["Added to cart", "buy", "lead"], values, strict=True)
    ]
    answer = server.get("/v1/funnel", **{**NOVEMBER, "report_type": "Goal", "country": "es"})
    assert [row["Goal"] for row in answer.json()["data"]] == ["Added to cart"]


def test_pages_have_every_row_once(home: Settings) -> None:
    # Many equal clicks: only the key tells rows apart.
    rows = [
        stage("clicks", number % 3, source=f"s{number}", source_label=f"s{number}") for number in range(250)
    ]
    publish_rows(home, {"rpt_funnel_stages": rows})
    with read_server(home.home_dir) as server:
        pages = [
            server.get("/v1/funnel", **NOVEMBER, skip=skip).json()["data"] for skip in (0, 100, 200, 300)
        ]
    assert [len(page) for page in pages] == [100, 100, 50, 0]
    found = [(-row["clicks"], row["Source"]) for page in pages for row in page]
    assert found == sorted(found)
    assert len(set(found)) == 250


def test_paging_and_country(server: ReadServer) -> None:
    def sources(**more: object) -> list[str]:
        answer = server.get("/v1/funnel", **NOVEMBER, **more)
        return [row["Source"] for row in answer.json()["data"]]

    assert sources(skip=1, limit=1) == ["Direct"]
    assert sources(skip=3) == []
    assert sources(skip="", limit="", country="") == ["Facebook", "Direct", "Google"]
    assert sources(country="fr") == ["Facebook"]
    assert sources(country="De") == []


def test_days_are_included_at_both_ends(server: ReadServer) -> None:
    for date_range, clicks in (("20261102,20261102", 7), ("20261103,20261103", 3), ("20261102,20261103", 10)):
        answer = server.get("/v1/funnel", **{**NOVEMBER, "date_range": date_range})
        assert {row["Source"]: row["clicks"] for row in answer.json()["data"]}["Google"] == clicks


def test_a_range_without_rows_is_an_empty_list(server: ReadServer) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, "date_range": "20200101,20200131"})
    assert answer.json() == {"status": "ok", "data": []}


def test_checks_come_in_the_documented_order(server: ReadServer) -> None:
    asked: dict[str, str] = {"skip": "-1", "limit": "101", "country": "spain"}
    for name, value in NOVEMBER.items():
        refused(server.get("/v1/funnel", **asked), 400, f"Missing required parameter: {name}")
        refused(server.get("/v1/funnel", **asked, **{name: ""}), 400, f"Missing required parameter: {name}")
        asked[name] = value
    refused(server.get("/v1/funnel", **asked), 400, "Invalid skip: use a whole number from 0")
    asked["skip"] = "0"
    refused(server.get("/v1/funnel", **asked), 400, "Invalid limit: use a whole number from 1 to 100")
    asked["limit"] = "100"
    refused(server.get("/v1/funnel", **asked), 400, "Invalid country: use a two-letter ISO 3166-1 code")
    asked["country"] = "es"
    assert server.get("/v1/funnel", **asked).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("skip", value) for value in ("-1", "1.0", "1e3", "x", "٣", "9" * 19, "9" * 400, " 1")),
        *(("limit", value) for value in ("0", "101", "-1", "5.0", "NaN", "1\x00")),
        *(("country", value) for value in ("ESP", "E", "1a", "''", "\x00\x00", "ñd")),
        *(("report_type", value) for value in ("Sources", "source_label", "1;drop table x", "\ud7ff")),
        *(("date_range", value) for value in ("this_decade", "20260230,20260301", "20260302,20260301")),
    ],
)
def test_bad_values_say_what_would_be_valid(server: ReadServer, name: str, value: str) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, name: value})
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert answer.json()["message"].startswith(f"Invalid {name}: ")
    if len(value) > 2:
        assert value not in answer.json()["message"]


def test_unknown_report_type_names_the_valid_ones(server: ReadServer) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, "report_type": "Keyword"})
    refused(
        answer,
        400,
        "Invalid report_type: use one of "
        "Source, Medium, Campaign, Term, Content, Country, Landing page, Device, Goal",
    )


def test_bytes_that_are_no_text(server: ReadServer) -> None:
    answer = server.client.get("/v1/funnel?account_id=%ff%fe&report_type=Source&date_range=today")
    refused(answer, 404, "Unknown account_id")


@pytest.mark.parametrize("account", ["other", "nobody", "SHOP", "shop'--", "shop.test"])
def test_foreign_and_unknown_accounts_look_alike(server: ReadServer, account: str) -> None:
    answer = server.get("/v1/funnel", **{**NOVEMBER, "account_id": account})
    refused(answer, 404, "Unknown account_id")


def test_keys(server: ReadServer) -> None:
    url = f"{server.client.base_url}/v1/funnel"
    bare = httpx.get(url, params=NOVEMBER)
    refused(bare, 401, "Unauthenticated")
    assert bare.headers["www-authenticate"] == "Bearer"
    wrong = "Bearer fh_live_000000000000_" + "0" * 40
    # The key is checked before anything else.
    refused(httpx.get(url, headers={"Authorization": wrong}), 401, "Unauthenticated")
    ingest_only = new_key(server.settings, scopes=["ingest"])
    refused(httpx.get(url, headers={"x-api-key": ingest_only}), 403, "The API key needs the scope read.")
    basic = base64.b64encode(f"{new_key(server.settings)}:".encode()).decode()
    assert httpx.get(url, params=NOVEMBER, headers={"Authorization": f"Basic {basic}"}).status_code == 200


def test_a_test_key_sees_the_test_project(server: ReadServer) -> None:
    headers = {"x-api-key": new_key(server.settings, is_test=True)}
    answer = httpx.get(f"{server.client.base_url}/v1/funnel", params=NOVEMBER, headers=headers)
    assert [(row["Source"], row["clicks"]) for row in answer.json()["data"]] == [("Google", 1)]


def test_every_error_of_these_paths_has_the_shape(server: ReadServer) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = server.client.request(method, "/v1/funnel", params=NOVEMBER)
        assert answer.status_code == 405
        assert answer.json()["status"] == "error"
        assert answer.headers["allow"] == "GET"
    assert server.client.head("/v1/funnel", params=NOVEMBER).status_code == 405
    for path in ("/api/report/", "/api/report/sales", "/v1/funnel/x"):
        answer = server.get(path)
        assert (answer.status_code, answer.json()["status"]) == (404, "error")


def test_before_the_first_publication(home: Settings) -> None:
    with read_server(home.home_dir) as server:
        refused(
            server.get("/v1/funnel", **NOVEMBER),
            503,
            "Nothing is published to read; run `funnelhouse build`.",
        )


@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+12"])
def test_named_ranges_are_those_of_the_projects_day(home: Settings, zone: str) -> None:
    # 26 hours apart: it is never the same day in both, and one of them is not UTC's.
    today = datetime.now(ZoneInfo(zone)).date()
    rows = [stage("clicks", 10 ** (back + 1), day=f"{today - timedelta(days=back)}") for back in range(-1, 2)]
    rows += [stage("clicks", 1, day=f"{today - timedelta(days=back)}") for back in range(2, 9)]
    publish_rows(
        home, {"rpt_funnel_stages": rows, "dim_projects": [{"project_id": "shop", "time_zone": zone}]}
    )
    with read_server(home.home_dir) as server:
        for date_range, clicks in (("today", 10), ("yesterday", 100), ("last_7_days", 106)):
            answer = server.get("/v1/funnel", **{**NOVEMBER, "date_range": date_range})
            assert answer.json()["data"][0]["clicks"] == clicks
