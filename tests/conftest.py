"""Fixtures that every room's tests use: a home of their own, and a real ingest server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, start_ingest

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
