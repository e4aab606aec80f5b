"""Who may send postbacks: authentication as a type, for the one dialect whose senders have no key."""

from typing import Annotated

from fastapi import Depends, Request

from funnelhouse.landing.store import LandingError
from funnelhouse.postbacks import Postbacks
from funnelhouse.problems import Refusal


# A coroutine, because FastAPI sends plain functions to a thread, which costs more than the look-up.
async def _postback_project(request: Request) -> str:
    postbacks: Postbacks = request.app.state.postbacks
    try:
        project = postbacks.find(request.path_params.get("project_id"), request.path_params.get("secret"))
    except LandingError as error:
        raise Refusal(
            503, "Settings cannot be read just now; try again.", headers={"Retry-After": "1"}
        ) from error
    if project is None:
        raise Refusal(
            404,
            "No project takes postbacks at this address; `funnelhouse projects set <project> --postbacks "
            "open|secret` switches them on.",
        )
    return project


PostbackProject = Annotated[str, Depends(_postback_project)]
"""Id of the project that the path means: 404 when that takes no postbacks, or no such secret."""
