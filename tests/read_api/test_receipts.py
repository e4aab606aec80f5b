"""Every figure of every page opens into its rows, which add up to it."""

import csv
import io
import random
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest
from example_marts import TWO_YEARS, ReadServer, publish_rows
from figures_in_html import ORIGINS, Reading, Shown
from pages import Page, pages_of
from test_true_figures import FILTERS, PAGES, address, assert_reads

from funnelhouse.settings import Settings
from read_api.publications import Publications
from read_api.reader import Reader
from read_api.reports.receipt import receipt
from read_api.reports.receipt_asked import asked_figure, expression

MORE_PAGES = ("paths?rows=more", "landing-pages?rows=more", "attribution?by=campaign&rows=more")
WRITTEN = re.compile(r"<data [^>]*>(.*?)</data>", re.DOTALL)
LINK = re.compile(r'<a class="figure" href="([^"]+)">(.*?)</a>', re.DOTALL)
UNLISTED = ("build.json", "outbox.", "events", "rejected")
"""Figures of what is no mart: the build itself, what destinations were told, what arrives now."""


class Drawn(NamedTuple):
    """A figure of some page."""

    where: str
    text: str
    said: dict[str, str]
    words: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("receipts") / "home")


@pytest.fixture(scope="module")
def page(house: Settings) -> Page:
    return pages_of(house, {}, TWO_YEARS)


@pytest.fixture(scope="module")
def figures(page: Page) -> list[Drawn]:
    """All figures of all pages; each is a link, unless a mart has no rows of it."""
    found = []
    for number, path in enumerate(PAGES):
        where = address(path, FILTERS[number % len(FILTERS)])
        found += list(figures_of(page(where), where))
    return found


@pytest.fixture(scope="module")
def all_figures(page: Page, figures: list[Drawn]) -> list[Drawn]:
    """Those of all pages with all filters, and of some that are long."""
    found = list(figures)
    for filters in FILTERS:
        for path in (*PAGES, *MORE_PAGES):
            where = address(path, filters)
            found += list(figures_of(page(where), where))
    return found


@pytest.fixture(scope="module")
def reader(house: Settings, page: Page) -> Iterator[Reader]:
    assert page("overview")
    with Publications(house.published_dir).current("shop") as found:
        yield found


def figures_of(html: str, where: str) -> Iterator[Drawn]:
    reading = Reading(html)
    for shown, written in zip(reading.shown, WRITTEN.findall(html), strict=True):
        link = LINK.fullmatch(written)
        assert link or not is_listed(shown), (where, shown)
        if link is None:
            continue
        href, inner = link.groups()
        assert "<a " not in inner and unescape(re.sub("<[^>]+>", "", inner)) == shown.text, where
        split = urlsplit(unescape(href))
        assert split.path == "/app/projects/shop/receipt"
        words = tuple(parse_qsl(split.query, keep_blank_values=True, strict_parsing=True))
        yield Drawn(where, shown.text, shown.said, words)


def is_listed(shown: Shown) -> bool:
    """Whether a figure has to open: not changes, nor sums of differences, nor some lines of all others."""
    said = shown.said
    is_mart = not any(said["mart"].startswith(each) for each in UNLISTED)
    of_two = any(f"{then}mart" in said for then in ("before-", "less-"))
    columns = [said[f"{origin}column"] for origin in ORIGINS if f"{origin}column" in said]
    is_other = any(f"{origin}but" in said for origin in ORIGINS)
    return is_mart and not of_two and not is_other and all(expression(each) for each in columns)


def assert_agrees(publications: Publications, figure: Drawn) -> str:
    """Returns what its rows are listed from. Each figure is a request's: it says how amounts are read."""
    with publications.current("shop") as reader:
        return assert_agrees_in(reader, figure)


def assert_agrees_in(reader: Reader, figure: Drawn) -> str:
    found = receipt(reader, "shop", asked_figure(reader, "shop", figure.words))
    assert found.agrees, (figure, found.parts)
    first = found.part
    assert (found.number or 0) == (found.sum or 0)
    in_cents = first.unit == "minor" and "_minor" not in figure.said.get("over-column", "")
    right = (found.number or Decimal()) * (Decimal("0.01") if in_cents else 1)
    assert_reads(figure.text, figure.said, right, figure.where)
    counted = len(found.rows)
    assert counted == min(first.rows, 1_000), figure
    if reader.following is None and "sum(" in first.column:
        rows = sum((row.counted or Decimal() for row in found.rows), Decimal())
        assert rows == (first.sum or 0), figure
    return first.listed_from


