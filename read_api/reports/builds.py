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


class Build(BaseModel):
    """One kept build."""

    build: str = Field(description="`build` of the reports reads it.")
    is_current: bool
    published_at: str
    facts: dict[str, Any] = Field(description="What the build wrote down of itself; never of other projects.")


class Builds(BaseModel):
    """The kept builds, newest first."""

    build: str
    builds: list[Build]


# Rows by mart are those of all projects together, which is nobody's business.
_OF_ALL_PROJECTS = ("marts", "build_id", "published_at")


def builds(published_dir: Path, current: str) -> list[dict[str, Any]]:
    """Kept builds, newest first, with what they say of themselves."""
    found = []
    for build_id in reversed(published_builds(published_dir)):
        # Pruned meanwhile: then it is not kept.
        with contextlib.suppress(FileNotFoundError):
            said = orjson.loads((published_dir / build_id / BUILD_FILE).read_bytes())
            facts = {name: fact for name, fact in said.items() if name not in _OF_ALL_PROJECTS}
            found.append(
                {
                    "build": build_id,
                    "is_current": build_id == current,
                    "published_at": said["published_at"],
                    "facts": facts,
                }
            )
    return found


@router.get(f"{PATH}/builds", response_model=Builds)
def builds_report(request: Request, caller: ReadCaller) -> Response:
    """The builds that are kept, newest first: the newest three, and the last of each of 14 days."""
    publications: Publications = request.app.state.publications
    refuse_unknown_parameters(request)
    with opened(request) as reader:
        found = builds(publications.published_dir, reader.build_id)
    tag_answer(request, caller, found)
    return json_answer(request, {"build": reader.build_id, "builds": found}, reader.build_id)
