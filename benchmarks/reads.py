"""How long pages and reports take over HTTP, beside a route that does nothing, and beside datasette.

    python -m benchmarks.reads --home HOME
    python -m benchmarks.reads --events 10_000_000 [--folder FOLDER]

The first serves a home's published build in a process of its own; the second makes a home of synthetic
traffic (`benchmarks.traffic`; kept with `--folder`, and then used again) and builds it first. One warm client
asks every page of the dashboard's menu and what `benchmarks.read_addresses` lists, for the last 30 days of
the project with the most events, and a markdown table is printed. `--clients 8` lets so many ask at once as
well. `--only TEXT` asks what has this in its name. `--during-build OTHER` lets one client ask everything
again while another home is built from nothing, over and over, by processes of their own. `--datasette`
installs datasette into a temporary environment and asks it for the figures of `sources` from a copy of
rpt_traffic in SQLite, with an index on project and day.

The machine itself may hold answers up, a virtual one above all. So two processes that count to the same
number and wait for each other, about 10 ms a round and without a line of Funnelhouse, are timed before the
first question and after the last.
"""

import argparse
import http.client
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import apsw
import duckdb
import httpx

from benchmarks.ingest import DATASETTE, free_port
from benchmarks.read_addresses import EMPTY, PAGE, Subject, questions
from benchmarks.traffic import generate
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from publication.files import find_files
from record.landing import open_store

SERVE = "from funnelhouse.settings import Settings; from read_api.server import serve; serve(Settings())"

PROMISED_MS = 50
ROUND_MS = 10
CONTROL_SECONDS = 8.0
DATASETTE_LINE = "sources, by datasette"

Address = tuple[str, int]


def subject(home: Settings) -> Subject:
    """The project with the most events, the 30 days up to its last one, and what is frequent in them."""
    build = (home.published_dir / "current").resolve()
    with duckdb.connect(str(build / "marts.duckdb"), read_only=True) as marts:
        find_files(marts, build)
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
        country, source = (
            marts.execute(
                f"select {column} from rpt_traffic where project_id = ? and {column} is not null "
                f"group by {column} order by sum(sessions) desc, {column} limit 1",
                [project_id],
            ).fetchall()[0][0]
            for column in ("country", "source")
        )
    first = str(last - timedelta(days=29))
    return Subject(project_id, first, str(last), conversion_id, person_id, country, source)


def datasette_question(of: Subject) -> str:
    """What `sources` computes, as datasette is asked."""
    sql = (
        "select source, currency, sum(sessions), sum(credit_nano), sum(pending_credit_nano), "
        "sum(net_amount_minor) from rpt_traffic where project_id = :p and report_date between :a and :b "
        "group by source, currency order by 3 desc limit 100"
    )
    return "/bench/-/query.json?" + urlencode({"sql": sql, "p": of.project_id, "a": of.first, "b": of.last})


@dataclass(frozen=True)
class Reader:
    """Somebody who reads pages and reports of a running server; a key opens both."""

    address: Address
    headers: dict[str, str]
    least_answers: int = 1
    """Of a client, however long they take."""

    def status(self, path: str) -> int:
        """Of one answer."""
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            return self._once(connection, path)[0]

    def page(self, path: str) -> str:
        """HTML; empty where there is no such page."""
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            status, body = self._once(connection, path)
            return body.decode() if status == 200 else ""

    def ask(self, path: str, seconds: float, clients: int) -> list[float]:
        """Milliseconds of each answer, of `clients` that each ask again as soon as they are answered.

        Raises SystemExit for an answer that is none.
        """
        found: list[float] = []
        failures: list[str] = []

        def client() -> None:
            with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
                self._once(connection, path)
                ends, answers = time.perf_counter() + seconds, 0
                while (time.perf_counter() < ends or answers < self.least_answers) and not failures:
                    started = time.perf_counter()
                    status, _ = self._once(connection, path)
                    found.append((time.perf_counter() - started) * 1000)
                    answers += 1
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

    def _once(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def signed_in(address: Address, key: str, least_answers: int) -> Reader:
    """A reader with a session of the dashboard and the key of the API."""
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", trust_env=False) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/app/sign-in").text)
        if token is None:
            raise SystemExit("the form to sign in has no token")
        form = {"key": key, "csrf": token[1], "next": ""}
        if client.post("/app/sign-in", data=form).status_code != 303:
            raise SystemExit("the key opens no session")
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return Reader(address, {"x-api-key": key, "Cookie": cookies}, least_answers)


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


def rounds(seconds: float) -> list[float]:
    """Milliseconds of each round of two processes: both count, and the first waits for the second."""
    started = time.perf_counter()
    _count(1_000_000)
    numbers = int(1_000_000 * ROUND_MS / 1000 / (time.perf_counter() - started))
    here, there = multiprocessing.Pipe()
    other = multiprocessing.Process(target=_count_when_asked, args=(there, numbers), daemon=True)
    other.start()
    times = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        started = time.perf_counter()
        here.send(None)
        _count(numbers)
        here.recv()
        times.append((time.perf_counter() - started) * 1000)
    other.kill()
    other.join()
    return times


def _count_when_asked(pipe: Connection, numbers: int) -> None:
    while True:
        pipe.recv()
        _count(numbers)
        pipe.send(None)


def _count(numbers: int) -> None:
    for _ in range(numbers):
        pass


