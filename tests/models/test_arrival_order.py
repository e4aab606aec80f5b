"""Reports that carry their times mean the same in whatever order they arrive.

What may differ is when a figure was learnt: the ledger's rows, whose sums may not.
"""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dbt_cli import run_dbt
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from funnelhouse.settings import Settings
from record.contract import Event
from record.sealing import parquet_schema, seal

HISTORIES = 20
ORDERS = 3

DAY_US = 86_400_000_000
START_US = 1_772_323_200_000_000  # 2026-03-01
RECEIVED_US = START_US + 100 * DAY_US

_visitors = st.sampled_from([None, "phone", "laptop", "tablet"])
_users = st.sampled_from(["ada", "bob"])
_maybe_users = st.sampled_from([None, None, "ada", "bob"])
_hits = st.sampled_from([None, None, "h1", "h2", "h3"])
_orders = st.sampled_from([None, "o1", "o2"])
_amounts = st.sampled_from([None, "0", "5", "19.99"])

_reports = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("visit"),
            "visitor_id": _visitors,
            "hit_id": _hits,
            "sender": st.just("browser"),
            "page_kind": st.sampled_from([None, "offer", "lander"]),
            "url": st.sampled_from(
                [
                    "https://shop.example/",
                    "https://shop.example/offer?utm_source=news",
                    "https://shop.example/offer?gclid=c1",
                    "https://shop.example/other?utm_source=mail&utm_medium=email",
                ]
            ),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("identify"), "visitor_id": _visitors, "user_id": _users}),
    st.fixed_dictionaries(
        {"kind": st.just("alias"), "user_id": _users, "previous_id": st.sampled_from(["ada", "phone", "cy"])}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("conversion"),
            "name": st.sampled_from(["purchase", "lead"]),
            "sender": st.sampled_from(["browser", "server"]),
            "visitor_id": _visitors,
            "user_id": _maybe_users,
            "hit_id": _hits,
            "transaction_id": _orders,
            "amount_text": _amounts,
            "currency": st.sampled_from(["USD", "USD", "EUR"]),
            "status": st.sampled_from([None, "pending", "rejected", "paid", "refunded"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("conversion"),
            "dialect": st.just("funnelflux"),
            "visitor_id": _visitors,
            "hit_id": _hits,
            "transaction_id": _orders,
            "amount_text": st.sampled_from([None, "-1", "30"]),
            "click_id": st.sampled_from([None, "c1", "c2"]),
            "status": st.sampled_from([None, "hold", "trash"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("refund"),
            "transaction_id": _orders,
            "amount_text": st.sampled_from([None, "3", "40"]),
        }
    ),
)
_histories = st.lists(
    st.lists(
        st.tuples(st.integers(0, 40 * 24 * 60), _reports), min_size=1, max_size=14, unique_by=lambda r: r[0]
    ),
    min_size=HISTORIES,
    max_size=HISTORIES,
)


@pytest.mark.long
# An example is a build: making a failing one smaller would take longer than reading it. The first is the
# simplest that there is.
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(_histories, st.randoms(use_true_random=False))
def test_shuffled_arrival_changes_only_what_was_learnt_when(
    tmp_path_factory: pytest.TempPathFactory,
    histories: list[list[tuple[int, dict[str, Any]]]],
    shuffler: random.Random,
) -> None:
    home = Settings(home=tmp_path_factory.mktemp("shuffled") / "home")
    seal(home.landing_store, home.raw_dir)
    rows: list[dict[str, Any]] = []
    for number, history in enumerate(histories):
        for order in range(ORDERS):
            arrival = list(enumerate(history))
            if order:
                shuffler.shuffle(arrival)
            for event, (minute, report) in arrival:
                rows.append(_row(f"h{number}-{order}", f"e{event}", minute, report))
    for seq, row in enumerate(rows, start=1):
        row.update(seq=seq, received_us=RECEIVED_US + seq)
    _seal_by_hand(home.raw_dir / "events", rows)
    built = run_dbt(home, "build", "--resource-type", "model", "--resource-type", "seed")
    assert built.returncode == 0, built.stdout[-8000:]
    with duckdb.connect(str(home.warehouse_path), read_only=True) as warehouse:
        for mart in _marts(warehouse):
            found = _by_project(warehouse, mart)
            for number in range(HISTORIES):
                told = [found.get(f"h{number}-{order}", Counter()) for order in range(ORDERS)]
                assert told[0] == told[1] == told[2], f"{mart}: {histories[number]}"


def _row(project: str, event_id: str, minute: int, report: dict[str, Any]) -> dict[str, Any]:
    dialect = report.get("dialect", "openanalytics")
    event = Event(
        event_id=event_id,
        project_id=project,
        dialect=dialect,
        dialect_version="1",
        sender=report.get("sender", "server"),
        kind=report["kind"],
        received_us=0,
        occurred_us=START_US + minute * 60_000_000,
        payload="{}",
        amount_unit="major" if report.get("amount_text") else None,
        click_id_type="gclid" if report.get("click_id") else None,
    )
    values = {column: getattr(event, column) for column in Event.__dataclass_fields__}
    return {**values, **report}


def _seal_by_hand(folder: Path, rows: list[dict[str, Any]]) -> None:
    day = folder / "received_date=2026-06-09"
    day.mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=parquet_schema("events"))
    pq.write_table(table, day / f"seq-1-{len(rows)}.parquet")


def _marts(warehouse: duckdb.DuckDBPyConnection) -> list[str]:
    names = [row[0] for row in warehouse.execute("select table_name from duckdb_tables()").fetchall()]
    return sorted(name for name in names if name.startswith(("dim_", "fct_", "rpt_")))


def _by_project(warehouse: duckdb.DuckDBPyConnection, mart: str) -> dict[str, Counter[str]]:
    """Rows of a mart by project, as text without the project's name."""
    arrival = {
        "dim_projects": "exclude (last_received_at)",
        "fct_conversion_reports": "exclude (seq, received_at)",
    }
    sql = f"select * {arrival.get(mart, '')} from {mart}"
    if mart == "fct_conversion_ledger":
        sql = f"""
            select project_id, conversion_id, refund_event_id, currency, sum(amount_minor) as amount_minor
            from {mart} group by all having sum(amount_minor) <> 0
        """
    found: dict[str, Counter[str]] = {}
    result = warehouse.execute(sql)
    at = [column[0] for column in result.description].index("project_id")
    for row in result.fetchall():
        found.setdefault(row[at], Counter())[repr(row).replace(row[at], "")] += 1
    return found
