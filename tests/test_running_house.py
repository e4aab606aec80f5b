"""The house as a user runs it, from the wheel: `funnelhouse up` builds what arrives, and the demo adds up."""

import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx
import pytest
from installed_wheel import Wheel
from servers import free_port
from shop_visitor import journey, visitor

from command_line.demo.past.shop_world import DAYS
from funnelhouse.keys import create_key
from funnelhouse.settings import CHECKOUT, Settings
from record.landing import open_store

pytestmark = pytest.mark.slow

# Data, not code, so no dependency of the tests: `make test-slow` installs it.
needs_demo_data = pytest.mark.skipif(
    importlib.util.find_spec("mta") is None,
    reason="the demo's data is missing: pip install --no-deps mta==0.0.9, or `make test-slow`",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        ingest_port=free_port(),
        read_port=free_port(),
        dagster_port=free_port(),
        demo_shop_port=free_port(),
    )


@contextmanager
def up(wheel: Wheel, settings: Settings) -> Iterator[None]:
    """Everything runs; at the end it is asked to end."""
    process = wheel.start(settings, "up", stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        assert process.poll() is None
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_what_arrives_is_published_without_anybody_asking(wheel: Wheel, settings: Settings) -> None:
    before = wheel.files()
    store = open_store(settings.landing_store)
    key = create_key(store, "shop", ["ingest", "read"])
    store.close()
    headers = {"Authorization": f"Bearer {key}"}
    with up(wheel, settings):
        for published in (1, 2):
            event = {"event_type": "conversion", "event_name": "signup", "user_id": f"user-{published}"}
            url = f"http://127.0.0.1:{settings.ingest_port}/v1/projects/shop/events"
            assert httpx.post(url, json=event, headers=headers).status_code == 202
            wait_for_conversions(settings, headers, published)
    assert wheel.files() == before


def wait_for_conversions(settings: Settings, headers: dict[str, str], expected: int) -> None:
    url = f"http://127.0.0.1:{settings.read_port}/v1/projects/shop/reports/attribution"
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        answer = httpx.get(url, headers=headers)
        # 503 until the first publication.
        if answer.status_code == 200:
            totals = answer.json()["totals"]
            if totals and totals[0]["conversions"] == expected:
                return
        else:
            assert answer.status_code == 503
        time.sleep(1)
    raise AssertionError(f"{expected} conversions were not published")


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "during_the_build", "code"),
    [
        (signal.SIGTERM, False, 130),
        (signal.SIGTERM, True, 130),
        pytest.param(
            *(signal.SIGKILL, False, -9),
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only Linux ends a process with its parent"
            ),
        ),
    ],
)
def test_a_demo_that_is_killed_ends_its_servers(
    wheel: Wheel, settings: Settings, number: signal.Signals, during_the_build: bool, code: int
) -> None:
    demo = wheel.start(settings, "demo", stdout=subprocess.DEVNULL)
    try:
        warehouse = settings.home_dir / "demo" / "warehouse.duckdb"
        # Without a build it is still sending: ingest is the first to listen.
        wait_for(lambda: warehouse.exists() if during_the_build else is_listening(settings.ingest_port))
        demo.send_signal(number)
        assert demo.wait(120) == code
        # Nobody is asked twice: those of a killed one end by themselves.
        wait_for(lambda: not any(map(is_listening, (settings.ingest_port, settings.read_port))))
    finally:
        demo.kill()
        demo.wait()


def test_a_visitor_of_the_demo_finds_the_own_journey_explained(wheel: Wheel, settings: Settings) -> None:
    demo = wheel.start(settings, "demo", stdout=subprocess.PIPE)
    try:
        said = ""
        assert demo.stdout is not None
        while "Ctrl-C" not in said:
            said += demo.stdout.readline() or pytest.fail(f"the demo ended: {said}")
        [shop] = re.findall(r"^Shop +(\S+)", said, re.MULTILINE)
        keys = re.findall(r"^Key +(\S+)", said, re.MULTILINE)
        with visitor() as page:
            # Nobody asks for builds: the scheduler makes them.
            journey(page, shop, keys[-1])
    finally:
        demo.terminate()
        assert demo.wait(120) == 0
    ports = (settings.ingest_port, settings.read_port, settings.dagster_port, settings.demo_shop_port)
    assert not any(map(is_listening, ports))


def test_the_demo_shows_something_of_everything_and_ends(wheel: Wheel, settings: Settings) -> None:
    for _ in range(2):
        # The second time it is made anew.
        said = wheel.run(settings, "demo", "--once", within_s=3600)
        assert "Every model adds up to what was sent:" in said
        assert "The shop is made up" in said
    marts_file = settings.home_dir / "demo" / "published" / "current" / "marts.duckdb"
    with duckdb.connect(str(marts_file), read_only=True) as marts:
        tables = marts.sql("select table_name from duckdb_tables() where schema_name = 'main'").fetchall()
        rows = {table: marts.table(table).count("*").fetchall()[0][0] for (table,) in tables}
        # Nobody shares an id in the shop.
        assert {table for table, count in rows.items() if not count} == {"rpt_identity_conflicts"}
        days, first, last = marts.sql(
            "select count(distinct report_date), min(report_date), max(report_date) from rpt_traffic"
        ).fetchall()[0]
        assert (days, (last - first).days) in ((DAYS, DAYS - 1), (DAYS - 1, DAYS - 2))
        # Revenue changed on most days, not when it was sent.
        known_on = marts.sql("select count(distinct learnt_date) from fct_conversion_ledger").fetchall()
        assert known_on[0][0] > DAYS / 2
    for port in (settings.ingest_port, settings.read_port):
        assert not is_listening(port)


@needs_demo_data
def test_the_demo_of_journeys_adds_up_to_the_data_and_ends(wheel: Wheel, settings: Settings) -> None:
    said = wheel.run(settings, "demo", "--data", "journeys", "--once", within_s=3600)
    assert (
        "Every model adds up to the source file's totals: 88,387 journeys, 378,209 touches, "
        "19,785 conversions worth 74,802.94 USD." in said
    )
    # The table that docs/demo.md shows is the one that is printed.
    documented = (CHECKOUT / "docs/demo.md").read_text().split("```")[1].strip("\n")
    printed = "\n".join(line.rstrip() for line in said.splitlines())
    assert documented in printed
    for port in (settings.ingest_port, settings.read_port):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/")
