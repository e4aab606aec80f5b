"""Whatever was reported in whatever order: the ledger says what a plain reading of its rules says."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from examples import tried
from hypothesis import strategies as st

from orchestration.manifest import DBT_PROJECT

MODELS = (
    "int_conversion_states",
    "int_conversions_stated",
    "int_refunds_matched",
    "int_conversion_steps",
    "int_refunds_asked",
    "int_refund_steps",
    "int_ledger_entries",
)
"""In the order in which they read each other."""

DEFAULT_PAYOUT = (250, "USD")
"""Minor units and currency; of the orders in WITH_PAYOUT, and of no other."""

ORDERS = ("a", "b")
WITH_PAYOUT = "b"


@dataclass(frozen=True)
class Report:
    """A report of an order, or a refund of one; `order` is its key and its transaction."""

    order: str
    occurred: int
    is_server: bool
    state: str
    amount: int | None
    currency: str


Position = tuple[str, str | None]
"""A conversion's or an unmatched refund's id, and a currency."""

Entry = tuple[int, Position, int, str]
"""Position of the report that made the difference, of what, minor units, and why."""

reports = st.builds(
    Report,
    order=st.sampled_from(ORDERS),
    occurred=st.integers(1, 6),
    is_server=st.booleans(),
    state=st.sampled_from(("approved", "approved", "pending", "rejected", "refunded", "refund")),
    amount=st.none() | st.integers(0, 500),
    currency=st.sampled_from(("EUR", "EUR", "USD")),
)


def recognised(
    received: Sequence[tuple[int, Report]], order: str, *, has_sale: bool = True
) -> dict[Position, int]:
    """What is recognised once these reports of an order had arrived, by conversion or refund and currency.

    `has_sale` says whether the order has an amount today, so that refunds sent as such may belong to it.
    """
    said = [(seq, r) for seq, r in received if r.state in ("approved", "pending", "rejected")]
    by_servers = [(seq, r) for seq, r in said if r.is_server]
    deciding = by_servers or said
    state, amount, currency = None, None, None
    if deciding:
        state = max(deciding, key=lambda item: (item[1].occurred, item[0]))[1].state
        given = [(seq, r) for seq, r in deciding if r.amount is not None]
        if given:
            latest = max(given, key=lambda item: (item[1].occurred, item[0]))[1]
            amount, currency = latest.amount, latest.currency
        elif order == WITH_PAYOUT:
            amount, currency = DEFAULT_PAYOUT
    result: dict[Position, int] = {}
    remaining = amount or 0
    for seq, refund in sorted(received, key=lambda item: (item[1].occurred, item[0])):
        is_word = refund.state == "refunded"
        if not is_word and refund.state != "refund":
            continue
        if is_word and not refund.is_server and by_servers:
            continue
        is_foreign = refund.amount is not None and refund.currency != currency
        if amount is None or is_foreign or not (is_word or has_sale):
            left_over = refund.amount or 0
        else:
            taken = remaining if refund.amount is None else min(refund.amount, remaining)
            remaining -= taken
            left_over = 0 if refund.amount is None or state != "approved" else refund.amount - taken
        if left_over:
            result[f"refund {seq}", refund.currency] = -left_over
    if state == "approved" and remaining:
        result[order, currency] = remaining
    return result


def _has_sale(history: Sequence[Report], order: str) -> bool:
    said = [r for r in history if r.order == order and r.state in ("approved", "pending", "rejected")]
    deciding = [r for r in said if r.is_server] or said
    return bool(deciding) and (order == WITH_PAYOUT or any(r.amount is not None for r in deciding))


def entries_of(history: Sequence[Report]) -> Iterator[tuple[int, Position, int]]:
    """Rows of the ledger: position of the report that made the difference, of what, and minor units."""
    for order in ORDERS:
        has_sale = _has_sale(history, order)
        received: list[tuple[int, Report]] = []
        before: dict[Position, int] = {}
        for seq, report in enumerate(history, 1):
            if report.order != order:
                continue
            received.append((seq, report))
            after = recognised(received, order, has_sale=has_sale)
            for position in {*before, *after}:
                difference = after.get(position, 0) - before.get(position, 0)
                if difference:
                    yield seq, position, difference
            before = after


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """A database in which the compiled models stand as views over the reports that a test puts there."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse; use warehouse.main")
    connection.execute(
        f"""
        create table int_conversion_reports (
            conversion_id varchar, seq bigint, project_id varchar, event_id varchar, dialect varchar,
            sender varchar, received_us bigint, occurred_us bigint, name varchar, goal_id varchar,
            transaction_id varchar, country varchar, status varchar, is_status_unknown boolean,
            state varchar, is_deciding boolean, amount_minor bigint, currency varchar,
            is_deciding_forwardable boolean, is_forwardable boolean
        );
        create table int_events_in_work (
            seq bigint, project_id varchar, event_id varchar, received_us bigint, occurred_us bigint,
            kind varchar, transaction_id varchar, amount_minor bigint, currency varchar,
            is_forwardable boolean
        );
        create table int_order_events (
            conversion_id varchar, seq bigint, project_id varchar, event_id varchar, received_us bigint,
            occurred_us bigint, state varchar, amount_minor bigint, currency varchar, is_forwardable boolean
        );
        create table int_conversion_pages as select '{WITH_PAYOUT}' as conversion_id, 'p' as page_id;
        create table int_conversion_defaults as
        select '{WITH_PAYOUT}' as conversion_id,
            {DEFAULT_PAYOUT[0]}::bigint as amount_minor, '{DEFAULT_PAYOUT[1]}' as currency;
        create table work_limits as from '{DBT_PROJECT / "seeds/work_limits.csv"}';
        """
    )
    for model in MODELS:
        # Below a YAML file's name lie the tests that stand in it.
        (path,) = (p for p in compiled_models.rglob(f"{model}.sql") if p.parent.suffix != ".yml")
        connection.execute(f"create view {model} as {path.read_text()}")
    return connection


