"""How long the dashboard's queries take over HTTP, beside a route that does nothing, and beside datasette.

Run it with `python -m benchmarks.reads HOME`: it serves the home's published build in a process of its own,
asks as the dashboard asks, for the last 30 days of the project with the most events, and prints a markdown
table. First one client asks, then eight at once. `--during-build OTHER` lets one client ask everything again
while another home is built from nothing, over and over, by processes of their own. `--datasette` installs
datasette into a temporary environment and asks it for the same figures from a copy of rpt_traffic in SQLite,
with an index on project and day.
"""

import argparse
import http.client
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import apsw
import duckdb

from benchmarks.ingest import DATASETTE, free_port
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing import open_store

SERVE = "from funnelhouse.settings import Settings; from read_api.server import serve; serve(Settings())"

Address = tuple[str, int]


@dataclass(frozen=True)
class Subject:
    """The project that is read: its days, a conversion and a person of it."""

    project_id: str
    first: str
    last: str
    conversion_id: str
    person_id: str


def subject(home: Settings) -> Subject:
    """The project with the most events, the 30 days up to its last one, and somebody who converted then."""
    with duckdb.connect(str(home.published_dir / "current" / "marts.duckdb"), read_only=True) as marts:
        project_id, last = marts.execute(
            "select project_id, (select max(report_date) from rpt_traffic where project_id = p.project_id) "
            "from dim_projects p order by events desc limit 1"
        ).fetchall()[0]
        conversion_id, person_id = marts.execute(
            "select conversion_id, person_id from fct_conversions "
            "where project_id = ? and conversion_date <= ? "
            "order by conversion_date desc, conversion_id limit 1",
            [project_id, last],
        ).fetchall()[0]
    return Subject(project_id, str(last - timedelta(days=29)), str(last), conversion_id, person_id)


def questions(of: Subject) -> dict[str, str]:
    """Path and query by name: an empty route first, then what the dashboard's pages ask."""
    days = urlencode({"from": of.first, "to": of.last})
    reports = f"/v1/projects/{of.project_id}/reports"
    rule = urlencode({"match_type": "url_path", "match_operator": "prefix", "match_value": "/"})
    funnel = urlencode(
        {
            "account_id": of.project_id,
            "report_type": "Source",
            "date_range": f"{of.first},{of.last}".replace("-", ""),
        }
    )
    return {
        "empty route": "/read/live",
        "summary": f"{reports}/summary?{days}",
        "sources": f"{reports}/sources?{days}&limit=100",
        "sources, one country": f"{reports}/sources?{days}&limit=100&country=ES",
        "sources by campaign": f"{reports}/sources?{days}&limit=100&dimension=campaign",
        "campaigns": f"{reports}/campaigns?{days}&limit=100",
        "landing pages": f"{reports}/landing-pages?{days}&limit=100",
        "pages": f"{reports}/pages?{days}&limit=100",
        "goals": f"{reports}/goals?{days}",
        "goal preview": f"{reports}/goals/preview?{days}&{rule}",
        "funnels": f"{reports}/funnels?{days}",
        "attribution, 3 models": f"{reports}/attribution?{days}&model=last_touch,linear,markov&limit=100",
        "paths": f"{reports}/paths?limit=100",
        "time to convert": f"{reports}/time-to-convert?{days}",
        "cohorts": f"{reports}/cohorts",
        "conversions": f"{reports}/conversions?{days}&limit=100",
        "a conversion explained": f"{reports}/conversions/{quote(of.conversion_id)}",
        "a person": f"{reports}/people/{quote(of.person_id)}?limit=100",
        "funnel report": f"/v1/funnel?{funnel}",
    }


def datasette_question(of: Subject) -> str:
    """What `sources` computes, as datasette is asked."""
    sql = (
        "select source, currency, sum(sessions), sum(credit_nano), sum(pending_credit_nano), "
        "sum(net_amount_minor) from rpt_traffic where project_id = :p and report_date between :a and :b "
        "group by source, currency order by 3 desc limit 100"
    )
    return "/bench/-/query.json?" + urlencode({"sql": sql, "p": of.project_id, "a": of.first, "b": of.last})


def ask(address: Address, path: str, key: str, seconds: float, clients: int) -> list[float]:
    """Milliseconds of each answer, of `clients` that each ask again as soon as they are answered."""
    found: list[float] = []
    failures: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection(*address, timeout=60)
        with closing(connection):
            _once(connection, path, key)
            ends = time.perf_counter() + seconds
            while time.perf_counter() < ends and not failures:
                started = time.perf_counter()
                status = _once(connection, path, key)
                found.append((time.perf_counter() - started) * 1000)
                if status != 200:
                    failures.append(f"{path}: {status}")

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or not found:
        raise SystemExit(f"not answered: {failures or path}")
    return found


