"""Performance: every grouping under every filter adds up, to the cent, and is what a plain reading finds."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from example_marts import ReadServer, publish_rows, read_server
from hypothesis import given, settings
from hypothesis import strategies as st
from random_shop import DAYS, FIRST_DAY, MODELS, MORE_COLUMNS, REPORTS, RandomShop, random_shop

from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from read_api.filters import DIMENSIONS, Filter
from read_api.parameters import Days, Page
from read_api.performance import performance
from read_api.performance_lines import COLUMNS, OF_CONVERSIONS, OF_SPEND, Asked, Line
from read_api.publications import Publications
from read_api.reader import Reader

REPORT = "/v1/projects/shop/reports/performance"
EVERYTHING = Page(10_000)


@pytest.fixture(scope="module")
def shop() -> RandomShop:
    return random_shop(Random(20))


@pytest.fixture(scope="module")
def home(shop: RandomShop, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    house = Settings(home=tmp_path_factory.mktemp("performance") / "home")
    plain = {
        mart: [{name: value for name, value in row.items() if name not in NEW.get(mart, ())} for row in rows]
        for mart, rows in shop.rows.items()
    }
    publish_rows(house, plain, sql=MORE_COLUMNS + updates(shop) + REPORTS)
    return house


NEW = {
    "fct_sessions": ("device", "new_or_returning", "channel"),
    "fct_touches": ("channel",),
    "fct_attribution": ("channel",),
    "fct_costs": ("channel",),
}
"""Columns that builds of older versions lack."""


def updates(shop: RandomShop) -> str:
    """Their values, in SQL."""
    keys = {"fct_sessions": "session_id", "fct_touches": "touch_id", "fct_attribution": "attribution_id"}
    found = []
    for mart, key in keys.items():
        for row in shop.rows[mart]:
            said = ", ".join(
                f"{name} = {'null' if row[name] is None else repr(row[name])}" for name in NEW[mart]
            )
            found.append(f"update {mart} set {said} where {key} = {row[key]!r};")
    by_source = {"google": "Paid Search", "Bing": "Organic"}
    cases = " ".join(f"when {source!r} then {channel!r}" for source, channel in by_source.items())
    return "".join(found) + f"update fct_costs set channel = case source {cases} else 'Unassigned' end;"


@pytest.fixture(scope="module")
def reader(home: Settings) -> Iterator[Reader]:
    with Publications(home.published_dir).current("shop") as opened:
        yield opened


def values_of(dimension: str) -> st.SearchStrategy[tuple[str, tuple[str, ...]]]:
    known = {
        "source": ("google", "Bing", "=news", "nobody"),
        "medium": ("cpc",),
        "campaign": ("spring", "100%"),
        "country": ("DE", "US"),
        "landing_page": ("/a", "/b"),
        "goal": ("sale", "lead"),
        "conversion": ("purchase",),
        "visitor": ("new",),
    }.get(dimension, ("a", "mobile", "shoes", "Paid Search"))
    chosen = st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True).map(tuple)
    return st.one_of(
        st.tuples(st.sampled_from(("is", "is_not", "contains")), chosen),
        st.tuples(st.sampled_from(("empty", "set")), st.just(())),
    )


FILTERS = st.lists(
    st.sampled_from(sorted(DIMENSIONS)).flatmap(
        lambda name: values_of(name).map(lambda asked: Filter(name, *asked))
    ),
    max_size=3,
    unique_by=lambda each: each.dimension,
).map(tuple)
ANY_DAYS = st.one_of(
    st.just(Days()),
    st.tuples(st.integers(0, DAYS - 1), st.integers(0, DAYS)).map(
        lambda two: Days(FIRST_DAY + timedelta(days=two[0]), FIRST_DAY + timedelta(days=sum(two)))
    ),
)
ASKED = st.builds(
    Asked,
    by=st.lists(st.sampled_from(sorted(DIMENSIONS)), min_size=1, max_size=3, unique=True).map(tuple),
    days=ANY_DAYS,
    compared=st.one_of(st.none(), ANY_DAYS),
    filters=FILTERS,
    model=st.sampled_from(("", *MODELS)),
    days_of=st.sampled_from(("conversion", "conversion", "click")),
    columns=st.just((*COLUMNS, "conversion:purchase", "goal:sale")),
    search=st.sampled_from(("", "", "g", "spring")),
)


def holds(row: dict[str, Any], each: Filter) -> bool:
    given = row[each.dimension]
    values = given if isinstance(given, set) else {given} - {None}
    match each.operator:
        case "is":
            return bool(values & set(each.values))
        case "is_not":
            return not values & set(each.values)
        case "contains":
            return any(part.lower() in value.lower() for value in values for part in each.values)
        case "empty":
            return not values
        case _:
            return bool(values)


def on(day: date | None, days: Days) -> bool:
    return day is not None and days.bounds[0] <= day <= days.bounds[1]


def expected(shop: RandomShop, asked: Asked, days: Days) -> dict[str, dict[tuple[Any, ...], Any]]:
    """By measure, values of `by` and, of money, the currency."""
    filters = asked.filters
    if asked.search:
        filters = (*filters, Filter(asked.by[0], "contains", (asked.search,)))
    model = asked.model or "last_touch"
    found: dict[str, dict[tuple[Any, ...], Any]] = defaultdict(lambda: defaultdict(int))

    def values(row: dict[str, Any]) -> list[tuple[Any, ...]]:
        all_of: list[tuple[Any, ...]] = [()]
        for name in asked.by:
            given = row[name]
            each = (sorted(given) or [None]) if isinstance(given, set) else [given]
            all_of = [(*before, value) for before in all_of for value in each]
        return all_of

    for row in shop.credits:
        day = row["clicked" if asked.days_of == "click" else "day"]
        if row["model"] == model and on(day, days) and all(holds(row, each) for each in filters):
            for key in values(row):
                found["credit"][key] += row["credit_nano"]
                found["net"][*key, row["currency"]] += row["credited_amount_minor"]
                found["pending"][key] += row["credit_nano"] if row["state"] == "pending" else 0
                found["goal:sale"][key] += row["credit_nano"] if "sale" in row["goal"] else 0
    of_sessions = [each for each in filters if each.dimension not in OF_CONVERSIONS]
    people: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    if not set(asked.by) & set(OF_CONVERSIONS):
        for row in shop.visits:
            if on(row["day"], days) and all(holds(row, each) for each in of_sessions):
                for key in values(row):
                    found["sessions"][key] += 1
                    people[key].add(row["person_id"])
    found["people"] = {key: len(each) for key, each in people.items()}
    if {*asked.by, *(each.dimension for each in of_sessions)} <= set(OF_SPEND):
        for row in shop.costs:
            is_ours = row["project_id"] == "shop" and on(row["cost_date"], days)
            if is_ours and all(holds(row, each) for each in of_sessions):
                for key in values(row):
                    found["cost"][*key, row["currency"]] += row["amount_minor"]
    return {measure: {key: n for key, n in of.items() if n} for measure, of in found.items()}


def answered(lines: list[Line], measure: str, period: int, money: bool) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = {}
    for line in lines:
        for currency in line.sums[period] if money else [None]:
            if money and currency is None:
                continue
            figure = line.figure(measure, period, currency)
            if figure and figure.total:
                key = (*line.values, currency) if money else line.values
                scale = 10**9 if measure in ("credit", "pending", "goal:sale") else 1
                found[key] = figure.total * scale
    return found


@settings(max_examples=30, deadline=None)
@given(asked=ASKED)
def test_every_grouping_is_what_a_plain_reading_finds(shop: RandomShop, reader: Reader, asked: Asked) -> None:
    if "goal" in asked.by:
        # Conversions by goal that have another goal: see the docstring of `performance`.
        asked = replace(asked, columns=tuple(COLUMNS))
    found = performance(reader, "shop", replace(asked, page=EVERYTHING))
    assert found.other is None
    assert found.values == len(found.lines) == len({line.values for line in found.lines})
    for period, days in enumerate([asked.days, *([asked.compared] if asked.compared else [])]):
        right = expected(shop, asked, days)
        for measure in ("sessions", "people", "credit", "pending", "net", "cost", "goal:sale"):
            if measure == "goal:sale" and "goal" in asked.by:
                continue
            if measure == "cost" and asked.by == ("landing_page",):
                continue
            money = measure in ("net", "cost")
            said = answered(found.lines, measure, period, money)
            assert said == right.get(measure, {}), (measure, asked)
    assert_proven(reader, found.lines[:2], found.total)


def assert_proven(reader: Reader, lines: list[Line], total: Line) -> None:
    """Each figure is what its own rows say."""
    for line in (*lines, total):
        for measure in ("sessions", "people", "credit", "pending", "settled", "cost", "net"):
            for currency in (None, *line.currencies("net", "cost", "credit")):
                if currency and measure in ("sessions", "people"):
                    continue
                figure = line.figure(measure, 0, currency)
                if figure is not None:
                    read = figure.of.read(reader, figure.column)
                    scale = 10**9 if "_nano" in figure.column else 1
                    assert figure.total * scale == read.total, (measure, figure)


ADDED = ("sessions", "credit", "pending", "net")


@settings(max_examples=12, deadline=None)
@given(asked=ASKED, size=st.integers(1, 5))
def test_lines_and_other_add_up_and_children_to_their_parent(reader: Reader, asked: Asked, size: int) -> None:
    by = tuple(name for name in asked.by if name != "goal") or ("source",)
    asked = replace(asked, by=by[:1], page=Page(size))
    found = performance(reader, "shop", asked)
    lines = [*found.lines, *([found.other] if found.other else [])]
    for measure in ADDED:
        if measure != "sessions" or by[0] not in OF_CONVERSIONS:
            assert summed(lines, measure) == summed([found.total], measure), measure
    assert (found.other is None) == (found.others == 0)
    if len(by) == 1:
        return
    for parent in found.lines:
        branch = replace(asked, by=by[1:2], within=((by[0], parent.values[0]),), search="")
        children = performance(reader, "shop", branch)
        every = [*children.lines, *([children.other] if children.other else [])]
        for measure in ADDED:
            if parent.figure(measure) is not None and every and every[0].figure(measure) is not None:
                assert summed(every, measure) == summed([parent], measure), (measure, branch)
        assert_proven(reader, children.lines[:1], children.total)


def summed(lines: list[Line], measure: str) -> dict[str | None, Any]:
    """By currency, where the measure has one."""
    found: dict[str | None, Any] = defaultdict(int)
    for line in lines:
        for currency in [None] if measure == "sessions" else line.currencies("credit", "net"):
            figure = line.figure(measure, 0, currency)
            found[currency] += figure.total if figure is not None else 0
    return {currency: number for currency, number in found.items() if number}


@pytest.fixture(scope="module")
def served(home: Settings) -> Iterator[ReadServer]:
    with read_server(home.home_dir) as running:
        yield running


def body(server: ReadServer, report: str = "performance", **parameters: Any) -> Any:
    answer = server.get(f"/v1/projects/shop/reports/{report}", **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(server: ReadServer, report: str = "performance", **parameters: Any) -> str:
    answer = server.get(f"/v1/projects/shop/reports/{report}", **parameters)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_pages_of_the_report_are_all_rows_and_each_adds_up_to_the_total(served: ReadServer) -> None:
    asked = {"by": "source,campaign", "columns": "sessions,conversions,net_amount", "sort": "-net_amount"}
    whole = body(served, **asked)
    assert whole["other"] is None
    rows, cursor = [], ""
    while cursor is not None:
        page = body(served, **asked, limit=5, cursor=cursor)
        lines = [*page["rows"], *([page["other"]] if page["other"] else [])]
        assert (
            sum(row["sessions"] for row in lines) == page["total"]["sessions"] == whole["total"]["sessions"]
        )
        for currency in ("USD", "EUR"):
            assert sum(minor(row, currency) for row in lines) == minor(page["total"], currency)
        assert page["others"] == len(whole["rows"]) - len(page["rows"])
        rows += page["rows"]
        cursor = page["next"]
    assert rows == whole["rows"]
    sold = [(minor(row, "USD"), minor(row, "EUR")) for row in rows]
    assert sold == sorted(sold, reverse=True)


def minor(row: Any, currency: str) -> int:
    return sum(each["net_amount_minor"] or 0 for each in row["money"] if each["currency"] == currency)


def test_a_file_has_the_rows_with_the_columns_asked_for(served: ReadServer) -> None:
    asked = {"by": "source,conversion", "columns": "conversions,net_amount,goal:sale", "sort": "-conversions"}
    answer = served.get(
        REPORT, format="csv", compare="own", compare_from="2026-11-01", compare_to="2026-11-04", **asked
    )
    assert answer.headers["content-type"].startswith("text/csv")
    heads, *lines = list(csv.reader(io.StringIO(answer.text)))
    assert heads == [
        "source",
        "conversion",
        "conversions",
        "conversions_compared",
        "net_amount_minor_USD",
        "net_amount_minor_EUR",
        "net_amount_minor_USD_compared",
        "net_amount_minor_EUR_compared",
        "goal:sale",
        "goal:sale_compared",
    ]
    rows = body(served, **asked)["rows"]
    # What a spreadsheet would take for a formula is led by an apostrophe.
    named = [
        [("'" if (row["values"][0] or "")[:1] == "=" else "") + row["values"][0], row["values"][1] or ""]
        for row in rows
    ]
    assert [line[:2] for line in lines] == named
    assert [Decimal(line[2]) for line in lines] == [Decimal(str(row["conversions"])) for row in rows]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "source,source"}, "by must be up to 3 different dimensions"),
        ({"by": "source,medium,campaign,country"}, "by must be up to 3 different dimensions"),
        ({"by": "person_id"}, "by must be up to 3 different dimensions"),
        ({"columns": "sessions,cpc"}, "columns must be of sessions, people"),
        ({"columns": "goal:"}, "columns must be of sessions, people"),
        ({"columns": ",".join(f"goal:{number}" for number in range(9))}, "columns may name 8"),
        ({"sort": "-profit"}, "sort must be one of source, sessions"),
        ({"sort": "sessions_change"}, "sort must be one of source, sessions"),
        ({"sort": "--sessions"}, "sort must be one of source, sessions"),
        ({"model": "best"}, "model must be one of first_touch"),
        ({"days_of": "sale"}, "days_of must be one of conversion, click"),
        ({"search": "x" * 501}, "search has at most 500"),
        ({"search": "a\0"}, "search has at most 500"),
        ({"compare": "previous"}, "compare needs from and to"),
        ({"compare": "year", "from": "0001-01-01", "to": "0001-02-01"}, "compare needs from and to"),
        ({"f": "source"}, "f=source must be followed by"),
        ({"sorce": "google"}, "Unknown parameter"),
    ],
)
def test_what_cannot_be_answered_is_said(served: ReadServer, asked: dict[str, str], said: str) -> None:
    assert refused(served, **asked).startswith(said)


@pytest.mark.parametrize("days", [("0001-01-01", "9999-12-31"), ("9999-12-31", "9999-12-31")])
def test_days_at_the_ends_of_the_calendar_are_days(served: ReadServer, days: tuple[str, str]) -> None:
    for days_of in ("click", "conversion"):
        found = body(served, days_of=days_of, **dict(zip(("from", "to"), days, strict=True)))
        assert bool(found["rows"]) == (days[0] == "0001-01-01")


def test_spend_is_said_to_be_unknown_where_it_is(served: ReadServer) -> None:
    found = body(served, by="country", columns="spend,cpa,roas,profit")
    assert all(set(row["reasons"]) == {"spend", "cpa", "roas", "profit"} for row in found["rows"])
    assert [each["spend_minor"] for each in found["total"]["money"]] > [0]
    filtered = body(served, columns="spend", f="country:is:DE")
    assert filtered["total"]["money"] == []
    assert "ad spend is known by source" in filtered["total"]["reasons"]["spend"]
    by_page = body(served, by="landing_page", columns="spend")
    spent = {row["values"][0]: row["money"] for row in by_page["rows"]}
    assert spent[None] and spent["/a"]
    assert by_page["total"]["money"] == body(served, columns="spend")["total"]["money"]


@pytest.mark.parametrize("filters", [["source:is:google"], ["medium:is_not:cpc", "campaign:contains:SPRING"]])
def test_other_reports_take_the_same_filters(served: ReadServer, filters: list[str]) -> None:
    wanted = body(served, columns="sessions,conversions,net_amount", f=filters)["total"]
    # Over all currencies: sessions count on the project's own.
    for report in ("sources", "campaigns"):
        rows = body(served, report, f=filters)["rows"]
        assert sum(row["sessions"] for row in rows) == wanted["sessions"], report
        assert sum(Decimal(str(row["conversions"])) for row in rows) == Decimal(str(wanted["conversions"]))
        for currency in ("USD", "EUR"):
            of = [row["net_amount_minor"] for row in rows if row["currency"] == currency]
            assert sum(of) == minor(wanted, currency), report
    credited = body(served, "attribution", f=filters)["totals"]
    assert sum(Decimal(str(row["conversions"])) for row in credited) == Decimal(str(wanted["conversions"]))
    landed = body(served, "landing-pages", f=filters)["rows"]
    assert sum(row["sessions"] for row in landed) == wanted["sessions"]


def test_reports_name_the_filters_that_they_take(served: ReadServer) -> None:
    assert refused(served, "campaigns", f="country:is:DE").endswith("source, medium, campaign, channel")
    assert refused(served, "attribution", f="device:is:mobile").endswith("source, medium, campaign, channel")
    assert refused(served, "sources", f="goal:is:sale").startswith("this report cannot be filtered by goal")
    for dimension in DIMENSIONS:
        body(served, "landing-pages", f=f"{dimension}:set")


def test_landing_pages_filtered_by_sessions_are_a_plain_count(served: ReadServer, shop: RandomShop) -> None:
    filters = [Filter("source", "is", ("google", "Bing")), Filter("goal", "is_not", ("sale",))]
    found = body(served, "landing-pages", f=["source:is:google", "source:is:Bing", "goal:is_not:sale"])[
        "rows"
    ]
    visits = [row for row in shop.visits if holds(row, filters[0])]
    counted: dict[str, int] = defaultdict(int)
    for row in visits:
        counted[row["landing_page"] or "(none)"] += 1
    said: dict[str, int] = defaultdict(int)
    sales: dict[str, int] = defaultdict(int)
    for row in found:
        said[row["landing_page"]] += row["sessions"]
        sales[row["landing_page"]] += row["conversions"]
    assert said == counted
    goals = defaultdict(set)
    for row in shop.rows["fct_goal_completions"]:
        goals[row["conversion_id"]].add(row["goal_id"])
    wanted: dict[str, int] = defaultdict(int)
    for row in shop.rows["fct_conversions"]:
        session = next((each for each in visits if each["session_id"] == row["session_id"]), None)
        if session and row["state"] != "rejected" and "sale" not in goals[row["conversion_id"]]:
            wanted[session["landing_page"] or "(none)"] += 1
    assert {page: count for page, count in sales.items() if count} == dict(wanted)


def test_a_build_of_an_older_version_says_what_it_does_not_know(home: Settings, tmp_path: Any) -> None:
    house = Settings(home=tmp_path / "old")
    without = "alter table rpt_traffic drop column if exists channel;" + "".join(
        f"alter table {mart} drop column if exists {column};"
        for mart, columns in NEW.items()
        for column in columns
    )
    publish_rows(
        house, {}, sql=without + "alter table rpt_landing_pages drop column if exists shared_cost_minor;"
    )
    with Publications(house.published_dir).current("shop") as opened:
        assert not performance(opened, "shop", Asked(by=("landing_page",))).lines
        for asked in (Asked(by=("channel",)), Asked(by=("device",), model="linear")):
            with pytest.raises(Refusal) as refusal:
                performance(opened, "shop", asked)
            assert refusal.value.status == 400
