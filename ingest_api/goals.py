"""Goals of a project, defined over HTTP: append-only versions in `definitions`, read at the next build.

The stored body is flat, for SQL: `name`, `match_type`, `match_operator`, `match_value`, `property_key`,
`property_value`, `minimum_amount` (plain decimal text, major units), `counts_as_conversion`, `is_micro`,
`stage`.
"""

import re
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import apsw
import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from funnelhouse.auth import AdminCaller, AnyCaller
from funnelhouse.contract import Definition, row_values
from funnelhouse.problems import Refusal
from ingest_api.body import read_body
from ingest_api.fields import MajorAmount, faults
from ingest_api.requests import DRY_RUN, is_dry_run, now_us, stores
from ingest_api.strict_json import BadInput, parse

router = APIRouter()

_GOAL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_STAGE = r"^[a-z0-9][a-z0-9-]{0,62}$"
_REPORT_COLUMNS = ("clicks", "conversions", "microconversions")
_definition_row = row_values(Definition)

NonEmpty = Annotated[str, Field(min_length=1)]


class _OwnShape(BaseModel):
    # Our own API: a misspelt field is an error, not something to be ignored.
    model_config = ConfigDict(strict=True, extra="forbid")


class Match(_OwnShape):
    """Which events complete a goal. `operator` is for url_path; a wildcard's `*` stands for anything."""

    type: Literal["event_name", "event_type", "url_path", "any_conversion"]
    operator: Literal["exact", "prefix", "wildcard"] = "exact"
    value: NonEmpty | None = None

    @model_validator(mode="after")
    def _fits_type(self) -> "Match":
        if self.type != "url_path" and self.operator != "exact":
            raise ValueError("operator: only a match of type url_path takes prefix or wildcard")
        if self.type == "any_conversion" and self.value is not None:
            raise ValueError("value: a match of type any_conversion takes none; leave it out")
        if self.type != "any_conversion" and self.value is None:
            raise ValueError(f"value: required for a match of type {self.type}")
        return self


class PropertyRule(_OwnShape):
    """A property that must equal a value."""

    key: NonEmpty
    value: str


class Goal(_OwnShape):
    """A stored rule that picks events. `minimum_amount` is in major units."""

    name: str | None = None
    match: Match
    property: PropertyRule | None = None
    minimum_amount: MajorAmount | None = None
    counts_as_conversion: bool = False
    is_micro: bool = False
    stage: Annotated[str, Field(pattern=_STAGE)] | None = None

    @model_validator(mode="after")
    def _stage_is_free(self) -> "Goal":
        if self.stage in _REPORT_COLUMNS:
            raise ValueError(f"stage: {', '.join(_REPORT_COLUMNS)} are columns that the report has already")
        return self


def flat(goal: Goal) -> dict[str, Any]:
    """The goal as it is stored, every key always there."""
    rule = goal.property
    return {
        "name": goal.name,
        "match_type": goal.match.type,
        "match_operator": goal.match.operator,
        "match_value": goal.match.value,
        "property_key": rule.key if rule else None,
        "property_value": rule.value if rule else None,
        "minimum_amount": goal.minimum_amount,
        "counts_as_conversion": goal.counts_as_conversion,
        "is_micro": goal.is_micro,
        "stage": goal.stage,
    }


def _goal_id(goal_id: str) -> str:
    try:
        is_uuid = str(uuid.UUID(goal_id)) == goal_id.lower()
    except ValueError:
        is_uuid = False
    if not is_uuid and not _GOAL_ID.fullmatch(goal_id):
        raise Refusal(
            400, "goal_id: 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit; or a UUID."
        )
    return goal_id


async def _valid_goal_id(goal_id: str) -> str:
    return _goal_id(goal_id)


