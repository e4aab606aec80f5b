"""A read server over example marts."""

from collections.abc import Iterator

import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, publish_rows, read_server
from example_outbox import define_destinations, write_outbox

from funnelhouse.settings import Settings


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    """A server over EXAMPLE_ROWS, for tests that only read."""
    home = tmp_path_factory.mktemp("read") / "home"
    settings = Settings(home=home)
    publish_rows(settings, EXAMPLE_ROWS)
    define_destinations(settings)
    write_outbox(settings)
    with read_server(home) as running:
        yield running
