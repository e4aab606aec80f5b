"""Amounts in one currency over HTTP: `money=reporting` is the same report over the converted columns."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, copied_marts, publish_rows, read_server, serving_two_years
from figures_in_html import Reading
from pages import Page, pages_in, pages_of

from funnelhouse.settings import Settings

REPORTS = "/v1/projects/shop/reports"
MONTH = {"from": "2026-11-21", "to": "2026-12-20"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    """A project with two currencies, of which one has no rate on three days."""
    with serving_two_years(tmp_path_factory.mktemp("one currency")) as server:
        yield server


@pytest.fixture(scope="module")
def marts(shop: ReadServer) -> Iterator[duckdb.DuckDBPyConnection]:
    with copied_marts(shop) as connection:
        yield connection


def body(server: ReadServer, report: str, **asked: Any) -> Any:
    answer = server.get(f"{REPORTS}/{report}", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def currencies(content: Any) -> set[str]:
    """Those of all rows, wherever they stand."""
    if isinstance(content, dict):
        own = {content["currency"]} if "currency" in content else set()
        return own.union(*(currencies(each) for each in content.values()))
    return set().union(*(currencies(each) for each in content)) if isinstance(content, list) else set()


IN_FULL = {"format": "json", "limit": "10000"}
OF_TABLES = {
    "sources": "rpt_traffic",
    "campaigns": "rpt_campaigns",
    "landing-pages": "rpt_landing_pages",
    "pages": "rpt_pages",
    "paths": "rpt_paths",
    "time-to-convert": "rpt_time_to_convert",
    "cohorts": "rpt_cohorts",
    "conversions": "fct_conversions",
    "costs": "fct_costs",
}


@pytest.mark.parametrize("report", OF_TABLES)
def test_a_report_in_one_currency_adds_up_to_the_converted_amounts(
    shop: ReadServer, marts: duckdb.DuckDBPyConnection, report: str
) -> None:
    column = "amount_minor" if report == "costs" else "net_amount_minor"
    found: dict[str, int] = {}
    following: dict[str, str] = {}
    while following is not None:
        answer = body(shop, report, money="reporting", **IN_FULL, **following)
        for row in answer["rows"]:
            found[row["currency"]] = found.get(row["currency"], 0) + (row[column] or 0)
        following = {"cursor": answer["next"]} if answer["next"] else None  # type: ignore[assignment]
    ((right,),) = marts.execute(f"select sum(reporting_{column}) from {OF_TABLES[report]}").fetchall()
    assert found == {"USD": int(right)}


@pytest.mark.parametrize(
    ("report", "asked"),
    [
        ("summary", {}),
        ("changes", {"compare": "previous"}),
        ("attribution", {"model": "linear,first_touch"}),
        ("attribution", {"goal_id": "sale"}),
        ("performance", {"by": "source,medium"}),
        ("timeline", {"metric": "ad_spend"}),
        ("sources", {"as_of": "2026-12-15"}),
    ],
)
def test_a_report_is_in_one_currency_where_that_is_asked(
    shop: ReadServer, report: str, asked: dict[str, str]
) -> None:
    plain = body(shop, report, **asked, **MONTH)
    assert plain == body(shop, report, money="reported", **asked, **MONTH)
    found = body(shop, report, money="reporting", **asked, **MONTH)
    assert found != plain
    if report != "timeline":
        assert (currencies(plain), currencies(found)) == ({"USD", "EUR"}, {"USD"})


def test_revenue_spend_and_their_ratios_are_in_one_currency(
    shop: ReadServer, marts: duckdb.DuckDBPyConnection
) -> None:
    asked = {"columns": "conversions,net_amount,aov,spend,cpa,roas,profit", "by": "source"}
    total = body(shop, "performance", money="reporting", **asked, **MONTH)["total"]
    [money] = total["money"]
    ((net, orders),) = marts.execute(
        "select sum(reporting_net_amount_minor), "
        "count(*) filter (where state = 'approved' and reporting_net_amount_minor is not null) "
        "from fct_conversions where conversion_date > date '2026-11-20'"
    ).fetchall()
    ((spent,),) = marts.execute(
        "select sum(reporting_amount_minor) from fct_costs where cost_date > date '2026-11-20'"
    ).fetchall()
    assert (money["net_amount_minor"], money["spend_minor"]) == (net, spent)
    assert money["profit_minor"] == net - spent
    assert money["roas"] == pytest.approx(float(net / spent), abs=1e-4)
    # An order that has no rate is neither in the amount nor among what it is divided by.
    assert money["aov_minor"] == round(Decimal(net) / orders)
    assert money["cpa_minor"] == round(Decimal(spent) / Decimal(str(total["conversions"])))


def test_what_has_no_rate_is_said(shop: ReadServer, marts: duckdb.DuckDBPyConnection) -> None:
    found = body(shop, "unconverted", **MONTH)["rows"]
    missing = "currency = 'EUR' and {} between date '2026-12-08' and date '2026-12-10'"
    ((conversions, amount),) = marts.execute(
        "select count(*), sum(amount_minor) from fct_conversions where state <> 'rejected' "
        f"and amount_minor is not null and {missing.format('conversion_date')}"
    ).fetchall()
    expected = [{"kind": "conversions", "currency": "EUR", "count": conversions, "amount_minor": amount}]
    expected.append({"kind": "refunds", "currency": "EUR", "count": 1, "amount_minor": -2000})
    assert [each for each in found if each["kind"] != "costs"] == expected
    rows = body(shop, "conversions", money="reporting", **{"from": "2026-12-08", "to": "2026-12-10"})["rows"]
    without = [each for each in rows if each["net_amount_minor"] is None]
    assert len(without) >= conversions > 0
    # A filter narrows it, and leaves out what no filter knows anything of.
    narrowed = body(shop, "unconverted", f="country:is:XX", **MONTH)["rows"]
    assert [each for each in narrowed if each["kind"] != "costs"] == []
    assert body(shop, "unconverted", **{"from": "2026-12-11", "to": "2026-12-12"})["rows"] == []


@pytest.mark.parametrize(
    ("words", "mart"),
    [
        ("column=sum(net_amount_minor)&currency=USD&source=google", "rpt_traffic"),
        ("column=sum(net_amount_minor)&currency=USD", "rpt_landing_pages"),
        ("column=sum(converting_sessions)&currency=USD", "rpt_landing_pages"),
        ("column=sum(converting_sessions)", "rpt_landing_pages"),
        ("column=sum(cost_minor)&currency=USD", "rpt_campaigns"),
        ("column=sum(credited_amount_minor)&currency=USD&model=linear", "fct_attribution"),
        ("column=sum(amount_minor)&currency=USD&conversion_id.is=null", "fct_conversion_ledger"),
        ("column=sum(amount_minor)&currency=USD&source=google", "fct_costs"),
        ("column=count(distinct currency)", "rpt_traffic"),
        ("column=count(distinct campaign)&source=google", "rpt_campaigns"),
        ("column=sum(net_amount_minor)&currency=USD&path_rank=7", "rpt_paths"),
    ],
)
def test_the_receipt_of_a_converted_figure_adds_up(
    shop: ReadServer, marts: duckdb.DuckDBPyConnection, words: str, mart: str
) -> None:
    answer = shop.client.get(f"/v1/projects/shop/receipt?mart=reporting.{mart}&{words}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    [part] = found["parts"]
    assert found["agrees"] and part["mart"] == f"reporting.{mart}"
    # As somebody would type it, which then finds the same.
    first, *_ = part["statement"].split("\n\n-- The same")
    with marts.cursor() as typed:
        ((number,),) = typed.execute(first).fetchall()
    assert first.startswith("set search_path = 'reporting,main';")
    assert Decimal(str(found["number"])) == Decimal(number)
    pages = shop.client.get(f"/v1/projects/shop/receipt?mart=reporting.{mart}&{words}&limit=7").json()
    assert json.dumps(pages["rows"]) == json.dumps(found["rows"][:7])


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        (f"{REPORTS}/summary?money=dollars", "money must be one of reported, reporting"),
        (f"{REPORTS}/performance?money=USD", "money must be one of reported, reporting"),
        (f"{REPORTS}/goals?money=reporting", "Unknown parameter"),
        ("/v1/projects/shop/receipt?mart=reporting.fct_sessions&column=count(*)", "mart must be one of"),
        ("/v1/projects/shop/receipt?mart=lookup.fct_sessions&column=count(*)", "mart must be one of"),
        (
            "/v1/projects/shop/receipt?mart=reporting.rpt_campaigns&column=sum(net_amount_minor)&currency=USD"
            "&over-mart=rpt_campaigns&over-column=sum(cost_minor)&over-currency=USD",
            "over-mart must be reporting.rpt_campaigns",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(shop: ReadServer, address: str, detail: str) -> None:
    answer = shop.client.get(address)
    assert (answer.status_code, answer.json()["detail"][: len(detail)]) == (400, detail)


def test_exports_stay_as_they_are(shop: ReadServer) -> None:
    rows = shop.get("/v1/projects/shop/marts/fct_costs", currency="EUR", limit="5").json()["rows"]
    assert {row["currency"] for row in rows} == {"EUR"}
    assert shop.get("/v1/projects/shop/marts/fct_costs", money="reporting").status_code == 400


@pytest.fixture(scope="module")
def page(shop: ReadServer) -> Page:
    return pages_in(shop.settings)


def test_pages_offer_the_choice_and_keep_it(page: Page) -> None:
    plain = page("overview")
    assert '<select id="money" name="money">' in plain
    assert "All in USD" in plain and "As reported" in plain
    # Until somebody chooses, addresses are without it.
    assert "money=" not in plain.replace("money=reported", "", 1)
    reported = page("overview?money=reported")
    assert "performance?money=reported" in reported
    of_marts = {shown.said["mart"] for shown in Reading(reported).shown}
    assert not any(mart.startswith("reporting.") for mart in of_marts)
    # Where it makes no difference, it is kept and not shown.
    goals = page("goals?money=reported")
    assert 'id="money"' not in goals and "overview?money=reported" in goals


@pytest.mark.parametrize(
    "path",
    ["overview", "performance", "landing-pages", "attribution", "conversions", "revenue", "paths", "cohorts"],
)
def test_pages_say_what_is_not_converted(page: Page, path: str) -> None:
    shown = [each for each in Reading(page(path)).shown if each.panel.name == "unconverted-title"]
    assert len(shown) >= 2 and shown[0].said["mart"] == "fct_conversions"
    assert "unconverted-title" not in page(f"{path}?money=reported")


def test_an_address_of_pages_that_cannot_be_read_shows_no_figures(page: Page) -> None:
    html = page("performance?money=dollars&f=source:is:google", status=400)
    assert "money must be one of reported, reporting" in html
    assert 'href="/app/projects/shop/performance?f=source%3Ais%3Agoogle"' in html
    assert "<data" not in html


def test_a_project_with_one_currency_has_no_choice(tmp_path: Path) -> None:
    page = pages_of(Settings(home=tmp_path / "home"), EXAMPLE_ROWS)
    html = page("overview?dates=all")
    assert 'id="money"' not in html and "reporting." not in html


def test_a_build_of_an_older_version_says_that_it_has_no_such_amounts(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    publish_rows(home, EXAMPLE_ROWS)
    with duckdb.connect(str(home.published_dir / "current" / "marts.duckdb")) as marts:
        marts.execute("drop schema reporting cascade")
    with read_server(home.home_dir) as server:
        refused = server.get(f"{REPORTS}/summary", money="reporting")
        assert refused.status_code == 400
        assert refused.json()["detail"].endswith("no amounts in one currency; the next one has them")
        assert body(server, "summary", money="reported") == body(server, "summary")
        assert body(server, "unconverted")["rows"] == []
        receipt = "/v1/projects/shop/receipt?mart=reporting.rpt_traffic&column=sum(net_amount_minor)"
        assert server.client.get(receipt).status_code == 400
    page = pages_in(home)
    assert 'id="money"' not in page("overview?dates=all")
    assert "no amounts in one currency" in page("overview?money=reporting", status=400)
    assert page("goals?money=reporting")
