"""The kept builds: each is the whole of the figures, as they were shown then."""

import contextlib
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from orchestration.publishing import BUILD_FILE, published_builds
from read_api.answers import json_answer, opened, refuse_unknown_parameters, tag_answer
from read_api.publications import Publications
from read_api.reports import PATH

router = APIRouter(tags=["reports"])


class Check(BaseModel):
    """An expectation or test that only warns, and did not hold."""

    of: str = Field(description="Its suite, or dbt.")
    name: str
    severity: str
    passed: bool


class Facts(BaseModel):
    """What a build wrote down of itself; those of older versions wrote less."""

    # Nothing else is shown: most of the file is counted over all projects, which is nobody's business.
    started_at: str | None = None
    run_id: str | None = Field(None, description="The run in Dagster.")
    attribution_models: list[str] = []
    seconds: dict[str, float] | None = Field(None, description="Wall time by step.")
    checks_passed: int | None = Field(None, description="Expectations and tests that held.")
    checks: list[Check] | None = Field(None, description="Those that did not.")


class Build(BaseModel):
    """One kept build."""

    build: str = Field(description="`build` of the reports reads it.")
    is_current: bool
    published_at: str
    facts: Facts


class Builds(BaseModel):
    """The kept builds, newest first."""

    build: str
    builds: list[Build]


def builds(published_dir: Path, current: str) -> list[dict[str, Any]]:
    """Kept builds, newest first, with what they say of themselves."""
    found = []
    for build_id in reversed(published_builds(published_dir)):
        # Pruned meanwhile: then it is not kept.
        with contextlib.suppress(FileNotFoundError):
            said = orjson.loads((published_dir / build_id / BUILD_FILE).read_bytes())
            found.append(
                {
                    "build": build_id,
                    "is_current": build_id == current,
                    "published_at": said["published_at"],
                    "facts": Facts.model_validate(said).model_dump(exclude_unset=True),
                }
            )
    return found


@router.get(f"{PATH}/builds", response_model=Builds)
def builds_report(request: Request, caller: ReadCaller) -> Response:
    """The builds that are kept, newest first: the newest three, and the last of each of 14 days."""
    publications: Publications = request.app.state.publications
    refuse_unknown_parameters(request)
    with opened(request, caller.project_id) as reader:
        found = builds(publications.published_dir, reader.build_id)
    tag_answer(request, caller, found)
    return json_answer(request, {"build": reader.build_id, "builds": found}, reader.build_id)