def test_figures_drawn_at_random_open_into_rows_that_add_up(house: Settings, figures: list[Drawn]) -> None:
    walk(Publications(house.published_dir), figures, 60)


@pytest.mark.long
def test_a_thousand_figures_drawn_at_random_open_into_rows_that_add_up(
    house: Settings, all_figures: list[Drawn]
) -> None:
    walk(Publications(house.published_dir), all_figures, 1000)


def walk(publications: Publications, figures: list[Drawn], steps: int) -> None:
    # Each kind of figure first, whatever their numbers are.
    kinds: dict[Any, list[Drawn]] = {}
    for each in figures:
        kind = (each.said["mart"], each.said["column"], each.said.get("over-column"))
        kinds.setdefault(kind, []).append(each)
    chance = random.Random(20)
    drawn_ones = [chance.choice(of_kind) for of_kind in kinds.values()]
    drawn_ones += chance.choices(figures, k=max(0, steps - len(drawn_ones)))
    origins = [assert_agrees(publications, each) for each in drawn_ones]
    assert origins.count("facts") > steps / 4


TRAFFIC = {"mart": "rpt_traffic", "column": "sum(sessions)"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({}, "mart must be given once"),
        ({"mart": "rpt_traffic"}, "column must be given once"),
        ({**TRAFFIC, "mart": "raw_events"}, "mart must be one of"),
        ({**TRAFFIC, "mart": "rpt_traffic; drop table fct_sessions"}, "mart must be one of"),
        ({**TRAFFIC, "mart": "duckdb_settings()"}, "mart must be one of"),
        ({**TRAFFIC, "column": "sum(secrets)"}, "column must be one of"),
        ({**TRAFFIC, "column": "sum(sessions) + 1"}, "column must be one of"),
        ({**TRAFFIC, "column": "sum(sessions) from fct_sessions --"}, "column must be one of"),
        ({**TRAFFIC, "column": "(select 1)"}, "column must be one of"),
        ({**TRAFFIC, "column": "count(distinct *)"}, "column must be one of"),
        ({**TRAFFIC, "column": "count((*))"}, "column must be one of"),
        ({**TRAFFIC, "column": "sum(source)"}, "must be of a column with numbers"),
        ({**TRAFFIC, "column": "max(report_date)"}, "must be of a column with numbers"),
        ({**TRAFFIC, "column": "sum(net_amount_minor)"}, "An amount is of one currency"),
        ({**TRAFFIC, "project_id": "other"}, "Unknown parameter project_id"),
        ({**TRAFFIC, "source.like": "%"}, "Unknown parameter source.like"),
        ({**TRAFFIC, "1=1 or source": "x"}, "Unknown parameter"),
        ({**TRAFFIC, "\x00": "x"}, "Unknown parameter"),
        ({**TRAFFIC, "fct_conversions.project_id": "other"}, "Unknown parameter"),
        ({**TRAFFIC, "source.is": "google"}, "source.is must be null or set"),
        ({**TRAFFIC, "report_date.from": "yesterday"}, "report_date.from must be a value of the type date"),
        ({**TRAFFIC, "sessions": "9" * 30}, "sessions must be a value of the type bigint"),
        ({**TRAFFIC, "source": "x" * 3000}, "letters"),
        ({**TRAFFIC, "over-column": "sum(sessions)"}, "over-mart must be given once"),
        (
            {**TRAFFIC, "over-more-mart": "rpt_traffic", "over-more-column": "sum(sessions)"},
            "needs over-mart",
        ),
        ({**TRAFFIC, "part": "more"}, "part must be one of figure"),
        ({**TRAFFIC, "but": "campaign"}, "but-first must be given once"),
        (
            {**TRAFFIC, "but": "(select 1)", "but-first": "1", "but-by": "sum(sessions)"},
            "but must be columns",
        ),
        ({**TRAFFIC, "but": "source", "but-first": "0", "but-by": "sum(sessions)"}, "whole number from 1"),
        ({**TRAFFIC, "but": "source", "but-first": "5", "but-by": "1"}, "but-by must be one of"),
        ({**TRAFFIC, "cursor": "1; drop"}, "cursor must be `next` of the page before"),
        ({**TRAFFIC, "limit": "-1"}, "limit must be a whole number"),
        ({**TRAFFIC, "format": "xlsx"}, "format must be one of"),
        ({**TRAFFIC, "build": "../etc"}, "build must be the id of a build"),
    ],
)
def test_what_is_no_figure_is_refused_in_words(server: ReadServer, words: dict[str, str], says: str) -> None:
    answer = server.get("/v1/projects/shop/receipt", **words)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail"]


