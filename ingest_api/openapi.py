"""The OpenAPI description, completed: what FastAPI cannot know of routes that read their own bodies.

Names, descriptions and examples are in a YAML file beside each dialect, and in `native.yaml`. Here is what
follows from rules: which errors a route can answer, in whose shape and words (those of the code that answers
them), who may call it, which headers it takes. A test sends every example to a real server.
"""

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import yaml
from fastapi import FastAPI, Request

from funnelhouse.auth import KEYS_UNREADABLE, LANDING, NO_KEY, SECURITY_SCHEMES, UNKNOWN_PROJECT, WRONG_SCOPE
from funnelhouse.components import COMPONENTS, Components, reference
from funnelhouse.problems import Refusal
from ingest_api import costs, dialect_routes, keys, notes
from ingest_api.access import NO_POSTBACKS, NO_TRACKER, SETTINGS_UNREADABLE
from ingest_api.body import OTHER_ENCODING, TOO_LARGE, TOO_LATE
from ingest_api.components import ANSWERS, COLUMN_DOCS, listed, stored
from ingest_api.definitions import changes, exchange_rates
from ingest_api.definitions.destination import DESTINATIONS
from ingest_api.definitions.kind import Kind, Single
from ingest_api.definitions.routes import KINDS, SINGLES
from ingest_api.dialect import Route, Sender
from ingest_api.dialect_table import BY_PATH
from ingest_api.forwarding import secrets, wishes
from ingest_api.forwarding.destinations import DESTINATION
from ingest_api.group_commit import NOT_COMMITTED, NOT_READY
from ingest_api.hints import WARNINGS
from ingest_api.idempotency import OTHER_BODY
from ingest_api.links.routes import PREFETCHED, UNKNOWN_LINK
from ingest_api.rate_limits import TOO_MANY
from ingest_api.requests import DRY_RUN, NO_DRY_RUN
from ingest_api.window.routes import WRONG_LAST_EVENT_ID, WRONG_LIMIT
from record.contract import DefinitionKind

_FOLDER = Path(__file__).parent

DESCRIPTION = """\
Send visits and conversions in the dialect that you already speak. A 2xx means that the report is on stable
storage. A 503 means *unknown*: it may be there, and repeating it is safe with an event id or an
Idempotency-Key.

Keys are created with `funnelhouse keys create`, and by admins at `/v1/projects/{id}/keys`. A key of scope
`page` may stand in a web page, where anybody can read it: it sends visits, events, identify calls and
conversions, which count as a browser's; a status, a refund, an alias or an unalias is 403 (Segment's answers
stay 200). A key of scope `ingest` belongs on a server and sends everything. Neither reads: `read` and `admin`
show what arrived and what is defined, `admin` defines. Test keys (`fh_test_…`) use the same paths and write
to `<project>.test`. With `Funnelhouse-Dry-Run: 1` everything is checked and nothing is stored.

Mistakes are pointed out while they can still be fixed. A dry run and a test key are answered with
`warnings` (a field that nothing reads, with the nearest known name; a conversion without an amount or
without anybody's id; an unknown status; a time without a zone or far off) and `understood`, the columns
that each event fills. Live keys get the number of warnings in the header `Funnelhouse-Warnings`, if there
are any.

Texts have length limits, in bytes of UTF-8: ids 1,024, names 4,096, a status, an experiment and its variant
256. A longer one is refused (by Segment's routes left out or cut). Addresses, referrers and user agents are
cut to 8,192 bytes, UTM fields to 1,024; a click id over 4,096 is left out.
"""

_BY_KEY: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]

