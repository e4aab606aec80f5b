"""Addresses of a project at ingest, to be copied into pages, networks and ads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request

from funnelhouse.access import ProjectAccess, SharedAccessRules
from funnelhouse.snippet import built_stub, conversion_call, script_url, tag
from read_api.dashboard.networks import Network
from record.landing.store import LandingError


@dataclass(frozen=True)
class Addresses:
    """Those of one project; `access` says which of them are answered, and is None while it cannot be read."""

    base_url: str
    tracker_prefix: str
    project_id: str
    access: ProjectAccess | None

    @property
    def is_tracker_on(self) -> bool:
        """Whether the script is served."""
        return self.access is not None and bool(self.access.origins)

    @property
    def postbacks(self) -> str:
        """`open`, `secret` or `off`."""
        return self.access.postbacks if self.access else "off"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach them."""
        host = urlsplit(self._base).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def tag(self) -> str:
        """For the head of every page."""
        return tag(self._script, built_stub())

    def page_code(self, page: Mapping[str, Any]) -> str:
        """For the head of a page that is defined."""
        return tag(self._script, built_stub(), page["page_id"], page["kind"])

    def conversion_call(self, page: Mapping[str, Any]) -> str:
        """For wherever a page that is defined converts."""
        return conversion_call(page["page_id"])

    def postback(self, network: Network) -> str:
        """For a network that was given the hit of the page that it converts."""
        return self._postback(network.parameters)

    def visitor_postback(self, page: Mapping[str, Any]) -> str:
        """For who knows the visitor: a page that is defined converts."""
        return self._postback({"vid": "REPLACE", "p": page["page_id"], "tx": "REPLACE", "rev": "REPLACE"})

    def link(self, link_id: str) -> str:
        """Of a link that is defined."""
        return f"{self._base}/c/{self.project_id}/{link_id}"

    @property
    def _base(self) -> str:
        return self.access.address(self.base_url) if self.access else self.base_url

    @property
    def _script(self) -> str:
        return script_url(self._base, self.tracker_prefix, self.project_id)

    def _postback(self, parameters: Mapping[str, str]) -> str:
        # It is known to nobody but who was shown it.
        secret = "SECRET/" if self.postbacks == "secret" else ""
        # Macros stand as they are written: the network looks for them.
        query = urlencode(parameters, safe="{}[]#:~")
        return f"{self._base}/pb/{self.project_id}/{secret}?{query}"


def addresses(request: Request, project_id: str) -> Addresses:
    """The project's, as they are now."""
    rules: SharedAccessRules = request.app.state.access_rules
    try:
        access = rules.of(project_id)
    except LandingError:
        access = None
    state = request.app.state
    return Addresses(state.ingest.base_url, state.tracker_prefix, project_id, access)
