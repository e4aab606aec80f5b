"""dbt on a Spark cluster of two executor processes, and what its tables hold."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

CLUSTER = "local-cluster[2,1,1024]"

_DBT = """
import sys

from dbt.cli.main import dbtRunner

from orchestration.dbt_on_spark import prepare

prepare()
for command in " ".join(sys.argv[1:]).split(" then "):
    ended = dbtRunner().invoke(command.split())
    if ended.exception is not None:
        print(ended.exception)
    if not ended.success:
        sys.exit(1)
"""

# Small tables: what a query is compiled for would be over before it is compiled.
_SUBMIT = (
    '--conf spark.driver.extraJavaOptions="-XX:TieredStopAtLevel=1 -Xss8m" '
    '--conf spark.executor.extraJavaOptions="-XX:TieredStopAtLevel=1 -Xss8m" '
    "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN pyspark-shell"
)


def start_dbt(project: Path, home: Path, commands: str, folder: Path) -> subprocess.Popen[str]:
    """Commands of dbt, one `then` another, in one process, over a home's record, into a new folder."""
    target = folder.with_name(f"{folder.name}-dbt")
    environment = {
        **os.environ,
        "FUNNELHOUSE_HOME": str(home),
        "FUNNELHOUSE_SPARK_WAREHOUSE": str(folder),
        "FUNNELHOUSE_SPARK_MASTER": CLUSTER,
        "PYSPARK_SUBMIT_ARGS": _SUBMIT,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET": "spark",
        "DBT_TARGET_PATH": str(target / "target"),
        "DBT_LOG_PATH": str(target / "logs"),
        "DBT_USE_COLORS": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # Workers of a local cluster write beside what started them.
        "SPARK_WORKER_DIR": str(target / "work"),
    }
    target.mkdir(parents=True)
    with (target / "printed.txt").open("w") as printed:
        return subprocess.Popen(
            [sys.executable, "-c", _DBT, *commands.split()],
            cwd=Path(__file__).parent.parent.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def executors(process: subprocess.Popen[str]) -> list[int]:
    """Ids of the cluster's processes that run tasks of a dbt."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes end while they are looked at.
        with suppress(OSError):
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_bytes()
            if session == process.pid and b"CoarseGrainedExecutorBackend" in command:
                found.append(int(folder.name))
    return found


def check_ended(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait for a dbt that was started; what it printed is the error where it failed."""
    process.wait()
    printed = folder.with_name(f"{folder.name}-dbt") / "printed.txt"
    assert process.returncode == 0, printed.read_text()[-8000:]


def run_dbt_on_spark(project: Path, home: Path, commands: str, folder: Path) -> None:
    """The same, to its end."""
    check_ended(start_dbt(project, home, commands, folder), folder)


def differences(warehouse: Path, folder: Path, names: list[str]) -> Iterator[str]:
    """One line for each table in which DuckDB's rows and Spark's differ, with one row of each side."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as warehouse (read_only)")
        for name in names:
            ours, theirs = f"from warehouse.{name}", f"from read_parquet('{folder}/{name}/*.parquet')"
            columns = [
                [column[:2] for column in connection.execute(f"describe {side}").fetchall()]
                for side in (ours, theirs)
            ]
            if columns[0] != columns[1]:
                yield f"{name}: {set(columns[0]) ^ set(columns[1])}"
                continue
            only = [
                connection.execute(f"{one} except all {other} order by all").fetchall()
                for one, other in ((ours, theirs), (theirs, ours))
            ]
            if any(only):
                counts = f"{len(only[0])} rows of DuckDB only, {len(only[1])} of Spark"
                yield f"{name}: {counts}: {[rows[:1] for rows in only]}"