_TAGS = {
    "window": "What arrived, as received and as understood, at once and before any build.",
    "goals": "Stored rules that pick events, for all history.",
    "funnels": "Steps in an order, within a window.",
    "pages": "The nodes of a funnel, and what a conversion on them is worth.",
    "traffic-sources": "What reports call a source, and whether it is paid for.",
    "experiments": "Variants, and the goals that decide between them.",
    "links": "Addresses that record who follows them, and lead on.",
    "destinations": "Where conversions are told: traffic sources, ad platforms, systems of one's own.",
    "keys": "API keys of the project: who may send, read and define.",
    "notes": "Notes on days, and what changed in definitions: what charts are marked with.",
    "settings": "Numbers and choices that a project's models use.",
    "tracker": "What the script does in the browsers of the project's visitors.",
    "channels": "Rules by which sources and media become channels.",
    "exchange-rates": "What currencies are worth in others, by day.",
    "costs": "Ad spend per day, source, medium and campaign.",
    "health": "Health of this process; without a key.",
}

_DETAILS = {
    400: NO_DRY_RUN,
    401: NO_KEY,
    408: TOO_LATE,
    413: TOO_LARGE,
    415: OTHER_ENCODING,
    422: OTHER_BODY,
    429: TOO_MANY.format(limit="1000/minute", whose="this project", seconds=42),
}
"""Words of errors that are the same on every route, or on most."""
_UNCHANGED = (KEYS_UNREADABLE, SETTINGS_UNREADABLE, NOT_READY)
"""Words of a 503 after which nothing can have been done."""
_MEANINGS = {
    400: "Refused: the answer names the field and the fix.",
    401: "No key, or a wrong, expired or revoked one.",
    403: "The key lacks the scope, or a page key sent what only servers may send.",
    404: "It does not exist, or belongs to another project.",
    408: "The body did not arrive in time.",
    409: "A setting is missing.",
    413: "The body is too large.",
    415: "A Content-Encoding other than gzip.",
    422: "The Idempotency-Key was used for another body.",
    429: "Over the project's rate limit; Retry-After says when to try again.",
    503: "Temporarily unavailable; whether it was done is unknown: repeat it.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_WARNINGS = {
    "description": "The number of warnings, if there are any.",
    "schema": {"type": "integer"},
}
_SCRIPTS = ("/t.js", "/t/{project_id}.js")
_SCRIPT_HEADERS = {
    "ETag": {"description": "Changes with the script and its config.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long browsers keep it.", "schema": {"type": "string"}},
}
_CHALLENGE = {"WWW-Authenticate": {"schema": {"type": "string"}}}


def describe(app: FastAPI) -> None:
    """Complete the app's OpenAPI description when it is first asked for."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            _complete(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _complete(schema: dict[str, Any]) -> None:
    schema["info"]["description"] = DESCRIPTION
    found = schema.setdefault("components", {})
    found["securitySchemes"] = SECURITY_SCHEMES
    components = Components(found.setdefault("schemas", {}))
    # FastAPI's own shapes of an error are never answered.
    found["schemas"].clear()
    for name, answer in ANSWERS.items():
        components.add(name, answer)
    said = _said()
    schema["tags"] = [
        {"name": name, "description": text}
        for name, text in ({tag: text for _, tag, text in _dialects()} | _TAGS).items()
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            # A route without a word of its own keeps what FastAPI says; a test names it.
            if about := said.get(f"{method.upper()} {path}"):
                _complete_operation(method, path, operation, about)
                _name_schemas(components, operation, about)
    _name_definitions(components)
    _describe_properties(components)


def _name_schemas(components: Components, operation: dict[str, Any], said: dict[str, Any]) -> None:
    """Put components in the place of an operation's schemas."""
    prefix = said["tag"].capitalize() if said.get("is_dialect") else ""
    operation_name = "".join(word.capitalize() for word in said["id"].split("_"))
    for parameter in operation["parameters"]:
        parameter["schema"] = components.named(parameter["schema"], prefix)
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = components.named(media["schema"], prefix)
        is_named = "$ref" in schema or schema.get("type") != "object"
        media["schema"] = schema if is_named else components.add(f"{operation_name}Body", schema)


