"""Fixtures that every room's tests use: a home of their own, and a real ingest server."""

import os
import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from installed_wheel import Wheel
from longest_first import order
from made_once import made_once
from postgres import HOW_TO_GET_IT, Cluster, binaries, running_cluster
from servers import Server, start_ingest

from funnelhouse.collector import collect_seldom
from funnelhouse.settings import Settings
from record.landing import Location
from record.secrets import new_secret_key

# Of so many tests, a tenth of the time.
collect_seldom()

# A developer's .env may name a real database; no test writes there.
os.environ["FUNNELHOUSE_LANDING"] = ""
os.environ["FUNNELHOUSE_SECRET_KEYS"] = new_secret_key("tests")


# Last: pytest itself puts tests beside each other that share a parameter of a session.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with what takes long; one process goes from folder to folder."""
    if hasattr(config, "workerinput"):
        order(items)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose home is an empty temporary folder, here and in child processes."""
    monkeypatch.setenv("FUNNELHOUSE_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Wheel:
    """The wheel, installed apart from the checkout."""
    return Wheel(made_once(tmp_path_factory, worker_id, "wheel", lambda folder: Wheel(folder).make()))


@pytest.fixture
def free_ports() -> list[int]:
    """Three ports of 127.0.0.1 that nothing listens on."""
    probes = [socket.socket() for _ in range(3)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL for the whole run; tests use databases of their own, and leave it running."""
    bin_dir = binaries()
    if bin_dir is None:
        # A developer's machine may have none; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip(HOW_TO_GET_IT)
    with running_cluster(bin_dir) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def new_location(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Location]:
    """`new_location()`: where another landing store can be made, of each kind in turn."""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        return cluster.new_database
    numbers = count(1)
    return lambda: tmp_path / "landing" / f"{next(numbers)}.sqlite"


@pytest.fixture
def location(new_location: Callable[[], Location]) -> Location:
    """Where a landing store can be made."""
    return new_location()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def ingest_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One ingest server per kind of landing store over real sockets; tests use projects of their own."""
    is_postgres = request.param == "postgresql"
    location = request.getfixturevalue("postgres").new_database() if is_postgres else None
    server = start_ingest(tmp_path_factory.mktemp("ingest") / "home", location)
    yield server
    server.stop()
