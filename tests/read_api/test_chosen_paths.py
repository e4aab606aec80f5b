"""Paths of some days and of filtered conversions, over HTTP, beside touches that are read row by row."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median_low
from typing import Any

import duckdb
import pytest
from example_marts import TWO_YEARS, ReadServer, copied_marts, publish_rows, serving_two_years

from funnelhouse.settings import Settings
from read_api.conversion_paths import conversion_paths, paths_from_facts
from read_api.parameters import ALL_DAYS
from read_api.publications import Publications
from read_api.slices import PATHS

REPORTS = "/v1/projects/shop/reports"
MONTH = {"from": "2026-11-21", "to": "2026-12-20"}
OF_MONTH = "conversion_date between date '2026-11-21' and date '2026-12-20'"
OF_DE = "conversion_id in (select conversion_id from fct_conversions where country = 'DE')"
OF_GOOGLE = (
    "conversion_id in (select conversion_id from fct_attribution where model = '{}' and source = 'google')"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    with serving_two_years(tmp_path_factory.mktemp("paths")) as server:
        yield server


@pytest.fixture(scope="module")
def marts(shop: ReadServer) -> Iterator[duckdb.DuckDBPyConnection]:
    with copied_marts(shop) as connection:
        yield connection


def rows(server: ReadServer, report: str, **asked: Any) -> list[dict[str, Any]]:
    answer = server.get(f"{REPORTS}/{report}", limit="10000", **asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def touched(marts: duckdb.DuckDBPyConnection, condition: str) -> dict[str, list[tuple[Any, ...]]]:
    """Touches of conversions in their order, with what they are credited."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for conversion_id, *touch in marts.execute(
        "select conversion_id, source, currency, credited_amount_minor, converted_at, touched_at "
        f"from fct_attribution where model = 'linear' and touch_id is not null and {condition} "
        "order by conversion_id, touched_at, source"
    ).fetchall():
        found.setdefault(conversion_id, []).append(tuple(touch))
    return found


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        (MONTH, OF_MONTH),
        ({"f": "source:is:google"}, OF_GOOGLE.format("last_touch")),
        (
            {**MONTH, "f": "source:is:google", "model": "linear"},
            f"{OF_MONTH} and {OF_GOOGLE.format('linear')}",
        ),
        ({**MONTH, "f": "country:is:DE"}, f"{OF_MONTH} and {OF_DE}"),
    ],
)
def test_paths_are_those_of_the_conversions_that_are_asked_for(
    shop: ReadServer, marts: duckdb.DuckDBPyConnection, asked: dict[str, str], condition: str
) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    times: dict[tuple[str, str], list[int]] = {}
    took: Counter[tuple[int, int, str]] = Counter()
    for touches in touched(marts, condition).values():
        key = (" > ".join(touch[0] for touch in touches), touches[0][1])
        counts[key] += 1
        amounts[key] += sum(touch[2] for touch in touches)
        time = touches[0][3] - touches[0][4]
        times.setdefault(key, []).append(int(time.total_seconds()))
        took[time.days, len(touches), key[1]] += 1
    assert counts
    found = rows(shop, "paths", **asked)
    keys = [(row["path"], row["currency"]) for row in found]
    assert len(set(keys)) == len(keys)
    assert {key: row["conversions"] for key, row in zip(keys, found, strict=True)} == counts
    assert {key: row["net_amount_minor"] for key, row in zip(keys, found, strict=True)} == amounts
    assert {key: row["median_seconds"] for key, row in zip(keys, found, strict=True)} == {
        key: median_low(each) for key, each in times.items()
    }
    assert [row["path_rank"] for row in found] == sorted(row["path_rank"] for row in found)
    if "f" in asked:
        lasting = rows(shop, "time-to-convert", **asked)
        assert {
            (row["days_to_convert"], row["touches"], row["currency"]): row["conversions"] for row in lasting
        } == took


@pytest.mark.parametrize("money", ["reported", "reporting"])
def test_published_paths_are_those_of_the_facts(shop: ReadServer, money: str) -> None:
    publications = Publications(shop.settings.published_dir)
    found = []
    for of_days in (conversion_paths, paths_from_facts):
        with publications.current("shop") as reader:
            reader.convert(money)
            chosen = of_days(reader, "shop", ALL_DAYS)
            condition, values = chosen.condition
            found.append(reader.rows(f"select * from {chosen.mart} where {condition} order by all", values))
            assert ("derived." in reader.derived[PATHS][0]) is (of_days is conversion_paths)
    assert found[0] == found[1]
    assert len(found[0]) > 1_000


@pytest.mark.long
def test_of_some_paths_the_facts_have_all_conversions(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    shorter = "delete from fct_attribution where touch_id like '%.2' and conversion_id like '%0'"
    publish_rows(home, {}, sql=f"{TWO_YEARS};{shorter}")
    with Publications(home.published_dir).current("shop") as reader:
        query = f"select path, count(*) from {PATHS} group by path"
        paths_from_facts(reader, "shop", ALL_DAYS)
        counts = dict(reader.rows(query, []))
        assert {path.count(" > ") for path in counts} == {0, 1}
        for path in counts:
            paths_from_facts(reader, "shop", ALL_DAYS, [path])
            found = dict(reader.rows(query, []))
            assert found[path] == counts[path]
            assert {each.count(" > ") for each in found} == {path.count(" > ")}
        paths_from_facts(reader, "shop", ALL_DAYS, counts)
        assert dict(reader.rows(query, [])) == counts


def test_what_a_path_brought_opens_into_its_conversions(
    shop: ReadServer, marts: duckdb.DuckDBPyConnection
) -> None:
    first = rows(shop, "paths", money="reporting", **MONTH)[0]
    days = "&".join(f"conversion_date.{end}={day}" for end, day in MONTH.items())
    for mart, currency in (("reporting.conversion_paths", "USD"), ("conversion_paths", first["currency"])):
        words = f"column=sum(net_amount_minor)&currency={currency}&{days}"
        answer = shop.client.get(f"/v1/projects/shop/receipt?mart={mart}&{words}", params=None)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        [part] = found["parts"]
        assert found["agrees"] and part["listed_from"] == "facts"
        assert found["rows"][0]["conversion_id"]
        # As somebody would type it.
        before, *_ = part["statement"].split("\n\n-- The same")
        with marts.cursor() as typed:
            ((number,),) = typed.execute(before).fetchall()
        assert found["number"] == number


@pytest.mark.parametrize(
    "words",
    [
        "mart=conversion_paths&column=sum(nothing)",
        "mart=conversion_paths&column=sum(path)",
        "mart=conversion_paths&column=sum(conversions)&conversion_date.from=yesterday",
        "mart=conversion_paths&column=sum(conversions)&conversion_date.from=2026-01-01&conversion_date.from=x",
        "mart=reporting.conversion_paths_&column=sum(conversions)",
        "mart=conversion_paths;&column=sum(conversions)",
        "mart=conversion_paths&column=sum(conversions)&more-mart=reporting.rpt_traffic&more-column=sum(sessions)",
    ],
)
def test_odd_words_of_paths_are_refused(shop: ReadServer, words: str) -> None:
    answer = shop.client.get(f"/v1/projects/shop/receipt?{words}")
    assert answer.status_code == 400, answer.text


def test_paths_are_no_mart_to_export(shop: ReadServer) -> None:
    of_all = shop.client.get("/v1/projects/shop/receipt?mart=conversion_paths&column=sum(conversions)")
    assert of_all.json()["agrees"]
    assert shop.client.get("/v1/projects/shop/marts/conversion_paths").status_code == 404