def _name_definitions(components: Components) -> None:
    """What is shown of definitions; their shapes are named by the bodies that define them."""
    for kind in KINDS:
        shape = components.schemas[kind.shape.__name__]
        key = {kind.id_name: {"type": "string", "description": f"Id of the {kind.noun}."}}
        said = f"A {kind.noun} as it is stored."
        if "oneOf" in shape:
            # Of each that it may be, one is stored.
            mapping = shape["discriminator"]["mapping"]
            targets = {value: f"Stored{target.rpartition('/')[2]}" for value, target in mapping.items()}
            for value, name in targets.items():
                alternative = components.schemas[name.removeprefix("Stored")]
                components.add(name, stored(alternative, f"{said[:-1]}, of kind {value}.", key))
            found = {
                "description": said,
                "oneOf": [reference(name) for name in targets.values()],
                "discriminator": {
                    **shape["discriminator"],
                    "mapping": {value: f"{COMPONENTS}{name}" for value, name in targets.items()},
                },
            }
        else:
            found = stored(shape, said, key)
        components.add(_stored_name(kind), found)
        components.add(f"{_stored_name(kind)}Page", listed(kind, _stored_name(kind)))
    for single in SINGLES:
        shape = components.schemas[single.shape.__name__]
        beside = {name: {"type": "integer", "minimum": 0} for name in _beside(single)}
        components.add(_single_name(single), stored(shape, f"A project's {single.noun}.", {}, beside))


def _stored_name(kind: Kind) -> str:
    return f"Stored{kind.shape.__name__}"


def _single_name(single: Single) -> str:
    return f"Stored{single.kind.capitalize()}"


def _beside(single: Single) -> dict[str, Any]:
    """What is shown beside a definition, of a project that has defined nothing else."""
    nothing: dict[DefinitionKind, dict[str, Any]] = {kind: {} for kind in get_args(DefinitionKind)}
    return single.beside(single.complete(None), nothing) if single.beside else {}


def _describe_properties(components: Components) -> None:
    """Say of each property what it is: by the contract, else as the YAML files say it."""
    words = reference("StatusWord")
    for path in (*_described_dialects(), _FOLDER / "native.yaml"):
        said = yaml.safe_load(path.read_text())
        prefix = said["tag"].capitalize() if "tag" in said else ""
        for name, schema in components.schemas.items():
            if name in ANSWERS or not name.startswith(prefix):
                continue
            for field, described in schema.get("properties", {}).items():
                about = said["fields"].get(f"{name}.{field}")
                if about is None and "description" not in described:
                    about = said["fields"].get(field)
                if about is None and prefix and field in COLUMN_DOCS:
                    about = field
                if about is not None:
                    described["description"] = COLUMN_DOCS.get(about, about)
                if prefix and field == "status":
                    described["anyOf"] = [words, {key: described.pop(key) for key in ("type", "maxLength")}]


def _described_dialects() -> list[Path]:
    return [*sorted((_FOLDER / "dialects").glob("*.yaml")), _FOLDER / "tracker" / "wire.yaml"]


def _dialects() -> list[tuple[dict[str, Any], str, str]]:
    """Per dialect its operations, its tag, and what is said of it."""
    found = []
    for path in _described_dialects():
        said = yaml.safe_load(path.read_text())
        found.append((said["operations"], said["tag"], said["description"]))
    return found


