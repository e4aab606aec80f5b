"""The description of the read API is true. Half of the requests that fit it name rows that there are, so that
more than empty answers is met."""

import pytest
from described import try_description
from example_marts import ReadServer

THERE = {
    "conversion_id": "shop/openanalytics:001",
    "identifier": "tablet",
    "delivery_id": "msg_00000000000000000000000001",
    "destination_id": "meta",
    "name": "fct_conversions",
}


def _try(server: ReadServer, examples: int) -> int:
    def name_path(path: dict[str, object], sent: int) -> None:
        path["project_id"] = "shop"
        if sent % 2 == 0:
            path.update({name: THERE[name] for name in path if name in THERE})

    url = f"{server.client.base_url}/read/openapi.json"
    return try_description(url, server.client.headers["Authorization"], name_path, examples)


def test_the_description_is_true(server: ReadServer) -> None:
    sent = _try(server, examples=3)
    print(f"{sent} requests made from the description")
    assert sent >= 100


@pytest.mark.slow
def test_the_description_is_true_of_five_thousand_requests(server: ReadServer) -> None:
    sent = _try(server, examples=150)
    print(f"{sent} requests made from the description")
    assert sent >= 5_000
