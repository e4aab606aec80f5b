"""The description of the ingest API is true. Requests that fit it name the key's own project, so that they
get past the door; the others name any."""

import pytest
from described import try_description
from servers import Server


def _try(server: Server, examples: int) -> int:
    def name_path(path: dict[str, object], _sent: int) -> None:
        if "project_id" in path:
            path["project_id"] = "described"

    url, key = f"{server.url}/ingest/openapi.json", server.key("described")
    return try_description(url, f"Bearer {key}", name_path, examples)


@pytest.mark.parametrize("ingest_server", ["sqlite"], indirect=True)
def test_the_description_is_true(ingest_server: Server) -> None:
    sent = _try(ingest_server, examples=3)
    print(f"{sent} requests made from the description")
    assert sent >= 100


@pytest.mark.slow
def test_the_description_is_true_of_ten_thousand_requests(ingest_server: Server) -> None:
    sent = _try(ingest_server, examples=200)
    print(f"{sent} requests made from the description")
    assert sent >= 10_000
