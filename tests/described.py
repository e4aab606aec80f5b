"""Whether a description of an API is true: requests made from it get no answer that it does not name.

Schemathesis makes requests that fit the description, and requests that break it in one place. Its checks of
what a server should refuse are left out: our rules of tolerance (unknown fields, say) decide otherwise.
"""

from collections.abc import Callable

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

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

ENDLESS = "/events/stream"

NamePath = Callable[[dict[str, object], int], None]
"""Puts names of what there is into the path parameters of a good request; told how many were sent before."""


def try_description(url: str, authorization: str, name_path: NamePath, examples: int) -> int:
    """Try every operation with `examples` good and as many bad requests, and return how many were sent."""
    description = schemathesis.openapi.from_url(url)
    operations = [found.ok() for found in description.get_all_operations()]
    with requests.Session() as session:
        session.headers["Authorization"] = authorization
        return sum(
            _try_operation(operation, mode, name_path, examples, session)
            for operation in operations
            if ENDLESS not in operation.path
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            # Where any text will do, as in a path, nothing can be given wrongly.
            if mode is GenerationMode.POSITIVE or operation.body or operation.query
        )


def _try_operation(
    operation: schemathesis.APIOperation,
    mode: GenerationMode,
    name_path: NamePath,
    examples: int,
    session: requests.Session,
) -> int:
    sent = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        if mode is GenerationMode.POSITIVE and case.path_parameters:
            name_path(case.path_parameters, sent)
        case.call_and_validate(session=session, checks=CHECKS, timeout=20)
        sent += 1

    send()
    return sent
