"""Every mart of two versions, made of the same records: where they are equal, row for row, and where not.

Run it by hand with `python tests/compare_versions.py ../before`, another checkout with its virtual
environment. The records are the journeys, 200,000 events of `benchmarks.traffic` and a random history of ten
projects. Each is built from nothing by both versions; then this version builds on in the other's home, which
must make the same marts.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb

CHECKOUT = Path(__file__).parent.parent
sys.path[:0] = [str(CHECKOUT), *(str(CHECKOUT / "tests" / folder) for folder in ("", "journeys", "models"))]

from histories import batches  # noqa: E402
from journey import send_all  # noqa: E402
from servers import start_ingest  # noqa: E402

from benchmarks.traffic import generate  # noqa: E402
from funnelhouse.settings import Settings  # noqa: E402
from record.contract import RAW_TABLES, row_values  # noqa: E402
from record.landing import open_store  # noqa: E402
from record.sealing import seal  # noqa: E402

SEED = 1
TRAFFIC_EVENTS = 200_000
HISTORY_PROJECTS = 10
HISTORY_BATCHES = 4


def record_journeys(home: Path) -> None:
    """What all journeys send, over HTTP."""
    server = start_ingest(home)
    try:
        with closing(server.store()) as store:
            send_all(server.url, store)
    finally:
        server.stop()
    seal(server.settings.landing_store, server.settings.raw_dir)


def record_traffic(home: Path) -> None:
    """Synthetic traffic, without a landing store."""
    generate(home, TRAFFIC_EVENTS, SEED)


def record_history(home: Path) -> None:
    """A random history, always the same."""
    settings = Settings(home=home)
    with closing(open_store(settings.landing_store)) as store:
        for batch in batches(SEED, HISTORY_PROJECTS, HISTORY_BATCHES):
            store.append(
                [(table, [row_values(RAW_TABLES[table])(row) for row in batch[table]]) for table in batch]
            )
    seal(settings.landing_store, settings.raw_dir)


RECORDS: dict[str, Callable[[Path], None]] = {
    "journeys": record_journeys,
    "traffic": record_traffic,
    "history": record_history,
}


def build(checkout: Path, home: Path) -> Path:
    """The marts that a checkout's command publishes in a home. Raises CalledProcessError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FUNNELHOUSE_")}
    environment["FUNNELHOUSE_HOME"] = str(home)
    command = [checkout / ".venv/bin/funnelhouse", "build"]
    subprocess.run(command, env=environment, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    return (home / "published/current").resolve() / "marts.duckdb"


def differences(before: Path, now: Path) -> Iterator[str]:
    """One line for each mart that two publications differ in: columns and rows that only one has."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{before}' as before (read_only); attach '{now}' as now (read_only)")
        marts: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        for version, mart, column, kind in connection.execute(
            "select database_name, table_name, column_name, data_type from duckdb_columns()"
            " where database_name in ('before', 'now') and schema_name = 'main' and not internal order by all"
        ).fetchall():
            marts.setdefault(mart, ({}, {}))[version == "now"][column] = kind
        for mart, (old, new) in sorted(marts.items()):
            said = [f"-{name} {kind}" for name, kind in old.items() if new.get(name) != kind]
            said += [f"+{name} {kind}" for name, kind in new.items() if old.get(name) != kind]
            shared = ", ".join(f'"{name}"' for name in old if name in new)
            if shared:
                rows = [f"select {shared} from {version}.{mart}" for version in ("before", "now")]
                for mark, these, those in (("-", *rows), ("+", *rows[::-1])):
                    only = connection.sql(f"select count(*) from ({these} except all {those})").fetchall()
                    said += [f"{mark}{count} rows" for (count,) in only if count]
            if said:
                yield f"{mart}: {', '.join(said)}"


def main() -> None:
    """Compare this checkout with another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path, help="checkout of the other version")
    parser.add_argument("--records", nargs="+", choices=RECORDS, default=list(RECORDS))
    arguments = parser.parse_args()
    other = arguments.before.resolve()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.records:
            record, before, now, on = (
                Path(folder, f"{name}-{home}") for home in ("record", "before", "now", "on")
            )
            RECORDS[name](record)
            for home in (before, now):
                shutil.copytree(record / "raw", home / "raw")
            published = build(other, before)
            shutil.copytree(before, on, symlinks=True)
            from_nothing = build(CHECKOUT, now)
            _tell(name, differences(published, from_nothing))
            _tell(f"{name}, in the other's home", differences(from_nothing, build(CHECKOUT, on)))


def _tell(what: str, found: Iterator[str]) -> None:
    print(f"{what}:", *(list(found) or ["all marts are equal"]), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
