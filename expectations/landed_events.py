"""What must hold for the raw zone's events: their landed shape, and, as warnings, their volume and lag."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from expectations.checking import Expectation, Suite, no_rows
from record.contract import (
    DAY_US,
    END_OCCURRED_US,
    FIRST_OCCURRED_US,
    Column,
    Event,
    columns,
)
from record.sealed_files import files_of, named_range_sql, named_span, nested

HOUR_US = DAY_US // 24

_SEQ = Column("seq", "BIGINT", is_required=True, choices=(), doc="")

# Days of arrival that are kept to compare the newest with.
_DAYS = 9
# A report that came later than this many hours is counted as that late.
_HOURS_AT_MOST = 240

# The newest whole day of arrival beside the median of up to seven days before it: a median, so that one
# odd day doesn't hide the next. Fewer than three days before are no baseline. The lag of a day is that
# within which 95 % of its events came, in whole hours.
_NEWEST_DAY_BESIDE_EARLIER = """
    with lags as (
        select day, lag_hours, sum(events) as events from {batch} group by day, lag_hours
    ),
    running as (
        select
            *,
            sum(events) over (partition by day order by lag_hours) as events_so_far,
            sum(events) over (partition by day) as events_of_day
        from lags
    ),
    days as (
        select
            day,
            max(events_of_day) as events,
            min(lag_hours) filter (events_so_far * 100 >= events_of_day * 95) as lag_hours
        from running
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a publication knows of the events that it was checked for; its build.json keeps it as JSON.

    `to_seq` is the last position that was checked, `suite` tells by which expectations and without which
    rows. `newest_received_us` is in Unix microseconds, None without events. `days` counts events by day of
    arrival (UTC, days since 1970) and whole hours of lag, for the newest days.
    """

    to_seq: int
    suite: str
    newest_received_us: int | None
    days: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Checked":
        """What `dataclasses.asdict` made of it, after a round through JSON."""
        return cls(**{**value, "days": tuple(tuple(day) for day in value["days"])})


def landed_events(raw_dir: Path, quarantine: Path | None = None, checked: Checked | None = None) -> Suite:
    """Suite over the files of `raw/events/` that hold anything above what was checked before.

    Without `checked`, or when the expectations or the quarantine have changed since, over every file. There
    is one after sealing, if only the one without rows. `quarantine` is the seed `quarantined_events`: its
    rows are in the record, but nobody's numbers are made of them. Needs read access only.
    """
    return _Landed(raw_dir, quarantine, checked).suite()


def checked_now(raw_dir: Path, quarantine: Path | None = None, checked: Checked | None = None) -> Checked:
    """What a publication keeps after the suite with these arguments has passed, and nothing landed since."""
    return _Landed(raw_dir, quarantine, checked).checked()


class _Landed:
    """The events that landed and what is new among them."""

    def __init__(self, raw_dir: Path, quarantine: Path | None, before: Checked | None) -> None:
        self._contract = [_SEQ, *columns(Event)]
        self._fingerprint = _fingerprint(self._expectations(0), quarantine)
        self._before = before if before is not None and before.suite == self._fingerprint else None
        self._from_seq = self._before.to_seq if self._before else 0
        files = files_of(raw_dir / "events")
        self._to_seq = max((_range(file)[1] for file in files), default=0)
        inside = set(nested(files))
        # The file without rows has every column, also where no new file has an optional one.
        new = [file for file in files if _range(file)[1] > self._from_seq or _range(file)[1] == 0]
        # DuckDB reads names with a wildcard as patterns, in a list too.
        self._stored = ", ".join(_literal(_escaped(str(file))) for file in new) or "''"
        read = ", ".join(_literal(_escaped(str(file))) for file in new if file not in inside) or "''"
        self._rows = (
            f"select * from read_parquet([{read}], union_by_name = true, hive_partitioning = false,"  # noqa: S608
            " filename = true)"
        )
        self._quarantine = quarantine

    def suite(self) -> Suite:
        """See landed_events."""
        stored = f"select file_name, name, duckdb_type from parquet_schema([{self._stored}])"  # noqa: S608
        return Suite(
            name="landed_events",
            database=None,
            batches={
                "sealed": self._rows,
                "events": self._rows + self._not_quarantined(),
                "stored_columns": stored,
                "days": self._days(),
            },
            expectations=self._expectations(self._from_seq),
            key="seq",
        )

    def checked(self) -> Checked:
        """See checked_now."""
        with duckdb.connect() as connection:
            days = connection.execute(
                f"select day, lag_hours, sum(events)::bigint from ({self._days()}) as counted "  # noqa: S608
                f"group by day, lag_hours order by day, lag_hours"
            ).fetchall()
            newest = connection.execute(f"select max(received_us) from ({self._rows})").fetchone()  # noqa: S608
        known = [us for us in (newest and newest[0], self._before and self._before.newest_received_us) if us]
        newest_days = set(sorted({day for day, _, _ in days})[-_DAYS:])
        return Checked(
            to_seq=max(self._to_seq, self._from_seq),
            suite=self._fingerprint,
            newest_received_us=max(known, default=None),
            days=tuple(day for day in days if day[0] in newest_days),
        )

    def _not_quarantined(self) -> str:
        if self._quarantine is None:
            return ""
        columns_ = "{'seq': 'bigint', 'received_us': 'bigint', 'reason': 'varchar'}"
        seed = f"read_csv({_literal(_escaped(str(self._quarantine)))}, header = true, columns = {columns_})"
        return (
            f" as landed where not exists (select 1 from {seed} as quarantined"  # noqa: S608
            " where quarantined.seq = landed.seq"
            " and quarantined.received_us is not distinct from landed.received_us)"
        )

    def _days(self) -> str:
        """Events by day of arrival and lag: those that are new, and those that were counted before."""
        counted = f"""
            select
                received_us // {DAY_US} as day,
                least(greatest(received_us - occurred_us, 0) // {HOUR_US}, {_HOURS_AT_MOST}) as lag_hours,
                count(*) as events
            from ({self._rows}) as landed
            where seq > {self._from_seq} and received_us is not null
                and occurred_us between {FIRST_OCCURRED_US} and {END_OCCURRED_US}
            group by day, lag_hours
        """  # noqa: S608
        before = ", ".join(str(day) for day in self._before.days) if self._before else ""
        if before:
            counted += f" union all select * from (values {before}) as known"  # noqa: S608
        return counted

    def _expectations(self, from_seq: int) -> list[Expectation]:
        return [*_shape(self._contract, from_seq), *_values(self._contract), *_drift()]


def _fingerprint(expectations: list[Expectation], quarantine: Path | None) -> str:
    said = json.dumps([asdict(expectation) for expectation in expectations], sort_keys=True)
    left_out = quarantine.read_text() if quarantine is not None else ""
    return hashlib.sha256(f"{said}\n{left_out}".encode()).hexdigest()[:16]


def _range(file: Path) -> tuple[int, int]:
    named = named_span(file)
    if named is None:
        raise ValueError(f"{file} is not named seq-<from>-<to>.parquet; move it out of the raw zone.")
    return named


def _shape(contract: list[Column], from_seq: int) -> list[Expectation]:
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
        Expectation(
            name="seq_is_given",
            severity="critical",
            of="events",
            type="expect_column_values_to_not_be_null",
            arguments={"column": "seq"},
        ),
        no_rows(
            "seq_is_dense_and_unique",
            "critical",
            "sealed",
            f"""
            select min(seq) as first, max(seq) as last, count(*) as events, count(distinct seq) as seqs
            from {{batch}}
            having max(seq) - min(seq) + 1 <> count(*) or count(distinct seq) <> count(*)
                or ({from_seq} > 0 and min(seq) > {from_seq} + 1)
            """,  # noqa: S608
        ),
        no_rows(
            "every_file_holds_the_range_that_it_is_named_for",
            "critical",
            "sealed",
            f"""
            with files as (
                select
                    filename,
                    {named_range_sql("filename")},
                    min(seq) as first,
                    max(seq) as last,
                    count(*) as events
                from {{batch}}
                group by filename
            )
            select filename, first, last, events from files
            where first <> named_from or last <> named_to or events <> named_to - named_from + 1
            """,  # noqa: S608
        ),
    ]


def _values(contract: list[Column]) -> list[Expectation]:
    """What a row must say. Models set aside a row that no rule can use: it stops nobody's build."""
    return [
        *(
            Expectation(
                name=f"{column.name}_is_given",
                severity="warning",
                of="events",
                type="expect_column_values_to_not_be_null",
                arguments={"column": column.name},
            )
            for column in contract
            if column.is_required and column is not _SEQ
        ),
        *(
            Expectation(
                name=f"{column.name}_is_a_known_one",
                severity="warning",
                of="events",
                type="expect_column_values_to_be_in_set",
                arguments={"column": column.name, "value_set": list(column.choices)},
            )
            for column in contract
            if column.choices
        ),
        no_rows(
            "occurred_us_lies_in_2000_to_2100",
            "warning",
            "events",
            f"""
            select seq, occurred_us from {{batch}}
            where occurred_us < {FIRST_OCCURRED_US} or occurred_us >= {END_OCCURRED_US}
            """,  # noqa: S608
        ),
        no_rows(
            "amount_text_is_a_plain_decimal",
            "warning",
            "events",
            """
            select seq, amount_text from {batch}
            where not regexp_full_match(amount_text, '[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)')
            """,
        ),
        no_rows(
            "amount_text_has_its_unit",
            "warning",
            "events",
            "select seq, dialect from {batch} where amount_text is not null and amount_unit is null",
        ),
        no_rows(
            "currency_is_three_letters",
            "warning",
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
            select
                dialect,
                count(*) as events,
                max(occurred_us - coalesce(sent_us, received_us)) // {HOUR_US} as hours_ahead
            from {{batch}}
            -- A clock that is wrong is corrected by when it says that it sent.
            where occurred_us - coalesce(sent_us, received_us) > {DAY_US}
            group by dialect order by dialect
            """,  # noqa: S608
        ),
    ]


def _drift() -> list[Expectation]:
    return [
        no_rows(
            "volume_is_like_the_days_before",
            "warning",
            "days",
            f"""
            {_NEWEST_DAY_BESIDE_EARLIER}
            select events, usual_events from compared
            where days > 3 and (events * 3 < usual_events or events > 3 * usual_events)
            """,  # noqa: S608
        ),
        no_rows(
            "arrival_lag_is_like_the_days_before",
            "warning",
            "days",
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


def _escaped(path: str) -> str:
    """A path that DuckDB takes as it stands, although it may have a character of patterns."""
    return re.sub(r"([*?\[])", r"[\1]", path)
