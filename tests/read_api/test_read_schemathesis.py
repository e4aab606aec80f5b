"""The description of the read API is true: requests made from it get no answer that it does not name.

As in tests/ingest: requests that fit the description, and requests that break it in one place. Half of those
that fit name rows that there are, so that more than empty answers is met.
"""

import pytest
import requests
import schemathesis
from example_marts import ReadServer
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
THERE = {
    "conversion_id": "shop/openanalytics:001",
    "identifier": "tablet",
    "name": "fct_conversions",
}


def try_description(server: ReadServer, examples: int) -> int:
    """Try every operation with `examples` good and as many bad requests, and return how many were sent."""
    description = schemathesis.openapi.from_url(f"{server.client.base_url}/read/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    with requests.Session() as session:
        session.headers["Authorization"] = server.client.headers["Authorization"]
        return sum(
            try_operation(operation, mode, examples, session)
            for operation in operations
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            # Where any text will do, as in a path, nothing can be given wrongly.
            if mode is GenerationMode.POSITIVE or operation.query
        )


def try_operation(
    operation: schemathesis.APIOperation, mode: GenerationMode, examples: int, session: requests.Session
) -> int:
    sent = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        if mode is GenerationMode.POSITIVE and case.path_parameters:
            case.path_parameters["project_id"] = "shop"
            if sent % 2 == 0:
                case.path_parameters.update({n: THERE[n] for n in case.path_parameters if n in THERE})
        case.call_and_validate(session=session, checks=CHECKS, timeout=20)
        sent += 1

    send()
    return sent


def test_the_description_is_true(server: ReadServer) -> None:
    sent = try_description(server, examples=3)
    print(f"{sent} requests made from the description")
    assert sent >= 100


@pytest.mark.slow
def test_the_description_is_true_of_five_thousand_requests(server: ReadServer) -> None:
    sent = try_description(server, examples=150)
    print(f"{sent} requests made from the description")
    assert sent >= 5_000
