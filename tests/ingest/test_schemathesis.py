"""The description of the ingest API is true: requests made from it get no answer that it does not name.

Schemathesis makes requests that fit the description, and requests that break it in one place. Those that fit
name the key's own project, so that they get past the door; the others name any.
"""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from servers import Server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = "/events/stream"


def try_description(server: Server, examples: int) -> int:
    """Try every operation with `examples` good and as many bad requests, and return how many were sent."""
    description = schemathesis.openapi.from_url(f"{server.url}/ingest/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.key('described')}"
        return sum(
            try_operation(operation, mode, examples, session)
            for operation in operations
            if ENDLESS not in operation.path
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            # Where any text will do, as in a path, nothing can be given wrongly.
            if mode is GenerationMode.POSITIVE or operation.body or operation.query
        )


def try_operation(
    operation: schemathesis.APIOperation, mode: GenerationMode, examples: int, session: requests.Session
) -> int:
    sent = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        if mode is GenerationMode.POSITIVE and "project_id" in (case.path_parameters or {}):
            case.path_parameters["project_id"] = "described"
        case.call_and_validate(session=session, checks=CHECKS, timeout=20)
        sent += 1

    send()
    return sent


@pytest.mark.parametrize("ingest_server", ["sqlite"], indirect=True)
def test_the_description_is_true(ingest_server: Server) -> None:
    sent = try_description(ingest_server, examples=3)
    print(f"{sent} requests made from the description")
    assert sent >= 100


@pytest.mark.slow
def test_the_description_is_true_of_ten_thousand_requests(ingest_server: Server) -> None:
    sent = try_description(ingest_server, examples=200)
    print(f"{sent} requests made from the description")
    assert sent >= 10_000
