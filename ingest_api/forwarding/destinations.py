"""A destination by its id in a path, for routes below it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from funnelhouse.problems import Refusal
from ingest_api.definitions import versions
from ingest_api.definitions.destination import DESTINATIONS

DESTINATION = "/v1/projects/{project_id}/destinations/{destination_id}"

UNKNOWN_DESTINATION = (
    "Unknown destination; GET /v1/projects/{project_id}/destinations lists those that exist."
)


async def _checked(destination_id: Annotated[str, Path()]) -> str:
    DESTINATIONS.check_id(DESTINATIONS.id_name, destination_id)
    return destination_id


DestinationId = Annotated[str, Depends(_checked)]
"""An id that may be one."""


async def defined(request: Request, project_id: str, destination_id: str) -> Mapping[str, Any]:
    """The destination as it is stored. Raises Refusal 404, 503."""
    version = await versions.newest(request, project_id, DESTINATIONS.kind, destination_id)
    if version is None or version.body is None:
        raise Refusal(404, UNKNOWN_DESTINATION)
    return version.body
