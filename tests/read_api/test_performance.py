"""Performance: every grouping under every filter adds up, to the cent, and is what a plain reading finds."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from example_marts import publish_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from random_shop import DAYS, FIRST_DAY, MODELS, MORE_COLUMNS, REPORTS, RandomShop, random_shop

from funnelhouse.settings import Settings
from read_api.filters import DIMENSIONS, Filter
from read_api.parameters import Days, Page
from read_api.performance import COLUMNS, OF_CONVERSIONS, OF_SPEND, Asked, Line, performance
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
            if row["project_id"] == "shop" and on(row["cost_date"], days):
                if all(holds(row, each) for each in of_sessions):
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