@dataclass(frozen=True)
class Measured:
    """Median and 99th percentile in milliseconds, of how many answers."""

    p50: float
    p99: float
    answers: int

    @classmethod
    def of(cls, times: list[float]) -> Self:
        """What the times of some answers come to."""
        times = sorted(times)
        return cls(statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.99))], len(times))

    def cells(self, empty: Self) -> list[str]:
        """Cells of a table; the last is how many times as long as the empty route."""
        return [f"{self.p50:.1f}", f"{self.p99:.1f}", str(self.answers), f"{self.p50 / empty.p50:.0f}"]


def made_home(events: int, folder: Path) -> Path:
    """A home of so much synthetic traffic with a published build, made where it is missing."""
    home = folder / f"events-{events}"
    if not (home / "traffic").exists():
        generate(home, events)
    if not (home / "published" / "current").exists():
        environment = {**os.environ, "FUNNELHOUSE_HOME": str(home.resolve())}
        subprocess.run(
            [sys.executable, "-m", "command_line", "build"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return home


def main() -> None:
    """Measure, and print as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--home", type=Path, help="a home with a published build")
    which.add_argument("--events", type=int, help="make a home of so much synthetic traffic")
    parser.add_argument(
        "--folder", type=Path, help="where homes that are made are kept; else they are deleted"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each question and number of clients")
    parser.add_argument(
        "--answers",
        type=int,
        default=100,
        help="at least so many of each client, however long they take: of fewer, the p99 is the slowest",
    )
    parser.add_argument("--clients", type=int, help="how many ask at once, besides one alone")
    parser.add_argument("--only", default="", help="ask only what has this in its name")
    parser.add_argument(
        "--during-build", type=Path, metavar="OTHER", help="a home with a record, to be built"
    )
    parser.add_argument("--datasette", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or made_home(options.events, options.folder or Path(folder))
        _measure(Settings(home=home.resolve()), options)


def _measure(home: Settings, options: argparse.Namespace) -> None:
    of = subject(home)
    with closing(open_store(home.landing_store)) as store:
        key = create_key(store, of.project_id, ["read"], expires_days=1)
    port = free_port()
    serving = {"FUNNELHOUSE_HOME": str(home.home_dir), "FUNNELHOUSE_READ_PORT": str(port)}
    clients = [1] if options.clients is None else [1, options.clients]
    lines: dict[str, list[Measured]] = {}
    refused: dict[str, int] = {}
    before = Measured.of(rounds(CONTROL_SECONDS))
    with served([sys.executable, "-c", SERVE], port, **serving) as address:
        reader = signed_in(address, key, options.answers)
        asked = {
            name: path
            for name, path in questions(of, reader.page)
            if name == EMPTY or options.only.lower() in name.lower()
        }
        for name, path in asked.items():
            if (status := reader.status(path)) == 200:
                lines[name] = [Measured.of(reader.ask(path, options.seconds, each)) for each in clients]
                # The table comes at the end, a quarter of an hour later.
                print(f"{name}: {lines[name][0].p50:.1f} ms", file=sys.stderr)
            else:
                refused[name] = status
        if options.during_build:
            with building(options.during_build):
                for name in lines:
                    lines[name].append(Measured.of(reader.ask(asked[name], options.seconds, 1)))
    if options.datasette:
        lines[DATASETTE_LINE] = by_datasette(home, of, options.seconds, clients)
    titles = ["one client", *(f"{each} clients" for each in clients[1:])]
    print(f"Project `{of.project_id}`, {of.first} to {of.last}; milliseconds.\n")
    _print_table(lines, titles + (["one, beside builds"] if options.during_build else []))
    for name, one in (("before", before), ("after", Measured.of(rounds(CONTROL_SECONDS)))):
        print(f"\nTwo processes that count, {name}: p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms.")
    if refused:
        said = ", ".join(f"{name} ({status})" for name, status in refused.items())
        print(f"\nNot there, or refused: {said}.")


def _print_table(lines: dict[str, list[Measured]], titles: list[str]) -> None:
    columns = [column for title in titles for column in (f"p50, {title}", "p99", "answers", "÷ empty route")]
    print(f"| question | {' | '.join(columns)} |")
    print(f"|---|{'---:|' * len(columns)}")
    for name, measured in lines.items():
        cells = [
            cell for one, empty in zip(measured, lines[EMPTY], strict=False) for cell in one.cells(empty)
        ]
        cells += ["-"] * (len(columns) - len(cells))
        print(f"| {name} | {' | '.join(cells)} |")
    for what, names in (
        ("reports (one query each)", [name for name in lines if not name.startswith((PAGE, DATASETTE_LINE))]),
        ("pages (several queries each)", [name for name in lines if name.startswith(PAGE)]),
    ):
        slow = [name for name in names if lines[name][0].p99 > PROMISED_MS]
        said = f": {', '.join(slow)}" if slow else ""
        print(f"\n{len(slow)} of {len(names)} {what} have a p99 over {PROMISED_MS} ms for one client{said}.")


def by_datasette(home: Settings, of: Subject, seconds: float, clients: list[int]) -> list[Measured]:
    """The same of `sources`, as datasette answers it."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "environment" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", DATASETTE], check=True)
        file = Path(folder) / "bench.db"
        copy_to_sqlite(home, file)
        port = free_port()
        command = [str(python.with_name("datasette")), "serve", str(file), "--port", str(port)]
        with served([*command, "--setting", "sql_time_limit_ms", "60000"], port) as address:
            reader = Reader(address, {})
            return [Measured.of(reader.ask(datasette_question(of), seconds, each)) for each in clients]


if __name__ == "__main__":
    main()
