"""Journeys: what senders sent, and what the marts must say of it, as YAML that anybody can read.

Each journey is a project of its own, named as the journey. `sent` is a list of requests, sent in that order,
then all is built; some send more `later`, and a second build follows, of what is new. The requests:

| step | request |
|---|---|
| `view`, `event`, `conversion`, `refund`, `identify`, `alias`, `unalias` | one openanalytics event |
| `superfunnel`, `pagent`, `pagent_v2` | one report in that dialect |
| `segment` | one call of a Segment batch |
| `postback` | the query of a FunnelFlux postback |
| `tracker` | a batch of the tracker's, from a page of the project |
| `goal`, `page`, `funnel`, `traffic_source`, `experiment` | a definition with its `id`; that alone deletes |
| `link`, `destination` | the same |
| `click` | a click on a `link`, its other members are the query; `by: bot` with a bot's user agent |
| `settings`, `costs` | the project's settings, the array of costs |

`by: browser` beside a step sends it as a browser does. In texts, `@-2d` (days, hours, minutes, seconds; parts
may be added, as in `@-2d+10m`) is that time relative to the run, `@sha256(x)` the hash of x, and `@led(x)`
the parameter x of the address that the last click led to.

`marts` maps a relation, optionally with `where …`, to the rows that it must have for the project: exactly
these, in any order, as far as the columns that they name.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import yaml

from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from record.landing.store import LandingStore

NOW = datetime.now(UTC).replace(microsecond=0)

ORIGIN = "https://shop.example"
"""Of every project's pages."""

_EVENT_TYPES = {"view": "pageview"} | {
    kind: kind for kind in ("event", "conversion", "refund", "identify", "alias", "unalias")
}
_DEFINITIONS = {
    "goal": "goals",
    "page": "pages",
    "funnel": "funnels",
    "traffic_source": "traffic-sources",
    "experiment": "experiments",
    "link": "links",
    "destination": "destinations",
}
_HEADERS = {
    "browser": {"Origin": ORIGIN},
    "bot": {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
}
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True)
class Journey:
    """One story: requests, and the rows that they must become."""

    name: str
    says: str
    sent: list[dict[str, Any]]
    later: list[dict[str, Any]]
    marts: dict[str, list[dict[str, Any]]]


def journeys() -> list[Journey]:
    """All journeys, of all files beside this one."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        for story in yaml.load(path.read_text(), yaml.CSafeLoader):
            later = story.get("later", [])
            found.append(Journey(story["journey"], story["says"], story["sent"], later, story["marts"]))
    return found


def make_projects(told: list[Journey], store: LandingStore) -> dict[str, str]:
    """A project for each journey, which postbacks may report to; returns a key for each, by name."""
    keys = {each.name: create_key(store, each.name, ["ingest", "admin"], 1) for each in told}
    for each in told:
        set_access(store, each.name, postbacks="open", origins=[ORIGIN])
    return keys


def send_all(url: str, store: LandingStore) -> None:
    """Make the projects of all journeys, and send to an ingest server whatever they tell."""
    told = journeys()
    keys = make_projects(told, store)
    with httpx.Client(base_url=url, timeout=30) as client:
        for each in told:
            client.headers["x-api-key"] = keys[each.name]
            send(each, each.sent + each.later, client)


def send(journey: Journey, steps: list[dict[str, Any]], client: httpx.Client) -> None:
    """Send requests of a journey in order; the client's key is that of its project."""
    led: dict[str, str] = {}
    for step in steps:
        for method, path, body in _requests(journey.name, step, led):
            headers = _HEADERS["browser"] if "tracker" in step else _HEADERS.get(step.get("by", ""), {})
            answer = client.request(method, path, json=body, headers=headers)
            is_done = answer.status_code < 400 and not ("tracker" in step and answer.json()["error"])
            assert is_done, f"{journey.name}: {step}: {answer.status_code} {answer.text}"
            if "location" in answer.headers:
                led = dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def _requests(project: str, step: dict[str, Any], led: dict[str, str]) -> Iterator[tuple[str, str, Any]]:
    (kind,) = step.keys() - {"by"}
    body = _filled(step[kind], led)
    if kind in _EVENT_TYPES:
        yield "POST", f"/v1/projects/{project}/events", {"event_type": _EVENT_TYPES[kind], **body}
    elif kind == "superfunnel":
        yield "POST", "/v1/analytics/report-conversion", body
    elif kind == "pagent":
        yield "POST", "/v1/conversions", {"events": [body]}
    elif kind == "pagent_v2":
        yield "POST", "/v2/conversions", body
    elif kind == "segment":
        yield "POST", "/v1/batch", {"batch": [body]}
    elif kind == "tracker":
        yield "POST", f"/t/{project}", body
    elif kind == "postback":
        yield "GET", f"/pb/{project}/?{body}", None
    elif kind == "click":
        yield "GET", f"/c/{project}/{body.pop('link')}?{urlencode(body)}", None
    elif kind in _DEFINITIONS:
        path = f"/v1/projects/{project}/{_DEFINITIONS[kind]}/{body.pop('id')}"
        yield ("PUT", path, body) if body else ("DELETE", path, None)
    elif kind in ("settings", "channels"):
        yield "PUT", f"/v1/projects/{project}/{kind}", body
    elif kind in ("costs", "exchange-rates"):
        yield "POST", f"/v1/projects/{project}/{kind}", body
    else:
        raise ValueError(f"no such step: {kind}")


def _filled(value: Any, led: dict[str, str]) -> Any:
    """The value with times, hashes and parameters in place of what stands for them."""
    if isinstance(value, dict):
        return {key: _filled(member, led) for key, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, led) for member in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"@([+-]\d+[dhms])+", value):
        parts = re.findall(r"([+-]\d+)([dhms])", value)
        moment = NOW + sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in parts), timedelta())
        return moment.isoformat().replace("+00:00", "Z")
    value = re.sub(r"@led\((\w+)\)", lambda found: led[found[1]], value)
    return re.sub(
        r"@sha256\(([^)]*)\)(?:\[:(\d+)\])?",
        lambda found: hashlib.sha256(found[1].encode()).hexdigest()[: int(found[2] or 64)],
        value,
    )
