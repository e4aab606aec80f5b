"""Reports that are summed further give the sums of the report itself, whichever columns are asked."""

import itertools
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from example_marts import contract, publish_rows

from funnelhouse.settings import Settings
from publication.summing import LEFT_OUT
from read_api.publications import Publications
from read_api.reader import Reader
from read_api.slices import Slice
from read_api.summed import relation_of

KEYS = ("report_date", "source", "medium", "campaign", "channel", "country", "landing_page", "device")
KEY_TYPES = ("varchar", "boolean", "date", "timestamp")
DAYS = (date(2026, 5, 1), date(2026, 5, 2))
LARGE = 2**62


def traffic(seed: int, money: int) -> list[dict[str, Any]]:
    """Rows of few values, so that most of them meet others; some are null, some amounts unconverted."""
    chance = random.Random(seed)
    return [
        {
            "project_id": chance.choice(("shop", "shop", "other")),
            "report_date": date(2026, 5, 1) + timedelta(chance.randrange(3)),
            **{name: chance.choice((f"{name} 1", f"{name} 2", None)) for name in KEYS[1:]},
            "currency": chance.choice(("EUR", "JPY")),
            "reporting_currency": "EUR",
            "sessions": chance.randrange(3),
            "credit_nano": chance.randrange(3) * 10**9,
            "pending_credit_nano": chance.randrange(2) * 10**9,
            "net_amount_minor": chance.randrange(3) * money,
            "reporting_net_amount_minor": chance.choice((None, 0, 7)),
        }
        for _ in range(600)
    ]


@pytest.fixture(scope="module", params=[100, LARGE], ids=["usual", "beyond 64 bits"])
def reader(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Reader]:
    home = Settings(home=tmp_path_factory.mktemp("summed"))
    publish_rows(home, {"rpt_traffic": traffic(7, request.param)})
    with Publications(home.published_dir).current("shop") as found:
        yield found


MEASURES = (
    "sum(sessions), sum(credit_nano), sum(pending_credit_nano), sum(net_amount_minor), "
    "sum(credit_nano - pending_credit_nano) filter (where net_amount_minor is not null)"
)


@pytest.mark.parametrize("money", ["reported", "reporting"])
def test_sums_are_those_of_the_report(reader: Reader, money: str) -> None:
    reader.convert(money)
    used = set()
    for columns in itertools.chain.from_iterable(itertools.combinations(KEYS, count) for count in range(4)):
        for filtered in (None, "source", "country", "landing_page"):
            rows = Slice("rpt_traffic", "shop")
            rows = rows if filtered is None else rows.where(filtered, f"{filtered} 1")
            condition, values = rows.condition
            relation = relation_of(reader, rows, ("currency", *columns))
            used.add(relation)
            listed = ", ".join((*columns, "currency"))
            summed, plain = (
                reader.rows(
                    f"select {listed}, {MEASURES} from {source} where {condition} group by {listed} "
                    f"order by {listed}",
                    values,
                )
                for source in (relation, "rpt_traffic")
            )
            assert summed == plain, (columns, filtered)
            assert plain
    # The mart itself, and each of its tables.
    assert len(used) == 1 + len(LEFT_OUT["rpt_traffic"])
    if money == "reporting":
        reader.converted = frozenset()


def test_every_table_has_the_sums_of_its_report(tmp_path: Path) -> None:
    chance = random.Random(5)
    types = {mart: contract()[mart] for mart in LEFT_OUT}

    def value(data_type: str) -> object:
        if data_type in KEY_TYPES:
            of_type = {"varchar": "ab", "boolean": (True, False), "date": DAYS, "timestamp": DAYS}
            return of_type[data_type][chance.randrange(2)]
        return chance.choice((0, 1, 5, None))

    rows = {
        mart: [{name: value(of.lower()) for name, of in columns.items()} for _ in range(300)]
        for mart, columns in types.items()
    }
    home = Settings(home=tmp_path)
    publish_rows(home, rows)
    with Publications(home.published_dir).current() as reader:
        assert reader.summed.keys() == LEFT_OUT.keys()
        for mart, tables in reader.summed.items():
            assert len(tables) == len(LEFT_OUT[mart])
            for table in tables:
                numbers = [name for name, of in types[mart].items() if of.lower() not in KEY_TYPES]
                keys = sorted(table.columns - {*numbers})
                listed = ", ".join([*keys, *(f"sum({name})" for name in numbers)])
                found, plain = (
                    sorted(reader.rows(f"select {listed} from {each} group by all", []), key=str)
                    for each in (table.name, f"main.{mart}")
                )
                assert found == plain
                assert len(plain) > 1


def test_a_column_that_is_in_no_table_is_read_from_the_report(reader: Reader) -> None:
    rows = Slice("rpt_traffic", "shop")
    assert relation_of(reader, rows, ("landing_page", "country")) == "rpt_traffic"
    assert relation_of(reader, Slice("fct_sessions", "shop"), ("country",)) == "fct_sessions"


def test_facts_are_read_from_their_sums_where_those_have_the_columns(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    publish_rows(home, {})
    with Publications(home.published_dir).current("shop") as reader:
        rows = Slice("fct_attribution", "shop").where("model", "markov")
        asked = ("source", "state", "currency")
        assert relation_of(reader, rows, asked) == "summed.fct_attribution_1"
        for column in ("touched_at", "term", "conversion_id"):
            assert relation_of(reader, rows, (*asked, column)) == "fct_attribution"


def test_a_small_report_is_read_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publication.summing.LEAST_ROWS", 601)
    home = Settings(home=tmp_path)
    publish_rows(home, {"rpt_traffic": traffic(7, 100)})
    with Publications(home.published_dir).current("shop") as reader:
        assert reader.summed.keys() == {mart for mart, left_out in LEFT_OUT.items() if left_out == ((),)}
        assert relation_of(reader, Slice("rpt_traffic", "shop"), ("source",)) == "rpt_traffic"


def test_a_report_with_a_column_that_cannot_be_summed_is_read_itself(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    publish_rows(home, {}, sql="alter table rpt_traffic add column share double")
    with Publications(home.published_dir).current("shop") as reader:
        assert relation_of(reader, Slice("rpt_traffic", "shop"), ("source",)) == "rpt_traffic"


def test_columns_that_are_left_out_are_columns_of_the_report() -> None:
    for mart, each_left_out in LEFT_OUT.items():
        assert {name for left_out in each_left_out for name in left_out} < set(contract()[mart])
