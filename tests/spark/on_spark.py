"""dbt on a Spark cluster of two executor processes, and what its tables hold."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import duckdb

CLUSTER = "local-cluster[2,1,1024]"

_DBT = """
import json
import os
import sys
from pathlib import Path

from dbt.cli.main import dbtRunner
from pyspark.sql import SparkSession

from orchestration.dbt_on_spark import prepare

prepare()
for command in " ".join(sys.argv[1:]).split(" then "):
    ended = dbtRunner().invoke(command.split())
    if ended.exception is not None:
        print(ended.exception)
    if not ended.success:
        sys.exit(1)
listed = SparkSession.builder.getOrCreate().sparkContext._jsc.sc().statusStore().executorList(False)
each = [listed.apply(place) for place in range(listed.size())]
said = {
    one.id(): {"tasks": one.totalTasks(), "read": one.totalShuffleRead(), "wrote": one.totalShuffleWrite()}
    for one in each
}
Path(os.environ["DBT_TARGET_PATH"], "executors.json").write_text(json.dumps(said))
"""

_STARTED_WITHIN_S = 60.0

# Small tables: what a query is compiled for, or planned again for, would be over before that is done.
_SUBMIT = (
    '--conf spark.driver.extraJavaOptions="-XX:TieredStopAtLevel=1 -Xss8m" '
    '--conf spark.executor.extraJavaOptions="-XX:TieredStopAtLevel=1 -Xss8m" '
    "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN "
    "--conf spark.sql.adaptive.enabled=false pyspark-shell"
)


@dataclass(frozen=True)
class Cluster:
    """A standalone cluster on this machine: a master, and two workers with one executor of one core each."""

    master: str
    workers: list[subprocess.Popen[bytes]]

    def executors(self) -> list[int]:
        """Process ids of the executors, by worker."""
        return [pid for worker in self.workers for pid in executors(worker.pid)]


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster whose processes print and work in a new folder."""
    folder.mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def start(role: str, *arguments: str) -> subprocess.Popen[bytes]:
        spec = find_spec("pyspark")
        assert spec is not None and spec.origin is not None
        spark = Path(spec.origin).parent
        environment = {
            **os.environ,
            "SPARK_HOME": str(spark),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
        }
        command = [str(spark / "bin" / "spark-class"), f"org.apache.spark.deploy.{role.lower()}.{role}"]
        with (folder / f"{role}-{len(started)}.txt").open("wb") as printed:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--webui-port", "0", *arguments],
                cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    try:
        start("Master", "--port", "0")
        (master,) = _said(folder / "Master-0.txt", r"spark://127\.0\.0\.1:[0-9]+", 1)
        workers = [
            start("Worker", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / name), master)
            for name in ("first", "second")
        ]
        _said(folder / "Master-0.txt", r"Registering worker", len(workers))
        yield Cluster(master, workers)
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _said(printed: Path, pattern: str, times: int) -> list[str]:
    """What a process has printed that matches, once it has done so often enough."""
    deadline = time.monotonic() + _STARTED_WITHIN_S
    while len(found := re.findall(pattern, printed.read_text())) < times:
        assert time.monotonic() < deadline, printed.read_text()[-4000:]
        time.sleep(0.1)
    return found[:times]


def start_dbt(
    project: Path, home: Path, commands: str, folder: Path, master: str = CLUSTER
) -> subprocess.Popen[str]:
    """Commands of dbt, one `then` another, in one process, over a home's record, into a new folder."""
    target = folder.with_name(f"{folder.name}-dbt")
    environment = {
        **os.environ,
        "FUNNELHOUSE_HOME": str(home),
        "FUNNELHOUSE_SPARK_WAREHOUSE": str(folder),
        "FUNNELHOUSE_SPARK_MASTER": master,
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


def executors(session: int) -> list[int]:
    """Ids of the processes that run a cluster's tasks, of those in the session of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes end while they are looked at.
        with suppress(OSError):
            its = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_bytes()
            if its == session and b"CoarseGrainedExecutorBackend" in command:
                found.append(int(folder.name))
    return found


def check_ended(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait for a dbt that was started; what it printed is the error where it failed."""
    process.wait()
    printed = folder.with_name(f"{folder.name}-dbt") / "printed.txt"
    assert process.returncode == 0, printed.read_text()[-8000:]


def measured(folder: Path) -> dict[str, dict[str, int]]:
    """Tasks, and bytes of shuffle read and written, of each executor that a dbt that ended had."""
    said: dict[str, dict[str, int]] = json.loads(
        (folder.with_name(f"{folder.name}-dbt") / "target" / "executors.json").read_text()
    )
    del said["driver"]
    return said


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