@contextmanager
def told_short(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Until left, no conversion with refunds may change without having its refunds told as of today only."""
    warehouse.execute("begin; update work_limits set allowed = 0 where limit_name = 'refund_turns'")
    try:
        yield
    finally:
        warehouse.execute("rollback")


def _land(warehouse: duckdb.DuckDBPyConnection, history: Sequence[Report]) -> None:
    warehouse.execute("delete from int_conversion_reports; delete from int_events_in_work")
    has_server = {r.order for r in history if r.is_server and r.state in ("approved", "pending", "rejected")}
    for seq, report in enumerate(history, 1):
        amount = [report.amount, report.currency]
        if report.state == "refund":
            row = [seq, "shop", str(seq), seq * 100, report.occurred, "refund", report.order, *amount]
            warehouse.execute("insert into int_events_in_work values (?, ?, ?, ?, ?, ?, ?, ?, ?, true)", row)
        else:
            sender = "server" if report.is_server else "browser"
            is_deciding = report.is_server or report.order not in has_server
            warehouse.execute(
                "insert into int_conversion_reports values "
                "(?, ?, 'shop', ?, 'segment', ?, ?, ?, 'n', null, ?, null, null, false, ?, ?, ?, ?, ?, true)",
                [
                    *(report.order, seq, str(seq), sender, seq * 100, report.occurred),
                    *(report.order, report.state, is_deciding, *amount, is_deciding),
                ],
            )


def _ledger(warehouse: duckdb.DuckDBPyConnection) -> list[Entry]:
    rows = warehouse.execute(
        """
        select seq, coalesce(conversion_id, 'refund ' || refund_event_id), currency, amount_minor, reason
        from int_ledger_entries
        """
    ).fetchall()
    return [(seq, (what, currency), minor, reason) for seq, what, currency, minor, reason in rows]


@tried(12, 60, st.lists(reports, max_size=9))
def test_the_ledger_is_what_a_plain_reading_says(
    warehouse: duckdb.DuckDBPyConnection, history: list[Report]
) -> None:
    # Whether a refund has a conversion to belong to is known today: past days are read under today's
    # identities. Where a server's reports have no amount, it is unmatched from its arrival, whatever amount
    # browsers had said before.
    _land(warehouse, history)
    rows = _ledger(warehouse)
    assert sorted((seq, what, minor) for seq, what, minor, _ in rows) == sorted(entries_of(history))
    keys = warehouse.execute("select count(*), count(distinct entry_id) from int_ledger_entries").fetchone()
    assert keys is not None
    assert keys[0] == keys[1]


@tried(8, 40, st.lists(reports, max_size=9))
def test_a_conversion_told_short_has_the_same_entries_and_its_refunds_the_same_sums(
    warehouse: duckdb.DuckDBPyConnection, history: list[Report]
) -> None:
    _land(warehouse, history)
    whole = _ledger(warehouse)
    with told_short(warehouse):
        short = _ledger(warehouse)

    def of_conversions(rows: list[Entry]) -> list[Entry]:
        return sorted(row for row in rows if row[1][0] in ORDERS)

    def of_refunds(rows: list[Entry]) -> dict[Position, int]:
        sums: dict[Position, int] = defaultdict(int)
        for _seq, (what, currency), minor, _reason in rows:
            if what not in ORDERS:
                sums[what, currency] += minor
        return {position: minor for position, minor in sums.items() if minor}

    assert of_conversions(short) == of_conversions(whole)
    assert of_refunds(short) == of_refunds(whole)


@tried(
    5, 20, st.lists(reports, max_size=8, unique_by=lambda r: r.occurred), st.randoms(use_true_random=False)
)
def test_the_order_of_arrival_changes_no_sum(
    warehouse: duckdb.DuckDBPyConnection, history: list[Report], shuffler: random.Random
) -> None:
    sums = []
    for _ in range(2):
        _land(warehouse, history)
        total: dict[Position, int] = defaultdict(int)
        for _seq, (what, currency), minor, _reason in _ledger(warehouse):
            total["refunds" if what.startswith("refund ") else what, currency] += minor
        sums.append({position: minor for position, minor in total.items() if minor})
        shuffler.shuffle(history)
    assert sums[0] == sums[1]


@tried(5, 15, st.lists(st.sampled_from(("approved", "rejected", "pending")), min_size=1, max_size=8))
def test_rejected_it_counts_nowhere_and_approved_again_once(
    warehouse: duckdb.DuckDBPyConnection, states: list[str]
) -> None:
    _land(warehouse, [Report("a", at, True, state, 500, "EUR") for at, state in enumerate(states, 1)])
    rows = _ledger(warehouse)
    assert sum(minor for *_, minor, _ in rows) == (500 if states[-1] == "approved" else 0)
    reasons = {"approved": {"sale", "approval"}, "rejected": {"rejection"}, "pending": {"reversal"}}
    assert all(reason in reasons[states[seq - 1]] for seq, _, _, reason in rows)
