"""What a click on a link is recorded as, and where it leads.

| of the request | column |
|---|---|
| `vid`, else the cookie's, else a new one | `visitor_id` |
| `sid`, else the cookie's while its session lasts; for a sister site a new one of who is new | `session_id` |
| `hit` | `hit_id` of the click: the page view that it leaves |
| `utm_*` | the same names |
| click ids, all of `CLICK_ID_TYPES` | `click_id_type` and `click_id`: the first; `properties`: each |
| `Referer` | `referrer`, without fragment |
| `link_id`, `target` (its number, from 1), its `weight`, its `url` as filled | `properties` of the click |
| `page_id` of the link | `page_id` of the click |
| `page_id` and address of a target that has one | those of a page view with a new `hit_id` |

What cannot be used is left out: nothing that a request says keeps a visitor from where the link leads.
`payload` is the raw query string.
"""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from ingest_api.arrival import Arrival
from ingest_api.definitions.link import CLICK, PASSED
from ingest_api.lengths import ADDRESS_BYTES, CLICK_ID_BYTES, ID_BYTES, UTM_BYTES, cut, or_none
from ingest_api.links.addresses import UTM, data_name, is_among, read_address
from ingest_api.strict_json import dump
from record.click_id_types import CLICK_ID_TYPES
from record.contract import Event

MOST_PARAMETERS = 200
"""Of a request that are read; a query string has room for thousands."""

_AFTER_US = 1
"""Who clicks arrives later, if only by this."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Browser:
    """What a request says besides its query, as far as it may be used.

    `is_silent`: it asks not to be known, so neither its ids nor those of its address count. `are_ads_denied`:
    click ids go nowhere.
    """

    referrer: str | None = None
    user_agent: str | None = None
    country: str | None = None
    visitor_id: str | None = None
    session_id: str | None = None
    is_silent: bool = False
    are_ads_denied: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a click leads, what is recorded of it, and whose it is."""

    location: str
    events: list[Event]
    visitor_id: str