def _said() -> dict[str, dict[str, Any]]:
    """What is said of each operation: `tag`, `id`, `summary`, …"""
    said: dict[str, dict[str, Any]] = {}
    for operations, tag, _ in _dialects():
        said |= {name: {"tag": tag, "is_dialect": True, **about} for name, about in operations.items()}
    said |= yaml.safe_load((_FOLDER / "native.yaml").read_text())["operations"]
    for kind in KINDS:
        said |= _said_of_kind(kind)
    project = "GET /v1/projects/{project_id}"
    for window in ("events", "rejected"):
        said[f"{project}/{window}/recent"]["details"] = {400: WRONG_LIMIT}
    said[f"{project}/events/stream"]["details"] = {400: WRONG_LAST_EVENT_ID}
    said[f"{project}/keys"]["details"] = {400: keys.WRONG_AFTER, 403: WRONG_SCOPE.format(scopes="admin")}
    said["POST /v1/projects/{project_id}/keys"]["example"] = keys.EXAMPLE
    said["PUT /v1/projects/{project_id}/keys/{key_id}"]["example"] = keys.NAME_EXAMPLE
    said[f"GET {notes.NOTES}"]["details"] = {400: notes.WRONG_AFTER}
    readers = WRONG_SCOPE.format(scopes="read or admin")
    said[f"POST {notes.NOTES}"] |= {"example": notes.EXAMPLE, "details": {403: readers}}
    said[f"DELETE {notes.NOTE}"]["details"] = {403: readers}
    said[f"GET {changes.CHANGES}"]["details"] = {400: changes.WRONG_AFTER}
    admins = WRONG_SCOPE.format(scopes="admin")
    for path in (secrets.SECRETS, secrets.SECRET):
        said[f"GET {path}"]["details"] = {400: _refused_id(DESTINATIONS), 403: admins}
    said[f"PUT {secrets.SECRET}"] |= {"example": secrets.EXAMPLE, "details": {409: secrets.NO_KEYS}}
    for action in ("pause", "resume", "release", "test"):
        said[f"POST {DESTINATION}/{action}"]["example"] = wishes.NOTE_EXAMPLE
    said[f"POST {wishes.REPLAY}"]["example"] = wishes.REPLAY_EXAMPLE
    said["GET /ingest/ready"]["details"] = {503: NOT_READY}
    for single in SINGLES:
        said |= _said_of_single(single)
    said["POST /v1/projects/{project_id}/costs"]["example"] = costs.EXAMPLE
    said[f"POST {exchange_rates.PATH}"]["example"] = exchange_rates.EXAMPLE
    said[f"GET {exchange_rates.PATH}"]["details"] = {400: exchange_rates.WRONG_AFTER}
    return said


def _said_of_single(single: Single) -> dict[str, dict[str, Any]]:
    path = f"/v1/projects/{{project_id}}/{single.kind}"
    shown = {
        "version": 1,
        "received_us": 1772366400123456,
        **single.shape.model_validate(single.example).model_dump(),
        **_beside(single),
    }
    about = {"tag": single.kind, "answer": shown, "answer_schema": _single_name(single)}
    noun = single.noun
    return {
        f"PUT {path}": {
            **about,
            "id": f"put_{single.kind}",
            "summary": f"Set the project's {noun}",
            "example": single.example,
        },
        f"GET {path}": {**about, "id": f"get_{single.kind}", "summary": f"Show the project's {noun}"},
        f"DELETE {path}": {
            "tag": single.kind,
            "id": f"delete_{single.kind}",
            "summary": f"Go back to the default {noun}",
        },
    }


def _said_of_kind(kind: Kind) -> dict[str, dict[str, Any]]:
    things = f"/v1/projects/{{project_id}}/{kind.path}"
    thing = f"{things}/{{{kind.id_name}}}"
    shown = _shown_example(kind, kind.example)
    noun = kind.kind
    one = {"tag": kind.path, "answer": shown, "answer_schema": _stored_name(kind)}
    more = {
        name: {
            "summary": f"Another example: {name}",
            "body": example,
            "answer": {"status": 200, "body": _shown_example(kind, example)},
        }
        for name, example in kind.more_examples.items()
    }
    return {
        f"PUT {thing}": {**one, "id": f"put_{noun}", "example": kind.example, "examples": more},
        f"GET {thing}": {**one, "id": f"get_{noun}", "details": {400: _refused_id(kind)}},
        f"DELETE {thing}": {"tag": kind.path, "id": f"delete_{noun}"},
        f"GET {things}": {
            "tag": kind.path,
            "id": f"list_{kind.plural}",
            "answer": {kind.plural: [shown], "next": None},
            "answer_schema": f"{_stored_name(kind)}Page",
        },
    }


