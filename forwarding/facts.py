"""What platforms are told of a conversion, read from its row of `fct_forwardings`.

Senders choose much of it. What has not the shape that its column promises counts as missing: nobody's odd
property stops a conversion, and no text takes the place of a hash.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from forwarding.deliveries import Delivery, Facts
from record.currencies import in_major_units
from record.public_suffixes import is_public_suffix

DAY_US = 86_400_000_000

SOMEBODY = "test@example.com"
"""Whom tests are about: nobody has this address (RFC 2606)."""

_HASH = re.compile(r"[0-9a-f]{64}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_URL = re.compile(
    r"(https?)://(?:[^\x00-\x20\x7f/?#]*@)?"
    r"((\[[0-9a-f:.]+\]|[^\x00-\x20\x7f/?#@:\[\]]+)(?::[0-9]*)?)"
    r"((?:/[^\x00-\x20\x7f?#]*)?)(?:\?([^\x00-\x20\x7f#]*))?(?:#.*)?",
    re.IGNORECASE,
)
"""Scheme, place, host, path and query; user and password are no part of what is told."""


def sha256(text: str) -> str:
    """In lower case hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def is_hash(text: str) -> bool:
    """Whether a text looks like SHA-256 in lower case hex."""
    return _HASH.fullmatch(text) is not None


def text(value: Any) -> str | None:
    """A text or whole number as text; None for what is empty, and for anything else."""
    if isinstance(value, str):
        return value if value.strip() else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def whole(facts: Facts, column: str) -> int | None:
    """A whole number, such as a time in microseconds or an amount in minor units."""
    value = facts.get(column)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(facts: Facts, column: str) -> Sequence[str]:
    """The texts of a column with a JSON array of them, or with one text."""
    value = facts.get(column)
    if isinstance(value, str) and value[:1] == "[":
        value = _json(value)
    elif isinstance(value, str):
        value = [value]
    return [each for one in value if (each := text(one))] if isinstance(value, list) else ()


def hashes(facts: Facts, column: str) -> Sequence[str]:
    """Those texts of a column that are hashes."""
    value = facts.get(column)
    if value is None:
        return ()
    if isinstance(value, str) and value[:1] != "[":
        return (value,) if is_hash(value) else ()
    return [each for each in texts(facts, column) if is_hash(each)]


def members(facts: Facts, column: str) -> Mapping[str, Any]:
    """The members of a column with a JSON object."""
    value = facts.get(column)
    if isinstance(value, str):
        value = None if value == "{}" else _json(value)
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> Sequence[Any]:
    """A list, also one that was sent as the text of its JSON; anything else is a list of itself."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        found = _json(value)
        value = value if found is None else found
    return value if isinstance(value, list) else [value]


def currency(facts: Facts) -> str | None:
    """Three letters in upper case."""
    value = facts.get("currency")
    return value if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


def amount(minor: int, in_currency: str | None) -> orjson.Fragment:
    """A JSON number in major units, exact, with all digits of the currency."""
    return orjson.Fragment(format(in_major_units(minor, in_currency), "f"))


def state(delivery: Delivery) -> str:
    """What the conversion is told to be: pending, approved, rejected or refunded.

    A conversion that is no more, while its destination still is, counts as rejected.
    """
    said = text(delivery.facts.get("state")) or "approved"
    return "rejected" if delivery.kind == "retract" and said not in ("rejected", "refunded") else said


def with_facts(delivery: Delivery, **members: Any) -> Delivery:
    """A delivery with other facts."""
    return replace(delivery, facts={**delivery.facts, **members})


def dedup_id(facts: Facts, conversion_id: str) -> str:
    """By what a platform knows the conversion again."""
    return text(facts.get("dedup_id")) or sha256(conversion_id)


def page_address(facts: Facts) -> str | None:
    """The address of the page on which it happened, else of the landing page.

    What may tell who it was is left out: of the query only UTM parameters stay, and no part with an `@`.
    """
    found = _address(facts, "event_url") or _address(facts, "landing_url")
    if found is None:
        return None
    scheme, place, _, path, query = found.groups()
    address = f"{scheme.lower()}://{place}{'/' if _names_somebody(path) else path}"
    if query:
        kept = [each for each in query.split("&") if each[:4].lower() == "utm_" and not _names_somebody(each)]
        address += f"?{'&'.join(kept)}" if kept else ""
    return address


def domain_dots(facts: Facts) -> int:
    """Dots in the widest domain for which the site landed on can set cookies; 1 where none is known."""
    found = _address(facts, "landing_url") or _address(facts, "event_url")
    return 1 if found is None else _cookie_dots(found[3])


@lru_cache(maxsize=4096)
def _cookie_dots(host: str) -> int:
    labels = host.lower().rstrip(".").split(".")
    if len(labels) < 2 or labels[-1].isdigit() or host[0] == "[":
        return 1
    for count in range(2, len(labels) + 1):
        if not is_public_suffix(".".join(labels[-count:])):
            return count - 1
    return len(labels) - 1


def _address(facts: Facts, column: str) -> re.Match[str] | None:
    url = facts.get(column)
    return _URL.fullmatch(url) if isinstance(url, str) else None


def _names_somebody(part: str) -> bool:
    return "@" in part or "%40" in part


def _json(value: str) -> Any:
    try:
        return orjson.loads(value)
    except ValueError:
        return None
