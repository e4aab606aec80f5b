"""The OpenAPI description, completed: who may call, which errors a route can answer, and examples of both.

Examples of requests and answers are in `openapi.yaml` beside this file; a test sends each. What follows from
rules is here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml
from fastapi import FastAPI

from funnelhouse.auth import NO_KEY, SECURITY_SCHEMES, UNKNOWN_PROJECT, WRONG_SCOPE
from funnelhouse.components import PROBLEM, Components, of_members, reference
from funnelhouse.problems import Refusal, Renderer, problem
from read_api import report_dialect
from read_api.answers import BUILD_HEADER, CSV_MEDIA_TYPE, NEXT_HEADER
from read_api.marts import EXPORTS
from read_api.opened_build import Mart
from read_api.publications import Publications

DESCRIPTION = """\
Reports and tables of the published build: complete, checked, and unchanged until the next one. `?build=`
reads an older build that is kept. Money is in whole minor units beside its currency, credited conversions
are exact to nine decimals, times are UTC, and days are in the project's time zone.

A page of a table ends with its `limit`, or with the row that reaches 4 MB: `next` says whether more follow.

Keys are created with `funnelhouse keys create … --scopes read`. Test keys (`fh_test_…`) use the same paths
and see `<project>.test`. Every answer has an `ETag`: send it as `If-None-Match`, and a 304 says that
nothing changed.
"""

_TAGS = {
    "report": "The funnel report, exactly as existing clients expect it.",
    "reports": "Figures of a project, by day in its time zone.",
    "marts": "The published tables themselves.",
    "health": "Health of this process; without a key.",
}

_DETAILS = {
    400: "from must be a date as YYYY-MM-DD",
    401: NO_KEY,
    403: WRONG_SCOPE.format(scopes="read"),
    404: UNKNOWN_PROJECT,
    410: "This build is not kept any more; leave build and cursor out.",
    503: "Nothing is published to read; run `funnelhouse build`.",
}
_MEANINGS = {
    304: "Nothing changed since the answer with this ETag.",
    400: "Refused: the answer names the parameter and the fix.",
    401: "No key, or a wrong, expired or revoked one.",
    403: "The key lacks the scope.",
    404: "It does not exist, or belongs to another project.",
    410: "The build that was asked for is no longer kept.",
    503: "Nothing is published yet, the publication cannot be read, or too many queries run at once.",
}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    BUILD_HEADER: {"description": "The build that was read.", **_TEXT},
    "ETag": {"description": "Of this answer; send it as If-None-Match.", **_TEXT},
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "`ETag` of an answer that you have.",
    "required": False,
    "schema": {"type": "string"},
}
_COLUMN_FILTERS = {
    "name": "columns",
    "in": "query",
    "description": "Each column of the mart; with `.from` or `.to` a range, both ends included.",
    "required": False,
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_FIGURE_FILTERS = {
    **_COLUMN_FILTERS,
    "description": "The words of the figure's filter, as `data-filter` has them; what is added to it begins "
    "with `more-`, what it is divided by with `over-`.",
}
_REPORT_ERROR = of_members(
    "Why a funnel report was not made, in the shape that its readers know.",
    {
        "status": {"type": "string", "enum": ["error"], "description": "Always error."},
        "message": {"type": "string", "description": "What is wrong: the parameter, and the fix."},
    },
)


def describe(app: FastAPI) -> None:
    """Complete the app's OpenAPI description when it is asked for: what columns mean, the build says.

    It is made anew when another build was published. Until there is one, properties that are columns are
    described by their names only.
    """
    generate = app.openapi
    publications: Publications = app.state.publications
    described: str | None = None
    """The build whose descriptions it has."""

    def complete() -> dict[str, Any]:
        nonlocal described
        build_id, marts = _published(publications)
        if app.openapi_schema is None or build_id not in (None, described):
            app.openapi_schema = None
            schema = generate()
            _complete(schema, marts)
            app.openapi_schema, described = schema, build_id
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _published(publications: Publications) -> tuple[str | None, Mapping[str, Mart]]:
    """The build that readers see and its marts; none where it cannot be read."""
    try:
        with publications.current() as reader:
            return reader.build_id, reader.marts
    except Refusal:
        return None, {}


def _complete(schema: dict[str, Any], marts: Mapping[str, Mart]) -> None:
    schema["info"]["description"] = DESCRIPTION
    schema["components"]["securitySchemes"] = SECURITY_SCHEMES
    components = Components(schema["components"]["schemas"])
    # FastAPI's own shapes of an error are never answered.
    for name in ("HTTPValidationError", "ValidationError"):
        components.schemas.pop(name, None)
    components.add("Problem", PROBLEM)
    components.add("ReportError", _REPORT_ERROR)
    _describe_properties(components.schemas, marts)
    schema["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    said = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            # A route without a word of its own keeps what FastAPI says; a test names it.
            if about := said.get(path):
                _complete_operation(path, operation, about)


def _describe_properties(schemas: dict[str, Any], marts: Mapping[str, Mart]) -> None:
    """Say what each property is, where its class does not: as the YAML does, else as the marts do."""
    said = yaml.safe_load((Path(__file__).parent / "openapi_fields.yaml").read_text(encoding="utf-8"))
    docs: dict[str, dict[str, str]] = {}
    for mart in marts.values():
        for column in mart.columns:
            if column.description:
                docs.setdefault(column.name, {})[mart.name] = column.description
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            if words := said["enums"].get(f"{name}.{field}"):
                described["enum"] = words
            if "description" in described:
                continue
            of_marts = docs.get(field, {})
            shown = [of_marts[mart] for mart in said["marts"].get(name, ()) if mart in of_marts]
            # Where marts differ, the YAML must choose: no mart is the first one.
            agreed = set(of_marts.values()) if len(set(of_marts.values())) == 1 else set()
            about = said["fields"].get(f"{name}.{field}") or said["fields"].get(field)
            if about := about or next(iter((*shown, *agreed)), None):
                described["description"] = about


def _complete_operation(path: str, operation: dict[str, Any], said: dict[str, Any]) -> None:
    operation["operationId"] = said["id"]
    operation["summary"] = said["summary"]
    parameters = operation.setdefault("parameters", [])
    declared = {parameter["name"] for parameter in parameters}
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
        if name not in declared
    ]
    responses = operation["responses"]
    responses.pop("422", None)
    is_open = path.startswith("/read/")
    if not is_open:
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
        parameters.append(_IF_NONE_MATCH)
        responses["200"]["headers"] = dict(_HEADERS)
        responses["304"] = {"description": _MEANINGS[304], "headers": {"ETag": _HEADERS["ETag"]}}
    if path.endswith("/marts/{name}"):
        parameters.append(_COLUMN_FILTERS)
        for export in EXPORTS.values():
            is_binary = not export.media_type.startswith("text")
            responses["200"]["content"][export.media_type.partition(";")[0]] = {
                "schema": {"type": "string", **({"format": "binary"} if is_binary else {})}
            }
    elif any(parameter["name"] == "format" for parameter in parameters):
        parameters += [_FIGURE_FILTERS] if path.endswith("/receipt") else []
        responses["200"]["content"][CSV_MEDIA_TYPE.partition(";")[0]] = {"schema": {"type": "string"}}
        responses["200"]["headers"][NEXT_HEADER] = {
            "description": "Cursor of the next page, in csv.",
            **_TEXT,
        }
    if path == "/read/metrics":
        responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for status in _errors(path, {parameter["name"] for parameter in parameters}):
        responses[str(status)] = _error(status, path, said)
    operation["responses"] = dict(sorted(responses.items()))
    if "answer" in said:
        responses["200"]["content"]["application/json"]["examples"] = {"example": {"value": said["answer"]}}
    for parameter in parameters:
        example = {**said.get("query", {}), **said.get("path", {}), "project_id": "shop"}.get(
            parameter["name"]
        )
        if example is not None:
            parameter["examples"] = {"example": {"value": example}}


def _errors(path: str, parameters: set[str]) -> list[int]:
    """Statuses of the errors that a route can answer."""
    if path.startswith("/read/"):
        return [400, 503] if path.endswith("/ready") else []
    # Any route refuses a parameter that it does not take.
    errors = [400, 401, 403, 404, 503]
    return [*errors, 410] if parameters & {"build", "cursor"} else errors


def _error(status: int, path: str, said: dict[str, Any]) -> dict[str, Any]:
    """An error as the route's own code would show it."""
    is_dialect = path in report_dialect.ROUTES
    render: Renderer = report_dialect.render_error if is_dialect else problem
    detail = said.get("errors", {}).get(status, _DETAILS[status])
    shown = render(Refusal(status, detail, title="Gone" if status == 410 else None))
    example = orjson.loads(bytes(shown.body))
    schema = reference("ReportError" if is_dialect else "Problem")
    answer: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": {str(shown.media_type): {"schema": schema, "examples": {"error": {"value": example}}}},
    }
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": _TEXT}
    return answer
