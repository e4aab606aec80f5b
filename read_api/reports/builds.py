"""The kept builds: each is the whole of the figures, as they were shown then."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.last_build import read_last_build
from publication.layout import BUILD_FILE, published_builds
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


class Code(BaseModel):
    """What a build was made with."""

    version: str = Field(description="Of Funnelhouse.")
    commit: str | None = Field(None, description="Of the checkout when it was deployed; null without git.")
    is_dirty: bool | None = Field(None, description="Whether files differed from that commit.")
    extensions_commit: str | None = Field(None, description="Of the folder of extensions.")
    are_extensions_dirty: bool | None = Field(None, description="Whether files of that folder differed.")
    fingerprint: str | None = Field(
        None, description="Of SQL, seeds and variables: the same one makes the same tables."
    )
    deployed_at: str | None = Field(None, description="When builds began to use it, UTC.")


class Facts(BaseModel):
    """What a build wrote down of itself; those of older versions wrote less."""

    # Nothing else is shown: most of the file is counted over all projects, which is nobody's business.
    started_at: str | None = None
    run_id: str | None = Field(None, description="The run in Dagster.")
    attribution_models: list[str] = []
    code: Code | None = Field(None, description="What it was made with; null of builds of older versions.")
    seconds: dict[str, float] | None = Field(None, description="Wall time by step.")
    checks_passed: int | None = Field(None, description="Expectations and tests that held.")
    checks: list[Check] | None = Field(None, description="Those that did not.")


class Build(BaseModel):
    """One kept build."""

    build: str = Field(description="`build` of the reports reads it.")
    is_current: bool
    published_at: str
    facts: Facts


class Outcome(BaseModel):
    """What became of a build. Why it failed may name what others sent: that is for who runs the house."""

    outcome: str = Field(description="published or failed.")
    started_at: datetime
    ended_at: datetime
    seconds: float
    build: str | None = Field(description="Its publication, null when it failed.")
    detail: str


class Builds(BaseModel):
    """The kept builds, newest first."""

    build: str
    last_build: Outcome | None = Field(description="The last build that ended; null before the first.")
    builds: list[Build]


_DETAILS = {
    "published": "It was published.",
    "failed": "It was not published: figures are those of the previous build. The operator sees why.",
}


def last_build(path: Path) -> Outcome | None:
    """What a project may know of the last build that ended; None before the first."""
    last = read_last_build(path)
    if last is None:
        return None
    return Outcome(
        outcome=last.outcome,
        started_at=_utc(last.started_us),
        ended_at=_utc(last.ended_us),
        seconds=round(last.seconds, 3),
        build=last.build_id,
        detail=_DETAILS[last.outcome],
    )


def _utc(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def builds(published_dir: Path, current: str) -> list[dict[str, Any]]:
    """Kept builds, newest first, with what they say of themselves; without those that cannot be read."""
    found = []
    for build_id in reversed(published_builds(published_dir)):
        # Pruned meanwhile, or damaged: either way nobody can read it.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
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
    """What became of the last build, and the builds that are kept.

    These are the newest three, and the last of each of 14 days.
    """
    publications: Publications = request.app.state.publications
    refuse_unknown_parameters(request)
    with opened(request, caller) as reader:
        found = builds(publications.published_dir, reader.build_id)
    last = last_build(request.app.state.last_build_path)
    tag_answer(request, caller, found, last)
    content = {
        "build": reader.build_id,
        "last_build": None if last is None else last.model_dump(),
        "builds": found,
    }
    return json_answer(request, content, reader.build_id)
