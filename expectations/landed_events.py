"""What must hold for the raw zone's events: their landed shape, and, as warnings, their volume and lag."""

import re
from pathlib import Path

from expectations.checking import Expectation, Suite, no_rows
from funnelhouse.contract import Column, Event, columns

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
YEAR_2000_US = 946_684_800_000_000
YEAR_2101_US = 4_133_980_800_000_000

_SEQ = Column("seq", "BIGINT", is_required=True, choices=(), doc="")

# The newest whole day of arrival beside the median of up to seven days before it: a median, so that one
# odd day doesn't hide the next. Fewer than three days before are no baseline.
_NEWEST_DAY_BESIDE_EARLIER = """
    with days as (
        select
            received_us // 86400000000 as day,
            count(*) as events,
            quantile_cont(greatest(received_us - occurred_us, 0), 0.95) / 3600000000 as lag_hours
        from {batch}
        group by day
    ),
    whole as (
        select *, max(day) over () as newest
        from days
        where day < (select max(day) from days)
    ),
    compared as (
        select
            max(events) filter (day = newest) as events,
            median(events) filter (day < newest) as usual_events,
            max(lag_hours) filter (day = newest) as lag_hours,
            median(lag_hours) filter (day < newest) as usual_lag_hours,
            count(*) as days
        from whole
        where day >= newest - 7
    )
"""


def landed_events(raw_dir: Path) -> Suite:
    """Suite over every file of `raw/events/`, which exist after sealing, if only the one without rows.

    Needs read access only; nothing in the raw zone changes.
    """
    files = sorted((raw_dir / "events").glob("*/seq-*-*.parquet"))
    contract = [_SEQ, *columns(Event)]
    pattern = _literal(str(raw_dir / "events" / "*" / "*.parquet"))
    superseded = ", ".join(_literal(str(file)) for file in nested(files)) or "''"
    rows = f"""
        select *
        from read_parquet({pattern}, union_by_name = true, hive_partitioning = false, filename = true)
        where filename not in ({superseded})
    """  # noqa: S608 (paths of our own, quoted)
    stored = f"select file_name, name, duckdb_type from parquet_schema({pattern})"  # noqa: S608
    return Suite(
        name="landed_events",
        database=None,
        batches={"events": rows, "stored_columns": stored},
        expectations=[*_shape(contract), *_values(contract), *_drift()],
    )


def nested(files: list[Path]) -> list[Path]:
    """Files whose range of `seq` lies inside another's: left by a rewrite; staging ignores them too.

    Of two files with one range the one whose path sorts first stays.
    """
    ranges = {file: _range(file) for file in files}
    widest_first = sorted(files, key=lambda file: (ranges[file][0], -ranges[file][1], str(file)))
    inside: list[Path] = []
    covered_to = -1
    for file in widest_first:
        if ranges[file][1] <= covered_to:
            inside.append(file)
        else:
            covered_to = ranges[file][1]
    return inside


def _range(file: Path) -> tuple[int, int]:
    named = re.fullmatch(r"seq-(\d+)-(\d+)", file.stem)
    if named is None:
        raise ValueError(f"{file} is not named seq-<from>-<to>.parquet; move it out of the raw zone.")
    return int(named[1]), int(named[2])


