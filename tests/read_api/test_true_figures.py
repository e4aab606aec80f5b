"""Every number of every page is what the marts have, to the cent, whatever is filtered."""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import duckdb
import pytest
from example_marts import TWO_YEARS
from figures_in_html import ORIGINS, Panel, Reading, Shown, drawn
from pages import Page, pages_of

from funnelhouse.settings import Settings
from read_api.dashboard.figures import NONE
from read_api.dashboard.pages.overview import MOVING
from read_api.dashboard.view import MENU
from read_api.parameters import Page as Pages
from read_api.performance_lines import COLUMNS
from read_api.publications import Publications
from read_api.reports import landing_pages, pages

PAGES = (
    *(slug for _, group in MENU for slug, _ in group if slug != "live"),
    "overview?metric=conversion_rate&compare=year&traffic=campaign&outcomes=events&audience=device",
    "overview?metric=average_order_value&compare=own&compare_from=2026-09-01&compare_to=2026-09-10",
    "overview?metric=roas&traffic=medium&currency=EUR",
    "overview?metric=pending_value&currency=EUR&compare=none",
    "performance?by=campaign&columns=" + ",".join(COLUMNS),
    "performance?by=landing_page&columns=sessions,conversions,net_amount,spend,roas,profit&sort=-profit",
    "performance?by=source,medium,campaign&open=%5B%22google%22%5D&open=%5B%22google%22%2C+%22cpc%22%5D",
    "performance?by=source,country&model=linear&columns=people,conversions,net_amount,aov,profit&open=%5B%22blog%22%5D",
    "performance?by=landing_page,device&model=first_touch&days_of=click&open=%5Bnull%5D&compare=previous",
    "performance?by=source,conversion&open=%5B%22bing%22%5D&columns=conversions,goal:sale,conversion_rate,spend",
    "performance?by=goal&compare=own&compare_from=2026-11-01&compare_to=2026-11-30&sort=-net_amount_change",
    "performance?by=visitor&f=goal:is:sale&f=source:is_not:google&columns=" + ",".join(COLUMNS),
    "performance?by=country&page=1&search=d&compare=year&columns=" + ",".join(COLUMNS),
    "attribution?by=campaign&model=linear",
    "attribution?measure=amount&goal=sale",
    "attribution?by=country&model=linear&measure=amount",
    "attribution?by=landing_page&model=first_touch&goal=sale",
    "attribution?by=source&f=device:is:mobile&f=conversion:is:purchase&f=goal:is_not:sale",
    "landing-pages?sort=-profit&search=p/1&compare=previous",
    "landing-pages?f=source:is:google&f=goal:is:sale&sort=landing_page",
    "conversions?state=pending",
    "conversions/shop%2Fo48",
    "conversions/shop%2Fo104",
    "people?id=u8",
    "cohorts?measure=converted",
    "cohorts?measure=revenue-EUR",
    "revenue?as_of=2026-12-15",
    "revenue?as_of=2026-12-15&since=2026-12-01",
    "paths?model=linear",
    "goals/preview?match_type=event_name&value=purchase",
)
FILTERS = (
    "dates=latest_30_days",
    "dates=all&country=DE&money=reported",
    "dates=own&from=2026-12-19&to=2026-12-20&country=US",
)
"""In one currency, unless it says otherwise: most amounts have a rate."""
MORE_FILTERS = (
    "dates=all&f=source:is:google&f=source:is:bing&f=country:is_not:US&f=campaign:contains:CAMPAIGN+1&model=linear",
    "dates=latest_30_days&f=source:is:google&f=visitor:is:new&f=channel:is_not:Direct",
    "dates=all&f=medium:is_not:cpc&f=landing_page:contains:/P/1&f=device:set&f=conversion:is:purchase",
    "dates=all&f=goal:is:sale&f=term:empty&f=content:empty&f=source:contains:O&f=country:set",
)

BUILT = {"checks_passed": Decimal(640), "seconds": Decimal(35)}
"""What FACTS says of the build; seconds are cut."""

