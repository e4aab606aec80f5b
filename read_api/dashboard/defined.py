"""What a project has defined, as the ingest API has it: read, put and deleted with the viewer's keys."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import RedirectResponse

from funnelhouse.problems import Refusal
from read_api.dashboard.access import Viewer
from read_api.dashboard.ingest import Ingest, NotTaken, UnreachableError
from read_api.dashboard.rendering import HEADERS


@dataclass(frozen=True)
class Kind:
    """A kind of definition: its plural in addresses and in JSON, and what its id is called there."""

    path: str
    plural: str
    id_name: str


_OF_A_VERSION = ("version", "received_us")

GOALS = Kind("goals", "goals", "goal_id")
FUNNELS = Kind("funnels", "funnels", "funnel_id")
PAGES = Kind("pages", "pages", "page_id")
LINKS = Kind("links", "links", "link_id")
DESTINATIONS = Kind("destinations", "destinations", "destination_id")
TRAFFIC_SOURCES = Kind("traffic-sources", "traffic_sources", "traffic_source_id")


class Defined:
    """The definitions of a viewer's project."""

    def __init__(self, request: Request, viewer: Viewer) -> None:
        self._ingest = ingest_of(request)
        self._viewer = viewer

    def all(self, kind: Kind) -> dict[str, dict[str, Any]] | None:
        """Those of a kind, by id; None while the ingest API does not answer."""
        found: dict[str, dict[str, Any]] = {}
        after: str | None = ""
        while after is not None:
            try:
                page = self._ingest.get(self._viewer.read, self._viewer.project_id, kind.path, after=after)
            except UnreachableError:
                return None
            found |= {each[kind.id_name]: each for each in (page or {}).get(kind.plural, [])}
            after = (page or {}).get("next")
        return found

    def one(self, kind: Kind, key: str) -> dict[str, Any]:
        """One of them. Raises Refusal 404, UnreachableError."""
        found = self._ingest.get(self._admin, self._viewer.project_id, kind.path, key)
        if found is None:
            raise Refusal(404, "It is not defined, or was deleted. What a seed defines is edited there.")
        return found

    def put(self, kind: Kind, key: str, body: dict[str, Any], is_new: bool) -> None:
        """Define it; of one that is there, members that `body` has not stay as they are.

        Raises NotTaken, also for a new one under an id that is taken, UnreachableError.
        """
        if not key:
            raise NotTaken("Give it a name or an id.")
        known = self._ingest.get(self._admin, self._viewer.project_id, kind.path, key) or {}
        if is_new and known:
            raise NotTaken(f"The id {key} is already in use; edit that one, or choose another id.")
        kept = {name: value for name, value in known.items() if name not in (kind.id_name, *_OF_A_VERSION)}
        self._ingest.put(self._admin, self._viewer.project_id, kind.path, key, body={**kept, **body})

    def trial(self, kind: Kind, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """What it would be if it were put. Raises NotTaken, UnreachableError."""
        return self._ingest.put(
            self._admin, self._viewer.project_id, kind.path, key, body=body, is_trial=True
        )

    def delete(self, kind: Kind, key: str) -> None:
        """Delete it; harmless when there is none. Raises UnreachableError."""
        self._ingest.delete(self._admin, self._viewer.project_id, kind.path, key)

    @property
    def _admin(self) -> str:
        return self._viewer.admin or ""


def ingest_of(request: Request) -> Ingest:
    """The running app's ingest API."""
    found: Ingest = request.app.state.ingest
    return found


def see_other(address: str) -> RedirectResponse:
    """Where a form goes when it was taken."""
    return RedirectResponse(address, 303, HEADERS)
