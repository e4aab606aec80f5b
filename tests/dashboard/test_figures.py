"""How figures are written, and forms become rules."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import cast, get_args

import pytest

from funnelhouse import keys
from ingest_api.definitions import link
from ingest_api.definitions.funnel import Funnel
from ingest_api.definitions.link import Fires
from read_api.bins import bins
from read_api.currencies import Currencies
from read_api.dashboard import figures, rules
from read_api.dashboard.access import Fields
from read_api.dashboard.ingest import NotTaken
from read_api.dashboard.pages.behaviour import heat_by_rank, interval_axis
from read_api.dashboard.pages.keys import SCOPES
from read_api.dashboard.pages.links import FIRES, PASSED
from read_api.dashboard.pages.setup import PAGE_KINDS
from read_api.dashboard.pages.traffic import Paths, heat, sankey
from read_api.parameters import Days
from read_api.ranking import Line, Ranking
from read_api.reports.experiments import Variant
from read_api.slices import Figure, Slice
from record.contract import MatchOperator, MatchType, PageKind

UNITS = figures.Units({"JPY": 0, "KWD": 3})


@pytest.mark.parametrize(
    ("minor", "currency", "written"),
    [
        (123_456_789, "EUR", "1,234,567.89"),
        (-5, "EUR", "\N{MINUS SIGN}0.05"),
        (34_950, "JPY", "34,950"),
        (1_234_567, "KWD", "1,234.567"),
        (0, "USD", "0.00"),
    ],
)
def test_amounts_have_their_currencys_digits(minor: int, currency: str, written: str) -> None:
    assert UNITS.amount(minor, currency) == written
    assert f">{currency}<" in UNITS.money(minor, currency)


def test_the_symbol_is_enough_for_a_project_of_one_currency() -> None:
    dollars = figures.Units({"JPY": 0, "KWD": 3}, own="USD")
    assert dollars.written(2_323_203, "USD") == "$23,232.03"
    assert dollars.written(-5, "USD") == "\N{MINUS SIGN}$0.05"
    assert dollars.written(5, "USD", signed=True) == "+$0.05"
    assert dollars.written(0, "USD", signed=True) == "$0.00"
    assert dollars.written(5, "EUR") == "EUR\N{NO-BREAK SPACE}0.05"
    dinars = figures.Units({"KWD": 3}, own="KWD")
    assert dinars.written(-1_234, "KWD") == "KWD\N{NO-BREAK SPACE}\N{MINUS SIGN}1.234"
    assert figures.Units({"JPY": 0}, own="JPY").written(2_500, "JPY") == "¥2,500"


def test_days_are_written_in_one_way() -> None:
    def written(first: str, last: str) -> str:
        return figures.period(Days(date.fromisoformat(first), date.fromisoformat(last)))

    assert written("2026-05-02", "2026-05-02") == "May 2, 2026"
    assert written("2026-05-02", "2026-05-31") == "May 2 \N{EN DASH} 31, 2026"
    assert written("2026-05-02", "2026-06-01") == "May 2 \N{EN DASH} Jun 1, 2026"
    assert written("2025-05-02", "2026-05-02") == "May 2, 2025 \N{EN DASH} May 2, 2026"
    assert figures.bin_name("2026-05-02 14:00", "hour") == "May 2, 2026, 14:00"
    assert figures.bin_name("2026-05-02", "week") == "May 2, 2026"
    assert figures.bin_name("2026-05", "month") == "May 2026"


def test_times_are_the_projects_and_say_utc() -> None:
    shown = figures.moment(datetime(2026, 5, 2, 22, 30, 5), "minutes", "Europe/Madrid")
    assert shown == (
        '<time datetime="2026-05-02T22:30:05Z" title="2026-05-02 22:30:05 UTC">May 3, 2026, 00:30</time>'
    )
    assert ">May 2, 2026, 22:30:05</time>" in figures.moment(datetime(2026, 5, 2, 22, 30, 5, tzinfo=UTC))


def test_a_build_that_says_no_digits_shows_minor_units_as_such() -> None:
    of_an_older_version = figures.Units(None)
    assert of_an_older_version.amount(123_456, "EUR") == "123,456"
    assert ">EUR in minor units<" in of_an_older_version.money(123_456, "EUR")


def test_what_a_currency_is_called_is_escaped() -> None:
    assert "<b>" not in UNITS.money(1, "<b>")


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (1, 3, "33.3%"),
        (1, 300, "0.33%"),
        (0, 5, "0.0%"),
        (2, 1, "200.0%"),
        (1, 0, figures.NONE),
        (None, 1, figures.NONE),
    ],
)
def test_percentages_have_sensible_digits(part: int | None, whole: int, written: str) -> None:
    assert figures.percent(part, whole) == written


def test_times_are_told_in_the_unit_that_fits() -> None:
    assert [figures.duration(s) for s in (0, 89, 90, 5399, 5400, 172_799, 172_800, None)] == [
        *("0 s", "89 s", "2 min", "90 min", "1.5 h", "48.0 h", "2.0 days", figures.NONE)
    ]
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert figures.ago(now - timedelta(seconds=1), now) == "1 second ago"
    assert figures.ago(now - timedelta(days=3), now) == "3 days ago"
    assert figures.ago(now + timedelta(days=3), now) == "0 seconds ago"


def amount(minor: int, currency: str) -> Figure:
    return Slice("rpt_traffic", "shop").where("currency", currency).figure("sum(net_amount_minor)", minor)


def test_currencies_stand_in_one_order_whatever_their_minor_units() -> None:
    known = Currencies("EUR", {"JPY": 5, "KWD": 9, "USD": 9, "EUR": 1})
    assert known.in_order(["USD", "JPY", "KWD", "EUR"]) == ["EUR", "KWD", "USD", "JPY"]
    amounts = {each: amount(minor, each) for each, minor in {"EUR": 0, "JPY": 22_350, "USD": 1}.items()}
    assert known.main(amounts) == "USD", "the first of that order with money"
    assert known.main({"JPY": amount(0, "JPY")}) == "JPY"
    assert known.main({}) == "EUR"


def test_a_figure_says_where_it_is_from() -> None:
    conversions = Slice("rpt_traffic", "shop").where("source", 'a"&=').where("campaign", None)
    part, whole = conversions.figure("sum(credit_nano)", 1), conversions.figure("sum(sessions)", 3)
    written = figures.traced_percent(part, whole)
    assert 'data-mart="rpt_traffic" data-column="sum(credit_nano)"' in written
    assert 'data-filter="source=a%22%26%3D&amp;campaign.is=null"' in written
    assert 'data-over-column="sum(sessions)"' in written
    assert figures.traced_percent(part, conversions.figure("sum(sessions)", 0)) == figures.NONE
    total = amount(500, "EUR").plus(amount(-35, "EUR"))
    assert "4.65" in figures.traced_money(UNITS, total)
    assert 'data-more-filter="currency=EUR"' in figures.traced_money(UNITS, total)


KNOWN = Days(date(2025, 1, 15), date(2026, 12, 20))


@pytest.mark.parametrize(
    ("first", "last", "size", "names", "is_unfinished"),
    [
        ("2026-03-29", "2026-03-29", "hour", ["2026-03-29 00:00", "2026-03-29 23:00"], False),
        ("2026-12-20", "2026-12-20", "hour", ["2026-12-20 00:00", "2026-12-20 23:00"], True),
        ("2026-05-02", "2026-05-31", "day", ["2026-05-02", "2026-05-31"], False),
        ("2026-12-01", "2027-01-31", "day", ["2026-12-01", "2026-12-20"], True),
        ("2026-01-01", "2026-06-30", "week", ["2025-12-29", "2026-06-29"], True),
        ("2026-01-01", "2026-06-28", "week", ["2025-12-29", "2026-06-22"], False),
        ("1900-01-01", "2100-12-31", "week", ["2025-01-13", "2026-12-14"], True),
        ("2027-01-01", "2027-12-31", "day", [], False),
    ],
)
def test_a_range_is_cut_into_bins_of_what_is_known(
    first: str, last: str, size: str, names: list[str], is_unfinished: bool
) -> None:
    over = bins(Days(date.fromisoformat(first), date.fromisoformat(last)), KNOWN, "Europe/Madrid")
    assert (over.size, over.is_unfinished) == (size, is_unfinished)
    assert [each.name for each in (over.bins[:1] + over.bins[-1:] if names else over.bins)] == names
    assert all(each.first <= each.last for each in over.bins)
    # On the day on which the clock is put forward.
    assert size != "hour" or len(over.bins) == (23 if first == "2026-03-29" else 24)


def test_more_than_two_years_are_months() -> None:
    over = bins(Days(date(1900, 1, 1), date(2100, 1, 1)), Days(date(2020, 2, 29), date(2026, 12, 20)), "UTC")
    assert over.size == "month"
    assert [over.bins[0].name, over.bins[-1].name, len(over.bins)] == ["2020-02", "2026-12", 83]
    [*_, last] = over.sum(
        Slice("rpt_traffic", "shop"),
        "sum(sessions)",
        {date(2026, 12, 20): 2, date(2026, 12, 1): 1},
        "report_date",
    )
    assert (last.number, last.of.words) == (3, "report_date.from=2026-12-01&report_date.to=2026-12-20")


def path(rank: int, sources: str, conversions: int) -> Line:
    rows = Slice("rpt_paths", "shop").where("path_rank", rank)
    return Line(rank, {"conversions": rows.figure("sum(conversions)", conversions)}, labels=(sources, 5))


def test_the_picture_of_paths_keeps_every_conversion() -> None:
    lines = [path(1, "a > b", 5), path(2, "b", 3), path(3, " > ".join("abcabcab"), 2)]
    rows, every = Slice("rpt_paths", "shop"), Line(None)
    sources = [line.labels[0].split(" > ") for line in lines]
    picture = sankey(Paths(rows, Ranking(lines, every), "path_rank", sources, [None, None, None]))
    ends = [link["value"] for link in picture["links"] if link["to"] == "conversion"]
    assert sum(ends) == 10
    depths = {node["name"]: node["depth"] for node in picture["nodes"]}
    assert all(depths[link["source"]] < depths[link["target"]] for link in picture["links"]), "no way back"
    into = sum(link["value"] for link in picture["links"] if link["from"] == "earlier")
    assert into == 2, "what lies before the last four touches is one node"


def test_colours_go_from_nothing_to_the_most() -> None:
    assert [heat(Decimal(part), Decimal(10)) for part in (0, 1, 5, 10)] == [0, 1, 3, 5]
    assert heat(Decimal(), Decimal()) == 0


def test_cells_of_cohorts_are_told_apart_however_unequal_they_are() -> None:
    shares = sorted(Decimal(share) for share in (1, 2, 3, 4, 5, 6, 7, 8, 9, 1000))
    assert [heat_by_rank(share, shares) for share in shares] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert heat_by_rank(Decimal(5000), shares) == 5, "a week that is not over may be above all finished ones"
    assert (heat_by_rank(Decimal(), shares), heat_by_rank(Decimal(1), [])) == (0, 0)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        ("0.18", "0.404", ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("0.011", "0.013", ["0.011", "0.012", "0.013"]),
        ("0", "0", ["0", "0.0001"]),
        ("0", "1", ["0.0", "0.5", "1.0"]),
    ],
)
def test_an_axis_of_intervals_lies_around_them(low: str, high: str, ticks: list[str]) -> None:
    variants = [
        SimpleNamespace(rate_low=Decimal(low), rate_high=Decimal(high)),
        SimpleNamespace(rate_low=None, rate_high=None),
    ]
    axis = interval_axis(cast("list[Variant]", variants))
    assert axis is not None
    assert list(axis.ticks) == [Decimal(tick) for tick in ticks]
    assert 0 <= axis.place(Decimal(low)) <= axis.place(Decimal(high)) <= 100
    assert interval_axis([]) is None


def test_json_gets_lines_and_keeps_every_letter() -> None:
    sent = '{"a":1.10,"b":[],"c":[1e400,{"x":"a,b:{\\"}"}],"e":{}}'
    shown = figures.pretty(sent)
    assert json.loads(shown) == json.loads(sent)
    assert shown.splitlines()[:4] == ["{", '  "a": 1.10,', '  "b": [],', '  "c": [']
    assert "1e400" in shown, "as it was sent"
    assert figures.pretty("a=1&b=,2") == "a=1&b=,2"
    deep = "[" * 5000 + "]" * 5000
    assert figures.pretty(deep) == deep


def test_only_a_long_name_may_be_cut_and_can_be_read_in_full() -> None:
    assert figures.name("google") == '<span class="said">google</span>'
    assert figures.name(None) == figures.name("") == figures.NONE
    assert (
        figures.name("<b>" * 50)
        == f'<span class="name said" title="{"&lt;b&gt;" * 50}">{"&lt;b&gt;" * 50}</span>'
    )


def test_a_time_of_today_is_told_without_its_day() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert ">09:05:00</time>" in figures.clock(datetime(2026, 11, 30, 9, 5), now=now)
    assert ">Nov 29, 23:59:59</time>" in figures.clock(datetime(2026, 11, 29, 23, 59, 59), now=now)


def test_a_form_becomes_a_rule_and_back() -> None:
    pairs = [
        *(("match_type", "url_path"), ("operator", "prefix"), ("value", "/a"), ("property_key", "plan")),
        *(("property_value", "pro"), ("minimum_amount", "9.90")),
    ]
    [fields] = rules.read_rules(Fields(pairs))
    rule = rules.api_rule(fields)
    assert rule == {
        "match": {"type": "url_path", "operator": "prefix", "value": "/a"},
        "property": {"key": "plan", "value": "pro"},
        "minimum_amount": 9.9,
    }
    assert rules.words(rule) == "page path begins with /a, property plan is pro, worth at least 9.9"
    assert rules.shown_rule(rule) == {**fields, "minimum_amount": "9.9"}


def test_forms_offer_what_ingest_takes() -> None:
    assert set(dict(rules.MATCH_TYPES)) == set(get_args(MatchType))
    assert set(dict(rules.OPERATORS)) == set(get_args(MatchOperator))
    assert set(dict(rules.MODES)) == set(get_args(Funnel.model_fields["mode"].annotation))
    assert set(dict(rules.UNITS)) == set(get_args(Funnel.model_fields["unit"].annotation))
    assert set(dict(PAGE_KINDS)) == set(get_args(PageKind))
    assert set(dict(FIRES)) == {"", *get_args(Fires.model_fields["type"].annotation)}
    assert tuple(PASSED.split(", ")) == link.PASSED
    assert {scope for scopes, _ in SCOPES for scope in scopes.split(",")} == set(keys.SCOPES)


def test_what_a_list_lacks_is_counted_as_people_do() -> None:
    assert str(NotTaken("to.0.url: required; steps.11.match: value: required")) == (
        "to 1, url: required; steps 12, match: value: required"
    )
    assert str(NotTaken("amount: must be 9.99")) == "amount: must be 9.99"
    nameless = NotTaken("steps.3.name: String should have at least 1 character")
    assert str(nameless) == "steps 4, name: must not be empty"


@pytest.mark.parametrize("amount", ["ten", "nan", "1e999999999", "Infinity"])
def test_an_amount_must_be_a_number(amount: str) -> None:
    with pytest.raises(NotTaken):
        rules.api_rule({**rules.empty_rule(), "minimum_amount": amount})


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Sign-up to sale", "sign-up-to-sale"),
        ("Käse & Wein!", "kase-wein"),
        ("注文", ""),
        ("x" * 99, "x" * 63),
    ],
)
def test_an_id_is_made_of_the_name(name: str, slug: str) -> None:
    assert rules.slug(name) == slug
