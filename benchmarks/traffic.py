"""Synthetic traffic in the raw zone of a home, as sealing would have left it: for measuring builds.

    python -m benchmarks.traffic HOME --events 10000000 [--seed 1]
    python -m benchmarks.traffic HOME --extra 10000

Nothing here was ever sent by anybody: a seed makes all of it, the same with every run of one DuckDB version.
About 90 days of the projects `shop` and, smaller, `club`: sessions of new and returning visitors (some come
daily), bots, sources by Zipf, logins on several devices and on shared ones, purchases reported by servers and
browsers, affiliates' postbacks whose status changes weeks later, refunds, reports that are late or repeated;
goals, funnels, pages with payouts, an experiment, and costs. `--extra` lets time go on in a home made so: a
new file with what arrives next, pending changes of older conversions among it.

Sessions are numbered in the order of their time; whatever is random about one is the hash of its number and a
word. A slice of sessions becomes reports; what arrives after the slice's end waits in `HOME/traffic`, and so
memory does not grow with the number of events.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import traffic_definitions
from record.sealed_files import file_name
from record.sealing import CHUNK_ROWS, parquet_schema

DAYS = 90
FIRST_DAY = date(2026, 3, 2)
EVENTS_PER_SESSION = 3.67
SLICE_SESSIONS = 50_000
DAY_US = 86_400_000_000

_SQL = Path(__file__).with_name("traffic.sql")
_EPOCH = date(1970, 1, 1)


@dataclass
class Clock:
    """How far the traffic of a home has come: the next session's number and the last `seq` given."""

    seed: int
    sessions_per_day: int
    next_session: int = 0
    last_seq: int = 0


def generate(home: Path, events: int, seed: int = 1, has_destinations: bool = False) -> None:
    """Fill the raw zone of a new home with that many reports, duplicates included."""
    clock = Clock(seed, max(1, round(events / DAYS / EVENTS_PER_SESSION)))
    defined = traffic_definitions.definitions(_day_us(FIRST_DAY), has_destinations)
    _write_rows(home, "definitions", FIRST_DAY, defined)
    _advance(home, clock, events)
    today = FIRST_DAY + timedelta(days=clock.next_session // clock.sessions_per_day)
    _write_rows(home, "costs", today, traffic_definitions.costs(FIRST_DAY, today, _day_us(today)))


def generate_more(home: Path, events: int) -> None:
    """Let that many more reports arrive in a home that `generate` has filled."""
    _advance(home, Clock(**json.loads((home / "traffic" / "clock.json").read_text())), events)


def _advance(home: Path, clock: Clock, events: int) -> None:
    """Write the next reports by arrival; keep the clock and what has not arrived yet."""
    kept = home / "traffic"
    kept.mkdir(parents=True, exist_ok=True)
    waiting = kept / "waiting.parquet"
    last = clock.last_seq + events
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(kept / "spill")}) as connection:
        connection.execute(_SQL.read_text().replace("{seed}", str(clock.seed)))
        if waiting.exists():
            connection.execute("insert into waiting by name from read_parquet(?)", [str(waiting)])
        while clock.last_seq < last:
            needed = int((last - clock.last_seq) / EVENTS_PER_SESSION)
            connection.execute("set variable first_session = ?", [clock.next_session])
            clock.next_session += min(max(needed, 100), SLICE_SESSIONS)
            connection.execute("set variable end_session = ?", [clock.next_session])
            connection.execute("set variable sessions_per_day = ?", [clock.sessions_per_day])
            connection.execute("set variable first_day_us = ?", [_day_us(FIRST_DAY)])
            connection.execute("create or replace temp table sessions as from sessions_of_slice")
            connection.execute("insert into waiting by name from reports_of_slice")
            _write_arrived(home, clock, connection, last)
        connection.execute(f"copy waiting to '{waiting}' (compression zstd)")
    (kept / "clock.json").write_text(json.dumps(asdict(clock)))


def _write_arrived(home: Path, clock: Clock, connection: duckdb.DuckDBPyConnection, last_seq: int) -> None:
    """Move what arrives before the slice's end from `waiting` to sealed files, one per day of arrival."""
    connection.execute(
        "create or replace temp table arrived as "
        "select *, ? + row_number() over (order by received_us, event_id, payload_number) as seq "
        "from waiting where received_us < session_time_us(getvariable('end_session'))",
        [clock.last_seq],
    )
    connection.execute("delete from arrived where seq > ?", [last_seq])
    files = connection.execute(
        "select received_us // ? as day, min(seq), max(seq) from arrived group by day order by day", [DAY_US]
    ).fetchall()
    for day, first, last in files:
        rows = connection.execute(
            "select * from sealed where seq between ? and ? order by seq", [first, last]
        )
        received_date = _EPOCH + timedelta(days=day)
        _write_file(home, "events", received_date, first, last, rows.to_arrow_reader(CHUNK_ROWS))
        clock.last_seq = last
    connection.execute(
        "create or replace temp table waiting as "
        "select * from waiting anti join arrived using (received_us, event_id, payload_number)"
    )


def _write_rows(home: Path, table: str, day: date, rows: Sequence[dict[str, Any]]) -> None:
    numbered = [{"seq": seq, **row} for seq, row in enumerate(rows, start=1)]
    batch = pa.RecordBatch.from_pylist(numbered, schema=parquet_schema(table))
    _write_file(home, table, day, 1, len(numbered), iter([batch]))


def _write_file(
    home: Path, table: str, day: date, first: int, last: int, batches: Iterator[pa.RecordBatch]
) -> None:
    path = home / "raw" / table / file_name(day, (first, last))
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = parquet_schema(table)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.select(schema.names).cast(schema))


def _day_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def main() -> None:
    """Fill a home, or let more arrive in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--events", type=int, help="in a new home")
    amount.add_argument("--extra", type=int, help="more, in a home that was filled before")
    arguments = parser.parse_args()
    if arguments.extra:
        generate_more(arguments.home, arguments.extra)
    else:
        generate(arguments.home, arguments.events, arguments.seed)


if __name__ == "__main__":
    main()
