"""Who is let in besides a key's holder: networks and pages, who have none; and how often each may call."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Request
from starlette.types import Scope

from funnelhouse.access import AccessRules
from funnelhouse.keys import Key
from funnelhouse.problems import Refusal
from funnelhouse.proxies import TrustedProxies
from ingest_api.key_use import KeyUse
from ingest_api.rate_limits import RateLimits
from record.landing.store import LandingError

NO_POSTBACKS = (
    "No project takes postbacks at this address; `funnelhouse projects set <project> --postbacks "
    "open|secret` switches them on."
)

NO_TRACKER = (
    "No project takes what pages send at this address; `funnelhouse projects set <project> --origins …` "
    "switches that on."
)
SETTINGS_UNREADABLE = "Settings cannot be read at the moment; try again."

Anybody = Literal["page", "tracker", "postback"]
"""By what somebody without a secret may send: a page's key, which can be read there, or none at all."""

PROJECT = "funnelhouse.project"
"""Key of the scope: the project that the sender may write to, once that is known."""

_SENT_BY = "funnelhouse.sent_by"

_T = TypeVar("_T")


def admit(request: Request, key: Key) -> None:
    """Count a request of a key's holder. Raises Refusal 429, or 503."""
    use: KeyUse = request.app.state.key_use
    use.note(key.key_id)
    if not key.is_page_key:
        _admit_to(request, key.project_id)
        return
    request.scope[PROJECT] = key.project_id
    request.scope[_SENT_BY] = "page"
    rate_limits: RateLimits = request.app.state.rate_limits
    rate_limits.count_page(request, key.project_id)


def sent_by(request: Request) -> Anybody | None:
    """How an admitted request came, where anybody could have sent it."""
    found: Anybody | None = request.scope.get(_SENT_BY)
    return found


def tracked_project(scope: Scope) -> str | None:
    """Whose pages sent an admitted request, where the tracker did."""
    project: str | None = scope[PROJECT] if scope.get(_SENT_BY) == "tracker" else None
    return project


def _admit_to(request: Request, project_id: str) -> None:
    request.scope[PROJECT] = project_id
    limit = _asked(request, lambda rules: rules.rate_limit(project_id))
    if limit is not None:
        rate_limits: RateLimits = request.app.state.rate_limits
        rate_limits.count_project(request, project_id, limit)


# A coroutine, because FastAPI sends plain functions to a thread, which costs more than the look-up.
async def _postback_project(request: Request) -> str:
    rate_limits: RateLimits = request.app.state.rate_limits
    proxies: TrustedProxies = request.app.state.proxies
    # Before the project is looked for: whoever tries secrets is counted too.
    rate_limits.count_address(request, proxies.client(request))
    path, host = request.path_params, request.headers.get("host", "")
    project = _asked(
        request, lambda rules: rules.postback_project(path.get("project_id"), path.get("secret"), host)
    )
    if project is None:
        raise Refusal(404, NO_POSTBACKS)
    request.scope[_SENT_BY] = "postback"
    _admit_to(request, project)
    return project


PostbackProject = Annotated[str, Depends(_postback_project)]
"""Id of the project that path or host means: 404 when that takes no postbacks, or no such secret."""


async def _tracked_project(request: Request) -> str:
    rate_limits: RateLimits = request.app.state.rate_limits
    proxies: TrustedProxies = request.app.state.proxies
    rate_limits.count_batch(request, proxies.client(request))
    project: str = request.path_params["project_id"]
    if not tracked_origins(request, project):
        raise Refusal(404, NO_TRACKER)
    _admit_to(request, project)
    request.scope[_SENT_BY] = "tracker"
    return project


TrackedProject = Annotated[str, Depends(_tracked_project)]
"""Id of the path's project: 404 when it has no origins."""


def tracked_origins(request: Request, project_id: str) -> frozenset[str]:
    """Origins of a project's pages; without any it has no tracker. Raises Refusal 503."""
    return _asked(request, lambda rules: rules.origins(project_id))


def _asked(request: Request, ask: Callable[[AccessRules], _T]) -> _T:
    rules: AccessRules = request.app.state.access
    try:
        return ask(rules)
    except LandingError as error:
        raise Refusal(503, SETTINGS_UNREADABLE, headers={"Retry-After": "1"}) from error