GoalId = Annotated[str, Depends(_valid_goal_id)]
"""A path's goal id, checked; 400 when it cannot be one."""


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with its `$defs` put where they are used: OpenAPI resolves references elsewhere."""
    definitions = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(definitions[node["$ref"].rpartition("/")[2]])
            return {key: inline(value) for key, value in node.items()}
        return [inline(value) for value in node] if isinstance(node, list) else node

    result: dict[str, Any] = inline(schema)
    return result


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _inlined(Goal.model_json_schema())}},
    }
}


@router.put("/v1/projects/{project_id}/goals/{goal_id}", openapi_extra=_BODY)
async def put_goal(request: Request, caller: AdminCaller, goal_id: GoalId) -> Response:
    """Define a goal, or give it a new version; it applies to all history at the next build."""
    is_trial = is_dry_run(request)
    try:
        value, _ = parse(await read_body(request))
        if not isinstance(value, dict):
            raise BadInput("the body must be a JSON object")
        goal = Goal.model_validate(value)
    except ValidationError as error:
        raise Refusal(400, faults(error)) from None
    except BadInput as error:
        raise Refusal(400, str(error)) from None
    body = orjson.dumps(flat(goal)).decode()
    if is_trial:
        version = len(_versions(stores(request).landing, caller.project_id, goal_id)) + 1
        return _json(_shown(goal_id, version, now_us(), body), {DRY_RUN: "1"})
    return _json(await _append(request, caller.project_id, goal_id, body))


@router.get("/v1/projects/{project_id}/goals/{goal_id}")
async def get_goal(request: Request, caller: AnyCaller, goal_id: GoalId) -> Response:
    """The newest version of a goal; 404 when there is none or it was deleted."""
    return _json(_newest(request, caller.project_id, goal_id))


@router.get("/v1/projects/{project_id}/goals")
async def list_goals(request: Request, caller: AnyCaller) -> Response:
    """All goals of the project that are not deleted, by id."""
    return _json({"goals": list(_all(stores(request).landing, caller.project_id))})


@router.delete("/v1/projects/{project_id}/goals/{goal_id}", status_code=204)
async def delete_goal(request: Request, caller: AdminCaller, goal_id: GoalId) -> Response:
    """Delete a goal; its versions stay in the record."""
    is_trial = is_dry_run(request)
    _newest(request, caller.project_id, goal_id)
    if is_trial:
        return Response(status_code=204, headers={DRY_RUN: "1"})
    await _append(request, caller.project_id, goal_id, None)
    return Response(status_code=204)


async def _append(request: Request, project_id: str, goal_id: str, body: str | None) -> dict[str, Any]:
    definition = Definition(project_id=project_id, kind="goal", key=goal_id, received_us=now_us(), body=body)
    row_id = await stores(request).commits.submit(
        "definitions", [_definition_row(definition)], len(body or "")
    )
    version = len(_versions(stores(request).landing, project_id, goal_id, up_to=row_id))
    return _shown(goal_id, version, definition.received_us, body)


def _versions(
    landing: apsw.Connection, project_id: str, goal_id: str, up_to: int = 2**63 - 1
) -> list[tuple[int, str | None]]:
    """Received time and body of each version, oldest first."""
    found: list[Any] = landing.execute(
        "SELECT received_us, body FROM definitions"
        " WHERE project_id = ? AND kind = 'goal' AND key = ? AND id <= ? ORDER BY id",
        (project_id, goal_id, up_to),
    ).fetchall()
    return found


def _newest(request: Request, project_id: str, goal_id: str) -> dict[str, Any]:
    versions = _versions(stores(request).landing, project_id, goal_id)
    if not versions or versions[-1][1] is None:
        raise Refusal(404, "Unknown goal; GET /v1/projects/{project_id}/goals lists those that exist.")
    received_us, body = versions[-1]
    return _shown(goal_id, len(versions), received_us, body)


def _all(landing: apsw.Connection, project_id: str) -> Iterator[dict[str, Any]]:
    newest = landing.execute(
        """
        SELECT key, count(*), max(received_us), (
            SELECT body FROM definitions AS d
            WHERE d.project_id = g.project_id AND d.kind = 'goal' AND d.key = g.key ORDER BY id DESC LIMIT 1
        )
        FROM definitions AS g WHERE project_id = ? AND kind = 'goal' GROUP BY key ORDER BY key
        """,
        (project_id,),
    )
    return (_shown(*row) for row in newest if row[3] is not None)


def _shown(goal_id: str, version: int, received_us: int, body: str | None) -> dict[str, Any]:
    """A stored version as the API shows it: the shape that PUT takes, with id, version and time."""
    stored = orjson.loads(body or "{}")
    rule = stored.get("property_key")
    return {
        "goal_id": goal_id,
        "version": version,
        "received_us": received_us,
        "name": stored.get("name"),
        "match": {
            "type": stored.get("match_type"),
            "operator": stored.get("match_operator"),
            "value": stored.get("match_value"),
        },
        "property": None if rule is None else {"key": rule, "value": stored["property_value"]},
        "minimum_amount": _number(stored.get("minimum_amount")),
        "counts_as_conversion": stored.get("counts_as_conversion"),
        "is_micro": stored.get("is_micro"),
        "stage": stored.get("stage"),
    }


def _number(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _json(value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), 200, headers, media_type="application/json")
