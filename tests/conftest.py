"""Fixtures that every room's tests use: a home of their own, and a real ingest server."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from servers import Server, start_ingest

from funnelhouse.landing import Location
from funnelhouse.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose home is an empty temporary folder, here and in child processes."""
    monkeypatch.setenv("FUNNELHOUSE_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture(scope="session")
def ingest_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One ingest server over real sockets for the whole run; tests use projects of their own."""
    server = start_ingest(tmp_path_factory.mktemp("ingest") / "home")
    yield server
    server.stop()


@pytest.fixture(params=["sqlite"])
def new_location(tmp_path: Path) -> Callable[[], Location]:
    """`new_location()`: where another landing store can be made, of each kind in turn."""
    numbers = count(1)
    return lambda: tmp_path / "landing" / f"{next(numbers)}.sqlite"


@pytest.fixture
def location(new_location: Callable[[], Location]) -> Location:
    """Where a landing store can be made."""
    return new_location()