# What is about one thing is about it whatever is filtered.
KEYS = {"conversion_id", "session_id", "entry_id", "person_id", "id_value", "number"}
# What a project has once, and what is chosen by something else than days.
UNDATED = {"build.json", "dim_projects", "dim_people", "dim_identifiers", "rpt_exchange_rates"}


class Asked(NamedTuple):
    """Rows of a mart, without the values of `but` that are listed."""

    mart: str
    words: str
    but: str
    listed: tuple[tuple[str | None, ...], ...]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("true") / "home")


@pytest.fixture(scope="module")
def shop(house: Settings) -> Iterator[tuple[Page, duckdb.DuckDBPyConnection]]:
    page = pages_of(house, {}, TWO_YEARS)
    # The app has the file open with settings of its own, which DuckDB wants to be the same in a process.
    copy = shutil.copy(house.published_dir / "current" / "marts.duckdb", house.home_dir / "copy.duckdb")
    with duckdb.connect(copy, read_only=True, config={"threads": 1}) as marts:
        add_paths(marts)
        yield page, marts


def add_paths(marts: duckdb.DuckDBPyConnection) -> None:
    """The paths of conversions, as pages put them together, by rows of their touches."""
    for name, of in (("conversion_paths", "main"), ("converted_paths", "reporting")):
        credits = marts.execute(
            "select conversion_id, conversion_date, currency, touched_at, source, converted_at, "
            f"credited_amount_minor from {of}.fct_attribution where project_id = 'shop' "
            "and model = 'linear' and touch_id is not null order by conversion_id, touched_at, source"
        ).fetchall()
        marts.execute(
            f"create temp table {name} (project_id text, conversion_id text, conversion_date date, "
            "currency text, path text, touches int, seconds int, days_to_convert int, conversions int, "
            "net_amount_minor int)"
        )
        rows = []
        for conversion_id, group in groupby(credits, key=lambda row: row[0]):
            touches = list(group)
            took = touches[0][5] - touches[0][3]
            path = " > ".join(row[4] for row in touches)
            amounts = [row[6] for row in touches]
            net = None if None in amounts else sum(amounts)
            times = (len(touches), int(took.total_seconds()), took.days, 1, net)
            rows.append(("shop", conversion_id, *touches[0][1:3], path, *times))
        marts.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)


