"""The tracker of a project: what its script does in the browser. What is left out is the default.

Stored as shown: `consent`, `denied`, `storage`, `gpc`, `dnt`, `cookie_domain`, `link_domains`,
`cross_domains`, `hash_routes`, `session_minutes` (null: the project's `session_gap_minutes`),
`split_on_campaign`, `outbound`, `removed`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ingest_api.definitions.kind import Bodies, Single
from ingest_api.definitions.project_settings import WebHosts, web_host
from ingest_api.native import OwnShape, Whole
from ingest_api.tracker.config import left_out
from record.public_suffixes import is_public_suffix

HOSTS_BYTES = 4096
"""Of all hosts and names that are listed: pages load them with the script."""


def _cookie_domain(value: str) -> str:
    domain = web_host(value.removeprefix("."))
    if domain.rpartition(".")[2].isdecimal():
        raise ValueError("must be a domain, not an address: leave it out for a site at an address")
    if is_public_suffix(domain):
        raise ValueError("must not be a public suffix: no browser keeps a cookie for all sites below one")
    return f".{domain}"


class Tracker(OwnShape):
    """`required` consent: nothing is stored or sent before `flux.consent('granted')`.

    `cookie_domain`, e.g. `.shop.example`, makes subdomains share the visitor. Links to `link_domains` get the
    ids of visitor, session and page view, those to `cross_domains` take the visitor along; a host stands for
    those below it, too, and `landers` for every other host on the pages that are landers. Of addresses the
    query parameters in `removed` are not sent.
    """

    consent: Literal["assumed", "required"] = "assumed"
    denied: Literal["nothing", "anonymous"] = "nothing"
    storage: Literal["full", "none"] = "full"
    gpc: Literal["ads", "all", "ignore"] = "ads"
    dnt: Literal["ignore", "all"] = "ignore"
    cookie_domain: Annotated[str, AfterValidator(_cookie_domain)] | None = None
    link_domains: Literal["landers", "all"] | WebHosts = "landers"
    cross_domains: WebHosts = Field(default_factory=list)
    hash_routes: bool = False
    session_minutes: Annotated[int, Field(ge=1, le=1440), Whole] | None = None
    split_on_campaign: bool = False
    outbound: bool = False
    removed: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\[\]~-]{1,64}$")]], Field(max_length=50)
    ] = Field(default_factory=lambda: ["token", "code", "password", "email", "phone", "key", "secret"])

    @model_validator(mode="after")
    def _fits_into_the_script(self) -> "Tracker":
        listed = [*self.cross_domains, *self.removed]
        if isinstance(self.link_domains, list):
            listed += self.link_domains
        if sum(map(len, listed)) > HOSTS_BYTES:
            raise ValueError(
                "link_domains, cross_domains and removed: must have at most 4 KB together;"
                " pages load them with the script"
            )
        return self


TRACKER = Single(
    kind="tracker",
    noun="tracker",
    shape=Tracker,
    example={
        "consent": "required",
        "cookie_domain": ".shop.example",
        "link_domains": ["partner.example"],
        "cross_domains": ["shop.example.net"],
        "session_minutes": 30,
    },
    beside=left_out,
)


def tracker_of(bodies: Bodies) -> dict[str, Any]:
    """The tracker of a project, by what it has defined: every member is there."""
    return TRACKER.complete(bodies["tracker"].get(TRACKER.kind))
