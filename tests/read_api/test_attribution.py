"""The attribution report over HTTP."""

from typing import Any

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, credit, new_key, publish_rows, read_server

from funnelhouse.settings import Settings

MODELS = "model must be one of first_touch, last_touch, linear; or several, parted by commas"
PATH = "/v1/projects/shop/reports/attribution"


def figures(answer: httpx.Response) -> list[tuple[Any, ...]]:
    assert answer.status_code == 200, answer.text
    return [
        (row["value"], row["currency"], row["conversions"], row["net_amount_minor"])
        for row in answer.json()["rows"]
    ]


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return str(answer.json()["detail"])


def test_defaults_are_last_touch_by_source_over_all_time(server: ReadServer) -> None:
    answer = server.get(PATH)
    assert figures(answer) == [
        ("google", "USD", 2.666666667, 1700),
        ("facebook", "JPY", 2, 40),
        ("facebook", "USD", 0.666666667, 9000),
    ]
    body = answer.json()
    assert (body["models"], body["dimension"], body["from"], body["to"]) == (
        ["last_touch"],
        "source",
        None,
        None,
    )
    assert body["build"] == answer.headers["funnelhouse-build"]
    assert body["totals"] == [
        {"currency": "JPY", "model": "last_touch", "conversions": 2, "net_amount_minor": 40},
        {"currency": "USD", "model": "last_touch", "conversions": 3.333333334, "net_amount_minor": 10700},
    ]
    # Written out in full: parsing it as a decimal gives the very sum of the shares.
    assert '"conversions":2.666666667,' in answer.text


def test_the_default_model_is_the_builds(home: Settings) -> None:
    [shop] = [row for row in EXAMPLE_ROWS["dim_projects"] if row["project_id"] == "shop"]
    publish_rows(home, {"dim_projects": [{**shop, "default_model": "linear"}]})
    with read_server(home.home_dir) as server:
        assert server.get(PATH).json()["models"] == ["linear"]
        # Whoever has sent nothing yet has the model of the others.
        quiet = {"Authorization": f"Bearer {new_key(home, 'quiet')}"}
        address = f"{server.client.base_url}/v1/projects/quiet/reports/attribution"
        assert httpx.get(address, headers=quiet).json()["models"] == ["linear"]
        publish_rows(home, {})
        assert server.get(PATH).json()["models"] == ["last_touch"]


def test_dimensions_and_models(server: ReadServer) -> None:
    assert figures(server.get(PATH, dimension="campaign")) == [
        (None, "USD", 3, 10500),
        (None, "JPY", 2, 40),
        ("spring", "USD", 0.333333334, 200),
    ]
    assert figures(server.get(PATH, dimension="medium", model="first_touch")) == [("social", "USD", 3, 9500)]


def test_several_models_stand_side_by_side(server: ReadServer) -> None:
    rows = server.get(PATH, model="last_touch,first_touch,last_touch").json()["rows"]
    assert [(row["value"], row["currency"], row["model"], row["net_amount_minor"]) for row in rows] == [
        ("google", "USD", "last_touch", 1700),
        ("google", "USD", "first_touch", 0),
        ("facebook", "JPY", "last_touch", 40),
        ("facebook", "JPY", "first_touch", 0),
        ("facebook", "USD", "last_touch", 9000),
        ("facebook", "USD", "first_touch", 9500),
    ]
    first = server.get(PATH, model="last_touch,first_touch", limit=1).json()
    second = server.get(PATH, model="last_touch,first_touch", limit=2, cursor=first["next"]).json()
    assert first["rows"] + second["rows"] == rows
    assert second["next"] is None


@pytest.mark.parametrize(
    ("first", "last", "google"),
    [
        ("2026-11-03", "2026-11-05", 700),
        ("2026-11-02", "2026-11-02", 1000),
        ("2026-11-03", "", 700),
        ("", "2026-11-03", 1500),
    ],
)
def test_both_days_are_included(server: ReadServer, first: str, last: str, google: int) -> None:
    rows = figures(server.get(PATH, **{"from": first, "to": last}))
    assert next(row for row in rows if row[:2] == ("google", "USD"))[3] == google


def test_days_without_conversions_are_empty_lists(server: ReadServer) -> None:
    body = server.get(PATH, to="2020-01-01").json()
    assert (body["rows"], body["totals"]) == ([], [])


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        ({"model": "best_touch"}, MODELS),
        ({"model": "linear,"}, MODELS),
        ({"dimension": "country"}, "dimension must be one of source, medium, campaign, channel"),
        ({"from": "20261101"}, "from must be a date as YYYY-MM-DD"),
        ({"to": "2026-02-30"}, "to must be a date as YYYY-MM-DD"),
        ({"to": "2026-W01-1"}, "to must be a date as YYYY-MM-DD"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "from must not be after to"),
    ],
)
def test_bad_values_say_what_would_be_valid(
    server: ReadServer, parameters: dict[str, str], detail: str
) -> None:
    assert problem(server.get(PATH, **parameters), 400) == detail


def test_who_may_ask(server: ReadServer) -> None:
    base = server.client.base_url
    assert problem(httpx.get(f"{base}{PATH}"), 401)
    assert problem(server.get("/v1/projects/other/reports/attribution"), 404)
    assert problem(server.get("/v1/projects/nobody/reports/attribution"), 404)
    ingest_only = {"x-api-key": new_key(server.settings, scopes=["ingest"])}
    assert problem(httpx.get(f"{base}{PATH}", headers=ingest_only), 403)
    assert problem(server.get("/v1/projects/shop/reports/nothing"), 404)
    assert problem(server.client.post(PATH), 405)


def test_an_empty_build_answers_empty_lists_for_its_models(home: Settings) -> None:
    publish_rows(home, {})
    with read_server(home.home_dir) as server:
        for model in ("last_touch", "first_touch", "linear"):
            body = server.get(PATH, model=model).json()
            assert (body["rows"], body["totals"]) == ([], [])
        assert problem(server.get(PATH, model="x"), 400) == (MODELS)
        report = server.get("/v1/funnel", account_id="shop", report_type="Source", date_range="today")
        assert report.json() == {"status": "ok", "data": []}


def test_sums_beyond_64_bits_are_exact(home: Settings) -> None:
    huge = 2**63 - 1
    rows = [credit("google", huge, huge), credit("google", huge, huge, day="2026-11-03")]
    publish_rows(home, {"rpt_attribution": rows})
    with read_server(home.home_dir) as server:
        assert '"conversions":18446744073.709551614,' in server.get(PATH).text
        assert figures(server.get(PATH))[0][3] == 2 * huge