def _shape(contract: list[Column]) -> list[Expectation]:
    typed = ", ".join(f"('{column.name}', '{column.sql_type}')" for column in contract)
    required = ", ".join(f"('{column.name}')" for column in contract if column.is_required)
    return [
        no_rows(
            "every_file_has_the_required_columns",
            "critical",
            "stored_columns",
            f"""
            with stored as (select * from {{batch}})
            select file_name, required.name as missing_column
            from (select distinct file_name from stored) files, (values {required}) required(name)
            where (file_name, required.name) not in (select (file_name, name) from stored)
            """,  # noqa: S608 (names from the contract)
        ),
        # In each file by itself: DuckDB would widen types that differ, other engines fail on them.
        no_rows(
            "every_file_has_the_contract_s_types",
            "critical",
            "stored_columns",
            f"""
            with stored as (select * from {{batch}})
            select file_name, name as column_name, duckdb_type as stored_as, sql_type as expected
            from stored join (values {typed}) contract(name, sql_type) using (name)
            where duckdb_type <> sql_type
            """,  # noqa: S608
        ),
        *(
            Expectation(
                name=f"{column.name}_is_given",
                severity="critical",
                of="events",
                type="expect_column_values_to_not_be_null",
                arguments={"column": column.name},
            )
            for column in contract
            if column.is_required
        ),
        no_rows(
            "seq_is_dense_and_unique",
            "critical",
            "events",
            """
            select min(seq) as first, max(seq) as last, count(*) as events, count(distinct seq) as seqs
            from {batch}
            having max(seq) - min(seq) + 1 <> count(*) or count(distinct seq) <> count(*)
            """,
        ),
        no_rows(
            "every_file_holds_the_range_that_it_is_named_for",
            "critical",
            "events",
            """
            with files as (
                select
                    filename,
                    regexp_extract(filename, 'seq-([0-9]+)-[0-9]+[.]parquet', 1)::bigint as named_from,
                    regexp_extract(filename, 'seq-[0-9]+-([0-9]+)[.]parquet', 1)::bigint as named_to,
                    min(seq) as first,
                    max(seq) as last,
                    count(*) as events
                from {batch}
                group by filename
            )
            select filename, first, last, events from files
            where first <> named_from or last <> named_to or events <> named_to - named_from + 1
            """,
        ),
    ]


def _values(contract: list[Column]) -> list[Expectation]:
    return [
        *(
            Expectation(
                name=f"{column.name}_is_a_known_one",
                severity="critical",
                of="events",
                type="expect_column_values_to_be_in_set",
                arguments={"column": column.name, "value_set": list(column.choices)},
            )
            for column in contract
            if column.choices
        ),
        no_rows(
            "occurred_us_lies_in_2000_to_2100",
            "critical",
            "events",
            f"""
            select seq, occurred_us from {{batch}}
            where occurred_us < {YEAR_2000_US} or occurred_us >= {YEAR_2101_US}
            """,  # noqa: S608
        ),
        no_rows(
            "amount_text_is_a_plain_decimal",
            "critical",
            "events",
            """
            select seq, amount_text from {batch}
            where not regexp_full_match(amount_text, '[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)')
            """,
        ),
        no_rows(
            "amount_text_has_its_unit",
            "critical",
            "events",
            "select seq, dialect from {batch} where amount_text is not null and amount_unit is null",
        ),
        no_rows(
            "currency_is_three_letters",
            "critical",
            "events",
            """
            select seq, currency from {batch}
            where not regexp_full_match(currency, '[A-Za-z][A-Za-z][A-Za-z]')
            """,
        ),
        no_rows(
            "nothing_occurs_long_after_it_arrived",
            "warning",
            "events",
            f"""
            select dialect, count(*) as events, max(occurred_us - received_us) // {HOUR_US} as hours_ahead
            from {{batch}}
            where occurred_us - received_us > {DAY_US}
            group by dialect order by dialect
            """,  # noqa: S608
        ),
    ]


def _drift() -> list[Expectation]:
    return [
        no_rows(
            "volume_is_like_the_days_before",
            "warning",
            "events",
            f"""
            {_NEWEST_DAY_BESIDE_EARLIER}
            select events, usual_events from compared
            where days > 3 and (events * 3 < usual_events or events > 3 * usual_events)
            """,  # noqa: S608
        ),
        no_rows(
            "arrival_lag_is_like_the_days_before",
            "warning",
            "events",
            f"""
            {_NEWEST_DAY_BESIDE_EARLIER}
            select lag_hours, usual_lag_hours from compared
            where days > 3 and lag_hours > 1 and lag_hours > 3 * usual_lag_hours
            """,  # noqa: S608
        ),
    ]


def _literal(text: str) -> str:
    """A text as it stands in SQL."""
    return "'" + text.replace("'", "''") + "'"
