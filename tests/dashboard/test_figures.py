"""How figures are written, and forms become rules."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest

from funnelhouse.contract import MatchOperator, MatchType
from ingest_api.definitions.funnel import Funnel
from read_api.dashboard import figures, rules
from read_api.dashboard.access import Fields
from read_api.dashboard.ingest import NotTaken
from read_api.dashboard.layout import by_value, main_currency, together
from read_api.dashboard.pages.traffic import heat, sankey
from read_api.reports.paths import Path


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
    assert figures.amount(minor, currency) == written
    assert f">{currency}<" in figures.money(minor, currency)


def test_what_a_currency_is_called_is_escaped() -> None:
    assert "<b>" not in figures.money(1, "<b>")


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (1, 3, "33.3 %"),
        (1, 300, "0.33 %"),
        (0, 5, "0.0 %"),
        (2, 1, "200.0 %"),
        (1, 0, figures.NONE),
        (None, 1, figures.NONE),
    ],
)
def test_percentages_have_sensible_digits(part: int | None, whole: int, written: str) -> None:
    assert figures.percent(part, whole).replace("\N{NO-BREAK SPACE}", " ") == written


def test_times_are_told_in_the_unit_that_fits() -> None:
    assert [figures.duration(s) for s in (0, 89, 90, 5399, 5400, 172_799, 172_800, None)] == [
        *("0 s", "89 s", "2 min", "90 min", "1.5 h", "48.0 h", "2.0 days", figures.NONE)
    ]
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert figures.ago(now - timedelta(seconds=1), now) == "1 second ago"
    assert figures.ago(now - timedelta(days=3), now) == "3 days ago"
    assert figures.ago(now + timedelta(days=3), now) == "0 seconds ago"


def test_rows_of_one_value_in_two_currencies_are_one_line() -> None:
    rows = [
        Path(1, "a", 1, "EUR", 2, 100, 5),
        Path(1, "a", 1, "JPY", 1, 900, 5),
        Path(2, "b", 1, "EUR", 1, 7, 5),
    ]
    lines = by_value(rows, lambda row: row.path, ("conversions",), "net_amount_minor")
    assert [(line.value, line["conversions"], line.moneys) for line in lines] == [
        ("a", 3, [("JPY", 900), ("EUR", 100)]),
        ("b", 1, [("EUR", 7)]),
    ]
    assert together(lines).amounts == {"EUR": 107, "JPY": 900}
    assert main_currency(lines, "EUR") == "EUR"
    assert main_currency(lines, "USD") == "JPY"


def test_the_picture_of_paths_keeps_every_conversion() -> None:
    rows = [
        Path(1, "a > b", 2, "EUR", 5, 0, 0),
        Path(2, "b", 1, "EUR", 3, 0, 0),
        Path(3, " > ".join("abcabcab"), 8, "EUR", 2, 0, 0),
    ]
    picture = sankey(rows)
    ends = [link["value"] for link in picture["links"] if link["to"] == "conversion"]
    assert sum(ends) == 10
    depths = {node["name"]: node["depth"] for node in picture["nodes"]}
    assert all(depths[link["source"]] < depths[link["target"]] for link in picture["links"]), "no way back"
    into = sum(link["value"] for link in picture["links"] if link["from"] == "earlier")
    assert into == 2, "what lies before the last four touches is one node"


def test_colours_go_from_nothing_to_the_most() -> None:
    assert [heat(Decimal(part), Decimal(10)) for part in (0, 1, 5, 10)] == [0, 1, 3, 5]
    assert heat(Decimal(), Decimal()) == 0


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
