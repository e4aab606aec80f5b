"""Goals of a project, defined over HTTP: append-only versions in `definitions`, read at the next build.

The stored body is flat, for SQL: `name`, `match_type`, `match_operator`, `match_value`, `property_key`,
`property_value`, `minimum_amount` (plain decimal text, major units), `counts_as_conversion`, `is_micro`,
`stage`.
"""

import re
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from funnelhouse.auth import AdminCaller, AnyCaller
from funnelhouse.contract import Definition, row_values
from funnelhouse.landing.store import LandingStore, Row
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
    versions = _versions(stores(request).landing, project_id, goal_id)
    number = next(number for number, version in enumerate(versions, start=1) if version[0] == row_id)
    return _shown(goal_id, number, definition.received_us, body)


def _versions(landing: LandingStore, project_id: str, goal_id: str) -> list[tuple[int, int, str | None]]:
    """Landing id, received time and body of each version, oldest first."""
    found: list[Any] = landing.query(
        "SELECT id, received_us, body FROM definitions"  # noqa: S608
        f" WHERE project_id = ? AND kind = 'goal' AND key = ? ORDER BY {landing.row_order}",
        *(project_id, goal_id),
    )
    return found


def _newest(request: Request, project_id: str, goal_id: str) -> dict[str, Any]:
    versions = _versions(stores(request).landing, project_id, goal_id)
    if not versions or versions[-1][2] is None:
        raise Refusal(404, "Unknown goal; GET /v1/projects/{project_id}/goals lists those that exist.")
    _, received_us, body = versions[-1]
    return _shown(goal_id, len(versions), received_us, body)


def _all(landing: LandingStore, project_id: str) -> Iterator[dict[str, Any]]:
    versions: dict[str, list[Row]] = {}
    for goal_id, *version in landing.query(
        "SELECT key, received_us, body FROM definitions"  # noqa: S608
        f" WHERE project_id = ? AND kind = 'goal' ORDER BY {landing.row_order}",
        project_id,
    ):
        versions.setdefault(goal_id, []).append(tuple(version))
    for goal_id in sorted(versions):
        received_us, body = versions[goal_id][-1]
        if body is not None:
            yield _shown(goal_id, len(versions[goal_id]), received_us, body)


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