def address(path: str, filters: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{filters}"


@pytest.mark.parametrize(
    "filters",
    [
        *FILTERS,
        "dates=own&from=2026-12-19&to=2026-12-20&country=US&money=reported",
        *(pytest.param(each, marks=pytest.mark.long) for each in MORE_FILTERS),
    ],
)
def test_every_number_of_every_page_is_what_the_marts_have(
    shop: tuple[Page, duckdb.DuckDBPyConnection], filters: str
) -> None:
    page, marts = shop
    counted = 0
    for path in PAGES:
        where = address(path, filters)
        reading = Reading(page(where))
        assert reading.homeless == [], where
        known = marts_numbers(marts, reading)
        for shown in reading.shown:
            right = expected(shown.said, asked_of(reading, shown), known)
            assert_reads(shown.text, shown.said, right, where)
            assert_says_its_filters(shown.said, shown.panel, filters, where)
            assert_says_its_currency(shown.said, shown.panel, where)
        for chart, panel in reading.charts:
            for value, said in drawn(chart):
                asked = chart_asks(said)
                if value is None:
                    assert not known[asked["over-"], said["over-column"]], (where, said)
                    continue
                right = expected(said, asked, known) * (100 if chart.get("unit") == "%" else 1)
                assert Decimal(str(value)) == pytest.approx(right, abs=Decimal("1e-9")), (where, said)
                assert_says_its_filters(said, panel, filters, where)
                assert_says_its_currency(said, panel, where)
        counted += len(reading.shown)
    assert counted > 1_000


def asked_of(reading: Reading, shown: Shown) -> dict[str, Asked]:
    """What a figure is made of, by the prefix of its attributes."""
    found = {}
    for origin in ORIGINS:
        if f"{origin}mart" in shown.said:
            but = shown.said.get(f"{origin}but", "")
            listed = reading.listed(shown.table, but) if but else ()
            found[origin] = Asked(shown.said[f"{origin}mart"], shown.said[f"{origin}filter"], but, listed)
    return found


def chart_asks(said: dict[str, str]) -> dict[str, Asked]:
    return {
        origin: Asked(said[f"{origin}mart"], said[f"{origin}filter"], "", ())
        for origin in ORIGINS
        if f"{origin}mart" in said
    }


def marts_numbers(
    marts: duckdb.DuckDBPyConnection, reading: Reading
) -> dict[tuple[Asked, str], Decimal | None]:
    """All that a page asks of the marts; columns of the same rows by one query."""
    wanted: dict[Asked, set[str]] = defaultdict(set)
    for shown in reading.shown:
        for origin, asked in asked_of(reading, shown).items():
            wanted[asked].add(shown.said[f"{origin}column"])
    for chart, _ in reading.charts:
        for _, said in drawn(chart):
            for origin, asked in chart_asks(said).items():
                wanted[asked].add(said[f"{origin}column"])
    known: dict[tuple[Asked, str], Decimal | None] = {}
    for asked, columns in wanted.items():
        if asked.mart == "build.json":
            known |= {(asked, column): BUILT[column] for column in columns}
            continue
        names = sorted(columns)
        condition, values = condition_of(asked)
        row = marts.execute(
            f"select {', '.join(names)} from {TABLES.get(asked.mart, asked.mart)} where {condition}", values
        ).fetchone()
        assert row is not None
        known |= {
            (asked, name): None if number is None else Decimal(number)
            for name, number in zip(names, row, strict=True)
        }
    return known


def condition_of(asked: Asked) -> tuple[str, list[Any]]:
    """The filter in SQL, read from its words alone."""
    several: dict[str, list[str]] = defaultdict(list)
    for name, value in parse_qsl(asked.words, keep_blank_values=True):
        several[name].append(value)
    conditions = ["project_id = 'shop'", *conditions_of(several)]
    values: list[Any] = []
    if asked.but:
        columns = asked.but.split(",")
        rows = ", ".join(f"({', '.join('?' for _ in columns)})" for _ in asked.listed)
        texts = ", ".join(f"cast({column} as varchar)" for column in columns)
        same = " and ".join(f"listed.c{n} is not distinct from {c}" for n, c in enumerate(texts.split(", ")))
        names = ", ".join(f"c{number}" for number in range(len(columns)))
        conditions.append(f"not exists (select 1 from (values {rows}) as listed ({names}) where {same})")
        values += [value for row in asked.listed for value in row]
    return " and ".join(conditions), values


TABLES = {"reporting.conversion_paths": "converted_paths"}
"""Those that are no marts."""

KEYS_OF = {
    "fct_conversions": "conversion_id",
    "fct_attribution": "conversion_id",
    "fct_goal_completions": "conversion_id",
    "fct_sessions": "session_id",
    "fct_touches": "touch_id",
}


def conditions_of(several: dict[str, list[str]]) -> Iterator[str]:
    """In SQL, with the values as literals, which take the column's type."""
    elsewhere: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name, given in several.items():
        column, _, how = name.partition(".")
        texts = ["'" + text.replace("'", "''") + "'" for text in given]
        if column in KEYS_OF:
            elsewhere[column][how] = given
        elif how == "is":
            yield f"{column} is {'null' if given == ['null'] else 'not null'}"
        elif how in ("from", "to"):
            yield f"{column} {'>=' if how == 'from' else '<='} {texts[0]}"
        elif how in ("contains", "search"):
            yield "(" + " or ".join(f"contains(lower({column}), lower({text}))" for text in texts) + ")"
        else:
            among = f"{column} in ({', '.join(texts)})"
            yield among if not how else f"({among}) is not true"
    for mart, of_mart in elsewhere.items():
        key = KEYS_OF[mart]
        lacks = {name: given for name, given in of_mart.items() if lacking(name, given)}
        if lacks == of_mart:
            # Nothing of the kind is there.
            there = " or ".join(f"({condition}) is not true" for condition in conditions_of(lacks))
            found = f"select {key} from {mart} where project_id = 'shop' and ({there})"
            yield f"({key} in ({found})) is not true"
        else:
            there = " and ".join(conditions_of(of_mart))
            yield f"{key} in (select {key} from {mart} where project_id = 'shop' and {there})"


def lacking(name: str, given: list[str]) -> bool:
    column, _, how = name.partition(".")
    return column not in KEYS_OF and (how == "not" or (how == "is" and given == ["null"]))


def unit(column: str, words: str) -> Decimal:
    """What one of a column is worth on a page."""
    if "_nano" in column:
        return Decimal("1e-9")
    return Decimal("0.01") if "_minor" in column else Decimal(1)


def expected(
    said: dict[str, str], asked: dict[str, Asked], known: dict[tuple[Asked, str], Decimal | None]
) -> Decimal:
    """What a figure has to be."""

    def part(origin: str) -> Decimal:
        column = said[f"{origin}column"]
        number = known[asked[origin], column] or Decimal()
        return number * unit(column, said[f"{origin}filter"])

    def whole(origin: str) -> Decimal:
        of = part(origin) + (whole(f"{origin}more-") if f"{origin}more-" in asked else 0)
        return of / whole(f"{origin}over-") if f"{origin}over-" in asked else of

    if "before-" in asked:
        return abs(whole("") / whole("before-") - 1)
    return whole("") - (whole("less-") if "less-" in asked else 0)


UNITS = {"s": 1, "min": 60, "h": 3600, "days": 86400}


def assert_reads(text: str, said: dict[str, str], right: Decimal, where: str) -> None:
    """The text is the number, to its last digit; amounts have both digits of their cents."""
    written = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-").strip()
    # Where there is one currency its symbol is enough, behind the sign.
    written = written.replace("$", "")
    if written == ">999%":
        assert right >= 10, (where, text, right)
        return
    found = re.fullmatch(r"(?:([A-Z]{3}) )?([+-]?)([\d,]+(?:\.(\d+))?)(?: ?([A-Za-z%]+))?", written)
    assert found is not None, (where, text)
    number, digits = Decimal(found[2] + found[3].replace(",", "")), len(found[4] or "")
    word = found[1] or found[5] or ""
    column = said["column"]
    if (
        "before-mart" not in said
        and "_minor" in column
        and word != "%"
        and not (said.get("over-column", "").count("_minor"))
    ):
        assert digits == 2, (where, text)
        currency = dict(parse_qsl(said["filter"]))["currency"]
        assert word in ("", currency), (where, text)
    if word == "%" or column.startswith("sum(difference_"):
        right *= 100
    if word in UNITS:
        right /= UNITS[word]
    half = Decimal(5).scaleb(-digits - 1)
    assert abs(number - right) <= half, (where, text, right, said)


COLUMN_OF = {"visitor": "new_or_returning", "goal": "goal_id", "conversion": "name"}
ENDS = {"is": "", "is_not": ".not", "contains": ".contains", "empty": ".is", "set": ".is"}


def assert_says_its_filters(said: dict[str, str], panel: Panel, filters: str, where: str) -> None:
    """A figure is filtered as the address asks, or its part of the page says that it isn't."""
    words = parse_qsl(said["filter"], keep_blank_values=True)
    names = {name for name, _ in words}
    about_one = KEYS & names or said["mart"] in UNDATED or "goals/preview" in where
    if about_one:
        return
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, text in parse_qsl(filters):
        if name == "dates" and text != "all":
            has_days = any(each.endswith(".from") for each in names) or "cohort_week" in names
            assert has_days or "dates" in panel.unfiltered, (where, panel.name, said)
        if name in ("f", "country"):
            text = text if name == "f" else f"country:is:{text}"
            dimension, operator, *value = text.split(":", 2)
            column = COLUMN_OF.get(dimension, dimension) + ENDS[operator]
            asked[dimension, f".{column}"].add(
                value[0] if value else {"empty": "null", "set": "set"}[operator]
            )
    for (dimension, column), wanted in asked.items():
        # A row of one of several values is of that one.
        says = {value for each, value in words if f".{each}".endswith(column)}
        is_filtered = says and says <= wanted
        assert is_filtered or dimension in panel.unfiltered, (where, panel.name, said, dimension)


AS_REPORTED = ("conversions/", "people", "destinations", "deliveries")
"""Pages of single things."""


def assert_says_its_currency(said: dict[str, str], panel: Panel, where: str) -> None:
    """An amount is of the mart that has it in one currency, or as it was reported where that is asked."""
    if panel.name == "unconverted-title" or not any("_minor" in said.get(f"{o}column", "") for o in ORIGINS):
        return
    is_converted = "money=reported" not in where and not where.startswith(AS_REPORTED)
    for origin in ORIGINS:
        if f"{origin}mart" in said and "currency" in dict(parse_qsl(said[f"{origin}filter"])):
            assert said[f"{origin}mart"].startswith("reporting.") is is_converted, (where, said)
            assert "USD" in said[f"{origin}filter"] or not is_converted, (where, said)


def test_links_count_what_people_clicked_and_what_it_fired(
    shop: tuple[Page, duckdb.DuckDBPyConnection],
) -> None:
    page, marts = shop
    shown = [each for each in Reading(page("links?dates=all")).shown if each.table == 1]
    rows = [list(row) for _, row in groupby(shown, key=lambda each: each.cell[0])]
    numbers = [[int(each.text.replace(",", "")) for each in row] for row in rows]
    found = marts.execute(
        "select count(*), count(distinct visitor_id), count(distinct conversion_id) from fct_link_clicks "
        "where not is_bot group by grouping sets ((link_id), ()) order by link_id nulls last"
    ).fetchall()
    of_conversions, of_events, of_nothing, of_all = (list(each) for each in found)
    # Each event is one click.
    of_events[2] = of_events[0]
    assert of_conversions[2] > 0
    assert of_nothing[2] == 0
    assert sorted(numbers[:-1]) == sorted([of_conversions, of_events, of_nothing])
    assert numbers[-1] == [*of_all, of_events[2]]
    assert numbers[:-1] == sorted(numbers[:-1], key=lambda each: -each[0])


def test_lines_add_up_to_totals(shop: tuple[Page, duckdb.DuckDBPyConnection]) -> None:
    page, _ = shop
    for path in (
        "performance",
        "performance?by=landing_page&columns=sessions,conversions,net_amount,spend",
        "landing-pages",
        "attribution",
        "paths",
    ):
        for filters in FILTERS:
            reading = Reading(page(address(path, filters)))
            for table in {shown.table for shown in reading.shown if shown.part == "tfoot"}:
                assert_adds_up(reading, table, f"{path} {filters}")


NOT_ADDED = ("count(distinct", "max(", "quantile_disc(")


def assert_adds_up(reading: Reading, table: int, where: str) -> None:
    sums: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    last = max(shown.cell[0] for shown in reading.shown if shown.table == table)
    totals = {}
    for shown in reading.shown:
        if shown.table != table or "over-mart" in shown.said or shown.said["column"].startswith(NOT_ADDED):
            continue
        text = shown.text.replace("\N{MINUS SIGN}", "-").replace(",", "")
        currency = re.sub(r"[^A-Z$]", "", text)
        number = re.sub(r"[A-Z$\s]", "", text)
        place = (shown.cell[1], currency)
        if shown.cell[0] == last:
            totals[place] = Decimal(number)
        else:
            sums[place] += Decimal(number)
    assert totals, where
    for place, total in totals.items():
        assert sums[place] == pytest.approx(total, abs=Decimal("0.001") if place[1] else 6), (where, place)


@pytest.mark.parametrize(("money", "mart"), [("", "reporting.rpt_traffic"), ("reported", "rpt_traffic")])
def test_what_changed_are_the_values_that_moved_most(
    shop: tuple[Page, duckdb.DuckDBPyConnection], money: str, mart: str
) -> None:
    page, marts = shop
    html = page(f"overview?money={money}")
    shown = [each for each in Reading(html).shown if each.panel.name == "movers-title"]
    found = [Decimal(re.sub(r"[^\d.]", "", each.text)) for each in shown[1::2]]
    of_each = " union all ".join(
        f"""
        select {by} as value,
            sum(net_amount_minor * case when report_date > date '2026-11-20' then 1 else -1 end) as moved
        from {mart}
        where currency = 'USD' and (report_date > date '2026-11-20'
            or report_date between date '2026-10-17' and date '2026-11-15')
        group by {by}
        """
        for by in MOVING
    )
    moved = marts.execute(f"select round(abs(moved) / 100, 2) from ({of_each}) where value is not null")
    assert found == sorted((Decimal(str(each)) for (each,) in moved.fetchall()), reverse=True)[:3]
    # Days of the week are compared with themselves, unless somebody wants nothing to be compared.
    assert "Oct 17 \N{EN DASH} Nov 15, 2026" in html
    assert "data-before-mart" in html
    without = page("overview?compare=none")
    assert "data-before-mart" not in without and "data-less-mart" not in without


@pytest.mark.parametrize("filters", ["dates=all", "dates=latest_30_days"])
@pytest.mark.parametrize(("money", "schema"), [("reporting", "reporting"), ("reported", "main")])
def test_net_revenue_is_the_same_on_all_pages(
    shop: tuple[Page, duckdb.DuckDBPyConnection], filters: str, money: str, schema: str
) -> None:
    page, marts = shop
    asked = f"{filters}&money={money}"
    found = {
        path: last_amounts(Reading(page(address(path, asked)))) for path in ("performance", "attribution")
    }
    days = "" if filters == "dates=all" else "and conversion_date > date '2026-11-20'"
    ledger = marts.execute(
        f"select currency, sum(amount_minor) / 100 from {schema}.fct_conversion_ledger "
        f"where project_id = 'shop' {days} group by currency order by currency desc"
    ).fetchall()
    overview = Reading(page(address("overview", asked)))
    first = [shown for shown in overview.shown if "sum(net_amount_minor)" in shown.said["column"]]
    found["overview"] = [shown.text for shown in first[: len(ledger)]]
    revenue = Reading(page(address("revenue", asked)))
    found["revenue"] = [
        shown.text for shown in revenue.shown if shown.part == "tfoot" and "more-mart" not in shown.said
    ]
    # Below all pages stand conversions without one, too.
    found["landing-pages"] = last_amounts(Reading(page(address("landing-pages", asked))), table=2)
    # Where there is one currency, its symbol says which.
    names = {currency: "$" if len(ledger) == 1 else f"{currency}\N{NO-BREAK SPACE}" for currency, _ in ledger}
    right = [f"{names[currency]}{amount:,.2f}" for currency, amount in ledger]
    assert len(right) == (1 if money == "reporting" else 2)
    assert found == dict.fromkeys(found, right)


def test_net_revenue_changed_by_the_same_on_all_pages(shop: tuple[Page, duckdb.DuckDBPyConnection]) -> None:
    page, marts = shop
    days = "dates=own&from=2026-12-19&to=2026-12-20"
    before = "compare=own&compare_from=2026-12-17&compare_to=2026-12-18"
    now, then, refunded = (
        Decimal(each)
        for each in marts.execute(
            "select sum(amount_minor) filter (where conversion_date > date '2026-12-18'), "
            "sum(amount_minor) filter (where conversion_date <= date '2026-12-18'), "
            "sum(amount_minor) filter (where conversion_date <= date '2026-12-18' and conversion_id is null) "
            "from reporting.fct_conversion_ledger where project_id = 'shop' "
            "and conversion_date between date '2026-12-17' and date '2026-12-20'"
        ).fetchall()[0]
    )
    right = f"{abs(now / then - 1) * 100:.1f}%"
    assert right != f"{abs(now / (then - refunded) - 1) * 100:.1f}%", (
        "refunds without a sale make a difference"
    )
    found = {}
    for path in ("overview", "performance?columns=net_amount", "landing-pages?columns=net_amount"):
        shown = Reading(page(address(path, f"{days}&{before}"))).shown
        foot = [each for each in shown if each.part == "tfoot" and each.table == 1] or shown
        changes = [each for each in foot if "before-mart" in each.said and "_minor" in each.said["column"]]
        changed = changes[0 if path == "overview" else -1]
        assert "before-more-mart" in changed.said, path
        found[path] = changed.text
    # Landing pages have conversions on the day of their session.
    del found["landing-pages?columns=net_amount"]
    assert found == dict.fromkeys(found, right)


def last_amounts(reading: Reading, table: int = 1) -> list[str]:
    """Amounts of revenue of the last row of a table."""
    foot = [shown for shown in reading.shown if shown.part == "tfoot" and shown.table == table]
    last = max(shown.cell[0] for shown in foot)
    row = [shown for shown in foot if shown.cell[0] == last and "fct_costs" not in shown.said["mart"]]
    return [each.text for each in row if "_minor" in each.said["column"] and "over-mart" not in each.said]


@pytest.mark.usefixtures("shop")
def test_rows_of_a_page_stand_together_in_the_api(house: Settings) -> None:
    everything = Pages(10_000)
    with Publications(house.published_dir).current("shop") as reader:
        landed = landing_pages.landing_pages(reader, "shop", landing_pages.Filters(page=everything))
        viewed = pages.pages(reader, "shop", pages.Filters(page=everything))
    for values in ([row.landing_page for row in landed], [row.page_id for row in viewed]):
        assert len(values) > len(set(values)), "some have two currencies"
        assert len([value for value, _ in groupby(values)]) == len(set(values))


def test_a_number_from_nowhere_is_found() -> None:
    reading = Reading("<main><p>12 rows</p><td><data data-mart='m' data-filter=''>3</data></td></main>")
    assert (reading.homeless, [shown.text for shown in reading.shown]) == (["12 rows"], ["3"])


def test_ad_spend_counts_conversions_in_all_currencies(shop: tuple[Page, duckdb.DuckDBPyConnection]) -> None:
    page, _ = shop
    reading = Reading(page("performance?dates=all&by=campaign&sort=-spend&columns=conversions,spend,cpa"))
    rows = [each for each in reading.shown if each.part == "tbody"]
    counted = [each for each in rows if each.cell[1] == 2]
    assert len(counted) == 50
    assert all("currency" not in each.said["filter"] for each in counted)
    converting = {each.cell[0] for each in counted if each.text != "0"}
    spent = [each.cell[0] for each in rows if each.cell[1] == 3]
    with_ratio = {each.cell[0] for each in rows if each.cell[1] == 4}
    assert with_ratio == {row for row in converting if spent.count(row) == 1}, "whatever sales are paid in"
    assert len(with_ratio) > 10


def test_an_amount_that_is_not_there_is_no_zero(shop: tuple[Page, duckdb.DuckDBPyConnection]) -> None:
    page, _ = shop
    pending = page("conversions?dates=all&state=pending")
    assert pending.count('class="expected"') > 10
    without = page("conversions/shop%2Fo56")
    assert f'<dd class="big">{NONE}</dd>' in " ".join(without.split()).replace("> ", ">").replace(" <", "<")
    assert "no amount was reported" in without


@pytest.mark.parametrize(
    ("dates", "bins"),
    [
        ("dates=own&from=2026-12-19&to=2026-12-20", "hour"),
        ("dates=own&from=1900-01-01&to=2100-01-01", "week"),
        ("dates=latest_30_days", "day"),
    ],
)
def test_charts_have_all_that_their_totals_have(
    shop: tuple[Page, duckdb.DuckDBPyConnection], dates: str, bins: str
) -> None:
    page, _ = shop
    for metric, column in (("sessions", "sum(sessions)"), ("conversions", "sum(credit_nano)")):
        reading = Reading(page(address(f"overview?metric={metric}", dates)))
        [(chart, _)] = reading.charts
        assert chart["bins"] == bins
        assert chart["unfinished"], "the last day with data is not over"
        card = "card-conversion_rate" if metric == "sessions" else "card-conversions"
        total = next(
            shown
            for shown in reading.shown
            if shown.panel.name == card
            and shown.said["column"] in (column, "count(*)")
            and "over-mart" not in shown.said
        )
        assert sum(chart["series"][0]["values"]) == int(total.text.replace(",", ""))