def _shown_example(kind: Kind, example: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a definition once it is put."""
    return {
        kind.id_name: kind.kind,
        "version": 1,
        "received_us": 1772366400123456,
        # By way of JSON: amounts are kept digit by digit.
        **orjson.loads(orjson.dumps(kind.shown(kind.stored(kind.shape.model_validate(example))))),
    }


def _refused_id(kind: Kind) -> str:
    """What is answered to an id that cannot be."""
    try:
        kind.check_id(kind.id_name, "")
    except Refusal as refusal:
        return refusal.detail
    raise AssertionError(f"{kind.id_name} may be empty")


def _complete_operation(method: str, path: str, operation: dict[str, Any], said: dict[str, Any]) -> None:
    operation["operationId"] = said["id"]
    operation["tags"] = [said["tag"]]
    for name in ("summary", "description"):
        if name in said:
            operation[name] = said[name]
    route = BY_PATH.get(path)
    if not _is_open(path):
        # The key may be in the body instead.
        operation["security"] = [*_BY_KEY, {}] if route and route.key_in_body else _BY_KEY
    parameters = operation.setdefault("parameters", [])
    declared = {parameter["name"] for parameter in parameters}
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
        if name not in declared
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in said.get("parameters", {}).items()
    ]
    if method != "get" or _sender(path) == "postback":
        parameters.append(
            {
                "name": DRY_RUN,
                "in": "header",
                "description": "`1` does all but the landing, and says so in the answer.",
                "schema": reference("DryRun"),
            }
        )
    responses = {
        status: answer for status, answer in operation["responses"].items() if status not in ("4XX", "422")
    }
    _add_success(responses, said)
    for status in _errors(method, path, "requestBody" in operation or method == "post"):
        responses[str(status)] = _error(status, path, said, method)
    operation["responses"] = dict(sorted(responses.items()))
    _add_examples(operation, said, route)


def _is_open(path: str) -> bool:
    """Whether a route takes no key."""
    return path.startswith(("/ingest/", "/c/")) or path in _SCRIPTS or _sender(path) in ("postback", "page")


def _sender(path: str) -> Sender | None:
    """Who sends to a route that takes reports."""
    return BY_PATH[path].sender if path in BY_PATH else None


def _errors(method: str, path: str, has_body: bool) -> list[int]:
    """Statuses of the errors that a route can answer."""
    if path.startswith("/c/"):
        return [404, 503]
    if path.startswith("/ingest/"):
        return [503] if path.endswith("/ready") else []
    if path in _SCRIPTS:
        return [404, 503] if "{project_id}" in path else []
    errors = [429, 503]
    if not _is_open(path):
        errors += [401, 403]
    if "{project_id}" in path or _sender(path) == "postback":
        errors.append(404)
    plain = ["events/{event_id}", *(single.kind for single in SINGLES), *(kind.path for kind in KINDS)]
    is_plain_list = method == "get" and path.endswith(tuple(f"}}/{end}" for end in plain))
    if not is_plain_list:
        errors.append(400)
    if has_body:
        # Of the tracker the last two are answered 200.
        errors += [408] if _sender(path) == "page" else [408, 413, 415]
    if method == "post":
        errors.append(422)
    if path == secrets.SECRET and method == "put":
        errors.append(409)
    return errors


def _error(status: int, path: str, said: dict[str, Any], method: str) -> dict[str, Any]:
    """An error as the route's own code would show it."""
    if path in _SCRIPTS and status == 404:
        return {"description": "An empty script: the project has no origins.", "content": _script("")}
    detail = _detail(status, method, path, said)
    shown = dialect_routes.renderer(Request({"type": "http", "path": path}))(Refusal(status, detail))
    if shown.media_type == "text/plain":
        text = {"schema": {"type": "string"}, "examples": {"error": {"value": bytes(shown.body).decode()}}}
        return {"description": detail, "content": {"text/plain": text}}
    example = orjson.loads(bytes(shown.body))
    name = "SegmentError" if "success" in example else "DialectError" if "error" in example else "Problem"
    answer: dict[str, Any] = {
        "description": "Not now: repeat it." if detail in _UNCHANGED else _MEANINGS[status],
        "content": {
            str(shown.media_type): {"schema": reference(name), "examples": {"error": {"value": example}}},
        },
    }
    if status in (401, 429, 503):
        answer["headers"] = _CHALLENGE if status == 401 else _RETRY_AFTER
    return answer


def _detail(status: int, method: str, path: str, said: dict[str, Any]) -> str:
    """The words of an error; where a route has several for a status, the likeliest."""
    if path.startswith("/c/"):
        return {404: UNKNOWN_LINK, 503: PREFETCHED}[status]
    sender = _sender(path)
    scopes = LANDING if said.get("is_dialect") else ("read", "admin") if method == "get" else ("admin",)
    details = {
        **_DETAILS,
        403: WRONG_SCOPE.format(scopes=" or ".join(scopes)),
        404: {"postback": NO_POSTBACKS, "page": NO_TRACKER}.get(sender or "", UNKNOWN_PROJECT),
        503: _unavailable(method, path),
    }
    found: str = {**details, **said.get("details", {})}[status]
    return found


def _unavailable(method: str, path: str) -> str:
    if path in _SCRIPTS:
        return SETTINGS_UNREADABLE
    return KEYS_UNREADABLE if method == "get" and not _is_open(path) else NOT_COMMITTED


def _script(text: str) -> dict[str, Any]:
    media = {"schema": {"type": "string"}, "examples": {"example": {"value": text}}}
    return {"text/javascript": media}


def _add_success(responses: dict[str, Any], said: dict[str, Any]) -> None:
    status = min(responses)
    if status == "204":
        return
    answer = responses[status]
    if status == "302":
        location = {"description": "Where the link leads.", "schema": {"type": "string", "format": "uri"}}
        responses[status] = {"description": "Follow it there.", "headers": {"Location": location}}
        return
    answer["description"] = "Accepted, and on stable storage." if said.get("is_dialect") else "Done."
    if "script" in said:
        answer["content"] = _script("(function(){…})({…});")
        answer["headers"] = _SCRIPT_HEADERS
        answer["description"] = "The script."
        responses["304"] = {
            "description": "The browser has it already: If-None-Match.",
            "headers": _SCRIPT_HEADERS,
        }
        return
    if said.get("is_dialect"):
        answer["headers"] = {**said.get("headers", {}), WARNINGS: _WARNINGS}
    if "stream" in said:
        media = {"schema": {"type": "string"}, "examples": {"stream": {"value": said["stream"]}}}
        answer["content"] = {"text/event-stream": media}
    elif said["id"] == "metrics":
        answer["content"] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        answer["content"] = {"application/json": {"schema": reference(said["answer_schema"]), "examples": {}}}
        if "answer" in said:
            answer["content"]["application/json"]["examples"]["example"] = {"value": said["answer"]}


def _add_examples(operation: dict[str, Any], said: dict[str, Any], route: Route | None) -> None:
    """Requests, and under the same name the answer that each gets."""
    requests: dict[str, Any] = {}
    if "example" in said:
        requests["example"] = {"summary": "An example", "value": said["example"]}
    for name, example in said.get("examples", {}).items():
        answer = operation["responses"][str(example["answer"]["status"])]
        (media,) = answer["content"].values()
        media["examples"].pop("error", None)
        media["examples"][name] = {"summary": example["summary"], "value": example["answer"]["body"]}
        if "body" in example:
            requests[name] = {"summary": example["summary"], "value": example["body"]}
        for parameter in operation.get("parameters", []):
            if parameter["name"] in example.get("query", {}):
                value = example["query"][parameter["name"]]
                parameter.setdefault("examples", {})[name] = {"value": value}
    if requests:
        if route is not None:
            # A postback's may have a body.
            described = {"content": {"application/json": {"schema": route.schema}}}
            operation.setdefault("requestBody", described)
        body = operation["requestBody"]
        body["content"]["application/json"].pop("example", None)
        body["content"]["application/json"]["examples"] = requests