def _once(connection: http.client.HTTPConnection, path: str, key: str) -> int:
    connection.request("GET", path, headers={"x-api-key": key})
    answer = connection.getresponse()
    answer.read()
    return answer.status


@contextmanager
def served(command: list[str], port: int, **environment: str) -> Iterator[Address]:
    """A server in a process of its own, from when it listens until the block ends."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as probe:
                try:
                    probe.connect()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(30)


def copy_to_sqlite(home: Settings, path: Path) -> None:
    """rpt_traffic as a SQLite table, indexed by what is asked for."""
    with duckdb.connect(str(home.published_dir / "current" / "marts.duckdb"), read_only=True) as marts:
        result = marts.execute(
            "select * replace (cast(report_date as varchar) as report_date) from rpt_traffic"
        )
        names = [column[0] for column in result.description]
        with closing(apsw.Connection(str(path))) as database:
            database.execute(f"CREATE TABLE rpt_traffic ({', '.join(names)})")
            marks = ", ".join("?" for _ in names)
            while rows := result.fetchmany(50_000):
                with database:
                    database.executemany(f"INSERT INTO rpt_traffic VALUES ({marks})", rows)
            database.execute("CREATE INDEX by_day ON rpt_traffic (project_id, report_date)")
            database.execute("ANALYZE")


@contextmanager
def building(home: Path) -> Iterator[None]:
    """While open, the home is built from nothing, again and again; at the end the last one is broken off."""
    command = [sys.executable, "-m", "command_line", "build", "--full-refresh"]
    environment = {**os.environ, "FUNNELHOUSE_HOME": str(home.resolve())}
    is_over = threading.Event()
    failures: list[int] = []

    def build() -> None:
        while not is_over.is_set() and not failures:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
            )
            while (code := process.poll()) is None and not is_over.wait(0.2):
                pass
            if code is None:
                # dbt runs in a child of it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)
            elif code:
                failures.append(code)

    thread = threading.Thread(target=build)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if failures:
        raise SystemExit(f"the build of {home} failed: exit code {failures[0]}")


def measured(times: list[float]) -> list[str]:
    """Cells of a table: median, 99th percentile, number of answers."""
    times = sorted(times)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    return [f"{statistics.median(times):.1f}", f"{p99:.1f}", str(len(times))]


def main() -> None:
    """Measure, and print as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("home", type=Path, help="a home with a published build")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each question and number of clients")
    parser.add_argument(
        "--during-build", type=Path, metavar="OTHER", help="a home with a record, to be built"
    )
    parser.add_argument("--datasette", action="store_true")
    options = parser.parse_args()
    home = Settings(home=options.home)
    of = subject(home)
    with closing(open_store(home.landing_store)) as store:
        key = create_key(store, of.project_id, ["read"], expires_days=1)

    def asked(address: Address, path: str, *clients: int) -> list[str]:
        return [cell for each in clients for cell in measured(ask(address, path, key, options.seconds, each))]

    port = free_port()
    serving = {"FUNNELHOUSE_HOME": str(home.home_dir), "FUNNELHOUSE_READ_PORT": str(port)}
    with served([sys.executable, "-c", SERVE], port, **serving) as address:
        lines = {name: asked(address, path, 1, 8) for name, path in questions(of).items()}
        if options.during_build:
            with building(options.during_build):
                for name, path in questions(of).items():
                    lines[name] += asked(address, path, 1)
    if options.datasette:
        lines["sources, by datasette"] = by_datasette(home, of, asked)

    print(f"Project `{of.project_id}`, {of.first} to {of.last}; milliseconds.\n")
    columns = ["question", "p50, 1 client", "p99", "answers", "p50, 8 clients", "p99", "answers"]
    columns += ["p50, 1 client during builds", "p99", "answers"] if options.during_build else []
    for line in (columns, ["---"] * len(columns), *([name, *cells] for name, cells in lines.items())):
        print(f"| {' | '.join([*line, *['-'] * (len(columns) - len(line))])} |")


def by_datasette(home: Settings, of: Subject, asked: Callable[..., list[str]]) -> list[str]:
    """The same cells of `sources`, as datasette answers it."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "environment" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", DATASETTE], check=True)
        file = Path(folder) / "bench.db"
        copy_to_sqlite(home, file)
        port = free_port()
        command = [str(python.with_name("datasette")), "serve", str(file), "--port", str(port)]
        with served([*command, "--setting", "sql_time_limit_ms", "60000"], port) as address:
            return asked(address, datasette_question(of), 1, 8)


if __name__ == "__main__":
    main()
