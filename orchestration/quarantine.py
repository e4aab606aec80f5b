"""Reports that stay in the permanent record and are left out of everything that is made of it.

What the suite `landed_events` calls critical blocks publishing, and the record is never edited. So a data
team says, in the seed `quarantined_events`, which reports staging leaves out; both dbt and the suite read it.
"""

import csv
import io
from collections.abc import Collection
from pathlib import Path

import duckdb


class NotInTheRecordError(ValueError):
    """No sealed report has this position."""


def quarantine_lines(raw_dir: Path, seqs: Collection[int], reason: str) -> str:
    """Lines for the seed that quarantine the reports at these positions, one each, in their order.

    Raises NotInTheRecordError for a position that nothing was sealed at.
    """
    files = [str(path) for path in sorted((raw_dir / "events").glob("*/*.parquet"))]
    found: dict[int, int] = {}
    # DuckDB refuses to read no files.
    if files:
        with duckdb.connect() as connection:
            rows = connection.execute(
                "select seq, received_us from read_parquet(?, union_by_name = true) where seq in "
                "(select unnest(?::bigint[]))",
                [files, sorted(seqs)],
            ).fetchall()
        found = dict(rows)
    missing = sorted(set(seqs) - set(found))
    if missing:
        raise NotInTheRecordError(f"no report in {raw_dir} has seq {', '.join(map(str, missing))}")
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows((seq, found[seq], reason) for seq in sorted(set(seqs)))
    return lines.getvalue()