def follow(
    link_id: str,
    link: Mapping[str, Any],
    query: bytes,
    arrival: Arrival,
    browser: Browser,
    pages: Mapping[str, Mapping[str, Any]],
    cross_domains: list[str],
    networks: Sequence[str] = (),
) -> Followed:
    """What becomes of a click on a link as it is stored; `pages` are those that are defined, by id.

    `networks` are parameters in which traffic sources send click ids: each of them is `external`.
    """
    sent = parameters(query)
    if browser.are_ads_denied:
        for name in (*CLICK_ID_TYPES, *networks):
            sent.pop(name, None)
    if "external" not in sent and (named := next((sent[name] for name in networks if name in sent), None)):
        sent["external"] = named
    clicks = {
        name: found
        for name in CLICK_ID_TYPES
        if name in sent and (found := or_none(sent[name], CLICK_ID_BYTES))
    }
    given = {} if browser.is_silent else {name: _id(sent.get(name, "")) for name in ("vid", "sid", "hit")}
    visitor_id = given.get("vid") or browser.visitor_id or new_id(arrival.received_us)
    session_id = given.get("sid") or (browser.session_id if visitor_id == browser.visitor_id else None)
    left_hit = given.get("hit")
    number, target = chosen(link["to"], visitor_id, link_id)
    address = read_address(target["url"])
    takes_visitor = is_among(address.host, cross_domains) and not browser.is_silent
    if takes_visitor and not (given.get("vid") or browser.visitor_id):
        # What the target goes on with begins here: else it would take somebody new for somebody else.
        session_id = new_id(arrival.received_us)
    new_hit = None if target["page_id"] is None else new_id(arrival.received_us)
    first_click_id = next(iter(clicks), None)

    said = {
        "hit": new_hit or left_hit,
        "visitor": visitor_id,
        "vid": visitor_id,
        "session": session_id,
        "clickid": clicks.get("external") or clicks.get(first_click_id or ""),
        "link": link_id,
        "page": target["page_id"] or link["page_id"],
        "time": str(arrival.received_us // 1_000_000),
    }

    def value(token: str) -> str:
        if token in said:
            return said[token] or ""
        return sent.get(data_name(token) or token, "")

    added = [("vid", visitor_id)] if link["append_vid"] else []
    if takes_visitor and session_id and all(map(_PLAIN_ID.fullmatch, (visitor_id, session_id))):
        added.append(("_fh", f"{visitor_id}.{session_id}.{_base36(arrival.received_us // 1000)}"))
    # Unless others are listed, what the sender counts clicks by goes on to where they lead.
    passed = [*PASSED, *networks] if link["pass"] == list(PASSED) else link["pass"]
    added += _passed(sent, passed)
    location = address.filled(value, added)

    common: dict[str, Any] = {
        "project_id": arrival.project_id,
        "dialect": "links",
        "dialect_version": "1",
        "sender": "browser",
        "received_us": arrival.received_us,
        "payload": _payload(query, networks if browser.are_ads_denied else None),
        "visitor_id": visitor_id,
        "session_id": session_id,
        "referrer": browser.referrer,
        "user_agent": browser.user_agent,
        "country": browser.country,
        "click_id_type": first_click_id,
        "click_id": clicks.get(first_click_id or ""),
        **{name: cut(sent[name], UTM_BYTES) for name in UTM if name in sent},
    }
    said_of_both = clicks | ({"consent": "denied"} if browser.are_ads_denied else {})
    properties: dict[str, Any] = {
        "link_id": link_id,
        "target": number,
        "weight": target["weight"],
        "url": location,
        **said_of_both,
    }
    click = Event(
        event_id=arrival.new_event_id(0),
        kind="event",
        name=CLICK,
        occurred_us=arrival.received_us,
        hit_id=left_hit,
        page_id=link["page_id"],
        properties=dump(properties),
        **common,
    )
    events = [click]
    if new_hit is not None:
        visit = Event(
            event_id=arrival.new_event_id(1),
            kind="visit",
            occurred_us=arrival.received_us + _AFTER_US,
            hit_id=new_hit,
            url=location,
            page_id=target["page_id"],
            page_kind=pages.get(target["page_id"], {}).get("kind"),
            properties=dump({"link_id": link_id, **said_of_both}),
            **common,
        )
        events.append(visit)
    return Followed(location, events, visitor_id)


def unfilled(link: Mapping[str, Any]) -> str:
    """Where a link leads when nobody follows it: its first target, without what tokens stand for."""
    return read_address(link["to"][0]["url"]).filled(lambda _: "")


def chosen(to: list[dict[str, Any]], visitor_id: str, link_id: str) -> tuple[int, dict[str, Any]]:
    """The target of a visitor, always the same while weights are, and its number from 1."""
    if len(to) == 1:
        return 1, to[0]
    digest = hashlib.blake2b(f"{visitor_id}\n{link_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest) % sum(target["weight"] for target in to)
    for number, target in enumerate(to, 1):
        place -= target["weight"]
        if place < 0:
            return number, target
    raise AssertionError("weights are positive")


def parameters(query: bytes) -> dict[str, str]:
    """What a query string says, by name: the first of equals; what is empty or no text is left out."""
    found: dict[str, str] = {}
    for pair in query.split(b"&", MOST_PARAMETERS)[:MOST_PARAMETERS]:
        sent_name, _, sent_value = pair.partition(b"=")
        name, value = _text(sent_name), _text(sent_value)
        if name and value:
            found.setdefault(name, value)
    return found


def new_id(now_us: int) -> str:
    """A UUIDv7 (RFC 9562) that nobody can guess: who knows a visitor or a page view may report of it."""
    bits = int.from_bytes(os.urandom(10))
    random_a, random_b = bits >> 68, bits & (1 << 62) - 1
    return str(uuid.UUID(int=now_us // 1000 << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b))


def _text(sent: bytes) -> str:
    try:
        is_plain = b"%" not in sent and b"+" not in sent
        text = (sent if is_plain else unquote_to_bytes(sent.replace(b"+", b" "))).decode().strip()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _id(text: str) -> str | None:
    return or_none(text, ID_BYTES) or None


def _passed(sent: Mapping[str, str], passed: list[str]) -> Iterator[tuple[str, str]]:
    names = frozenset(passed)
    beginnings = tuple(name[:-1] for name in passed if name.endswith("*"))
    for name, value in sent.items():
        if name in names or name.startswith(beginnings):
            yield name, value


def _payload(query: bytes, denied: Sequence[str] | None) -> str:
    """The query as it came; where ads are denied without click ids, those in `denied` among them."""
    text = query.decode(errors="backslashreplace").replace("\0", "")
    if denied is None:
        return text
    left_out = {*CLICK_ID_TYPES, *denied}
    pairs = text.split("&")
    return "&".join(pair for pair in pairs if _text(pair.partition("=")[0].encode()) not in left_out)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def cut_address(text: str | None, removed: Sequence[str] = ()) -> str | None:
    """An address in a header, as a column holds it: without fragment, nor what `removed` parameters say."""
    address = (text or "").partition("#")[0]
    if "?" in address and removed:
        address = _of_parameters(tuple(removed)).sub(r"\1removed", address)
    return cut(address, ADDRESS_BYTES) or None


@lru_cache(maxsize=1000)
def _of_parameters(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"([?&](?:{'|'.join(map(re.escape, names))})=)[^&]*")