def test_rows_are_the_projects_own(server: ReadServer) -> None:
    conversions = {"mart": "fct_conversions", "column": "count(*)"}
    everything = server.get("/v1/projects/shop/receipt", **conversions).json()
    assert everything["number"] == 25
    assert {row["conversion_id"].split("/")[0] for row in everything["rows"]} == {"shop"}
    others = {**conversions, "conversion_id": "other/x:1"}
    assert server.get("/v1/projects/shop/receipt", **others).json()["rows"] == []
    assert server.get("/v1/projects/other/receipt", **conversions).status_code == 404


def test_pages_and_files_have_the_same_rows(server: ReadServer) -> None:
    conversions = {"mart": "fct_conversions", "column": "count(*)"}
    whole = server.get("/v1/projects/shop/receipt", **conversions).json()["rows"]
    paged: list[Any] = []
    asked: dict[str, str] = {}
    while len(paged) < len(whole):
        found = server.get("/v1/projects/shop/receipt", **conversions, limit="10", **asked).json()
        paged += found["rows"]
        asked = {"cursor": found["next"]}
    assert found["next"] is None
    assert paged == whole
    file = server.get("/v1/projects/shop/receipt", **conversions, format="csv")
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [row["conversion_id"] for row in rows] == [row["conversion_id"] for row in whole]
    # What a spreadsheet would take for a formula is led by an apostrophe.
    assert {row["name"] for row in rows} >= {"'=1+1", "'+1", "'-1", "'@sum"}


def test_a_statement_that_is_shown_gives_what_is_said(server: ReadServer) -> None:
    words = {**TRAFFIC, "source": "it's; --?", "report_date.from": "2026-01-01"}
    found = server.get("/v1/projects/shop/receipt", **words).json()
    published = server.settings.published_dir / "current" / "marts.duckdb"
    copy = shutil.copy(published, server.settings.home_dir / "receipt_copy.duckdb")
    statements = found["parts"][0]["statement"]
    assert "'it''s; --?'" in statements
    with duckdb.connect(copy, read_only=True) as marts:
        number, rows, _ = (marts.execute(each).fetchall() for each in marts.extract_statements(statements))
    assert number[0][0] == found["number"]
    assert rows[0] == (found["parts"][0]["rows"], found["sum"] or None)


def test_a_receipt_that_does_not_add_up_says_so(server: ReadServer) -> None:
    # The example's marts are made up, each by itself.
    found = server.get("/v1/projects/shop/receipt", mart="rpt_attribution", column="sum(credit_nano)").json()
    assert found["agrees"] is False
    assert found["number"] != found["sum"]


def test_words_say_what_a_figure_is(reader: Reader) -> None:
    words = [
        ("mart", "rpt_attribution"),
        ("column", "sum(credit_nano)"),
        ("model", "last_touch"),
        ("source", "google"),
        ("report_date.from", "2026-05-02"),
        ("report_date.to", "2026-05-31"),
    ]
    found = receipt(reader, "shop", asked_figure(reader, "shop", words))
    assert found.words == "conversions credited to google by last touch, May 2 \N{EN DASH} 31, 2026"
    assert found.agrees
    assert found.number


@pytest.mark.parametrize(
    ("more", "said", "has_order"),
    [
        (
            [("reason", "refund"), ("conversion_id.is", "set")],
            "refunds, for sales of May 2 \N{EN DASH} 31, 2026",
            True,
        ),
        (
            [("reason", "refund"), ("conversion_id.is", "set"), ("learnt_date.to", "2026-06-05")],
            "refunds, for sales of May 2 \N{EN DASH} 31, 2026, as known on Jun 5, 2026",
            True,
        ),
        ([("conversion_id.is", "null")], "refunds without a sale, May 2 \N{EN DASH} 31, 2026", False),
        ([], "net revenue, May 2 \N{EN DASH} 31, 2026", True),
    ],
)
def test_entries_of_the_ledger_are_said_by_why_they_are_there(
    reader: Reader, more: list[tuple[str, str]], said: str, has_order: bool
) -> None:
    days = [("conversion_date.from", "2026-05-02"), ("conversion_date.to", "2026-05-31")]
    words = [("mart", "fct_conversion_ledger"), ("column", "sum(amount_minor)"), ("currency", "USD")]
    found = receipt(reader, "shop", asked_figure(reader, "shop", [*words, *more, *days]))
    assert found.words.replace(" in USD", "").replace(" where currency is USD", "") == said
    assert found.agrees
    assert any(row.transaction_id for row in found.rows) is has_order


def test_a_completion_finds_its_session_however_long_ago(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    begun = {"shop/now": datetime(2026, 6, 1), "shop/yesterday": datetime(2026, 5, 31)}
    completed = datetime(2026, 6, 1, 12)

    def sources(begun: dict[str, datetime]) -> list[str]:
        sessions: list[dict[str, Any]] = [
            {"project_id": "shop", "session_id": each, "session_date": time.date(), "started_at": time}
            | {"person_id": "shop/p", "source": each.removeprefix("shop/"), "is_bot": False}
            for each, time in begun.items()
        ]
        completions: list[dict[str, Any]] = [
            {"project_id": "shop", "completion_id": f"shop/cart:{each}", "goal_id": "cart"}
            | {"session_id": each, "completed_at": completed, "completion_date": completed.date()}
            for each in (*begun, None)
        ]
        publish_rows(home, {"fct_sessions": sessions, "fct_goal_completions": completions})
        words = [("mart", "rpt_goals"), ("column", "sum(completions)"), ("goal_id", "cart")]
        with Publications(home.published_dir).current("shop") as reader:
            found = receipt(reader, "shop", asked_figure(reader, "shop", words))
        return sorted(row.source or "" for row in found.rows)

    assert sources(begun) == ["", "now", "yesterday"]
    assert sources({**begun, "shop/winter": datetime(2026, 1, 1)}) == ["", "now", "winter", "yesterday"]


def test_people_of_an_experiment_are_listed_by_their_first_exposure(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    rows = [
        {"project_id": "shop", "experiment_id": "button", "variant_id": variant, "person_id": person}
        | {"session_id": session, "exposed_at": at, "exposure_date": at.date(), "page_views": 1}
        | {"has_several_variants": person == "shop/eve"}
        for variant, person, session, at in (
            ("a", "shop/ada", "shop/9", datetime(2026, 6, 1, 10)),
            ("a", "shop/ada", "shop/1", datetime(2026, 6, 2, 10)),
            ("a", "shop/eve", "shop/2", datetime(2026, 6, 3, 10)),
            ("b", "shop/eve", "shop/3", datetime(2026, 6, 1, 10)),
        )
    ]
    publish_rows(home, {"fct_experiment_exposures": rows})

    def people(column: str) -> list[tuple[str | None, str | None, date | None]]:
        words = [("mart", "rpt_experiments"), ("column", f"sum({column})"), ("variant_id", "a")]
        with Publications(home.published_dir).current("shop") as reader:
            found = receipt(reader, "shop", asked_figure(reader, "shop", words))
        assert found.parts[0].rows == len(found.rows)
        return [(row.person_id, row.session_id, row.day) for row in found.rows]

    eve = ("shop/eve", "shop/2", date(2026, 6, 3))
    assert people("exposed") == [("shop/ada", "shop/9", date(2026, 6, 1)), eve]
    assert people("exposed_to_several") == [eve]
