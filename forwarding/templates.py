"""Templates of postbacks: addresses and bodies with tokens in braces, in the spellings of other trackers too.

What takes a token's place is encoded for where it stands, with no character left that means something there:
percent-encoded in addresses and forms, as JSON text in JSON. A token without a value is empty.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

from forwarding.addresses import UNSAFE, Allowing, in_ascii, judge_url
from forwarding.deliveries import Facts
from record.click_id_types import CLICK_ID_TYPES
from record.currencies import in_major_units

BODY_CHARACTERS = 2048
"""Of a body as it is defined."""

MOST_CHARACTERS = 8000
"""Of an address or a body that is sent, secrets apart: values that would make it longer are left out. Servers
take request lines of 8 KB."""

SHOWN = "***"
"""Stands for a secret where people look."""

STATUS_WORDS = {"pending": "lead", "approved": "sale", "rejected": "rejected", "refunded": "refunded"}
"""What `{status}` says of each state where the destination has no other word."""

Format = Literal["url", "form", "json"]


@dataclass(frozen=True, slots=True)
class Said:
    """What tokens take their values from. `state` is what the conversion is told to be."""

    facts: Facts
    delivery_id: str
    state: str
    status_words: Mapping[str, str]

    def text(self, column: str) -> str:
        """What a column says; empty where it says nothing."""
        value = self.facts.get(column)
        return "" if value is None else str(value)


def _column(name: str) -> Callable[[Said], str]:
    return lambda said: said.text(name)


def _click_id(said: Said) -> str:
    return said.text("external_click_id") or said.text("click_id")


def _click_id_of(click_id_type: str) -> Callable[[Said], str]:
    return lambda said: said.text("click_id") if said.facts.get("click_id_type") == click_id_type else ""


def _click_id_type(said: Said) -> str:
    return "external" if said.text("external_click_id") else said.text("click_id_type")


def _payout(said: Said) -> str:
    minor = said.facts.get("value_minor")
    return "" if minor is None else f"{in_major_units(minor, said.facts.get('currency')):f}"


def _status(said: Said) -> str:
    return said.status_words.get(said.state) or STATUS_WORDS.get(said.state, said.state)


def _page_of(kind: str) -> Callable[[Said], str]:
    return lambda said: said.text("page_id") if said.facts.get("page_kind") == kind else ""


def _time(said: Said) -> str:
    occurred_us = said.facts.get("occurred_us")
    return "" if occurred_us is None else str(occurred_us // 1_000_000)


def _time_iso(said: Said) -> str:
    seconds = _time(said)
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else ""


_CLICK_IDS: dict[str, Callable[[Said], str]] = {
    **{name: _click_id_of(name) for name in CLICK_ID_TYPES},
    **dict.fromkeys(("external", "externalid", "external_id"), _column("external_click_id")),
    "clickid": _click_id,
}

TOKENS: Mapping[str, Callable[[Said], str]] = {
    **_CLICK_IDS,
    "click_id_type": _click_id_type,
    "hit": _column("hit_id"),
    **dict.fromkeys(("visitor", "vid"), _column("visitor_id")),
    "session": _column("session_id"),
    **dict.fromkeys(("payout", "revenue", "rev"), _payout),
    "payout_minor": _column("value_minor"),
    "currency": _column("currency"),
    **dict.fromkeys(("tx", "tid", "transaction_id", "transaction.id"), _column("transaction_id")),
    **dict.fromkeys(("status", "cnv_status"), _status),
    "event": lambda said: said.text("event_name") or said.text("name"),
    "goal": _column("goal_id"),
    **dict.fromkeys(("campaign", "campaign_name"), _column("campaign")),
    **dict.fromkeys(("source", "trafficsource"), _column("source")),
    "medium": _column("medium"),
    "content": _column("content"),
    "term": _column("term"),
    "page": _column("page_id"),
    "offer": _page_of("offer"),
    "lander": _page_of("lander"),
    "country": _column("country"),
    "time": _time,
    "time_iso": _time_iso,
    "conversion_id": _column("conversion_id"),
    "delivery_id": lambda said: said.delivery_id,
}
"""What each token says; `{secret:NAME}` is known besides."""

_KNOWN = f"{', '.join(f'{{{name}}}' for name in TOKENS)}, {{secret:NAME}}"

_SECRET = re.compile(r"secret:([A-Za-z0-9_]{1,64})")
_BRACES = re.compile(r"\{([^{}]*)\}")
# In JSON braces stand around objects too: those have quotes between them, or nothing.
_BRACES_IN_JSON = re.compile(r"\{(\s*[^{}\"\s][^{}\"]*)\}")
_QUOTE = re.compile(r'\\.|(")', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A token where it stands: in the path of an address, or inside a text of JSON."""

    name: str
    is_in_path: bool
    is_in_text: bool

    @property
    def secret(self) -> str | None:
        """The name of the secret that it stands for; None for another token."""
        found = _SECRET.fullmatch(self.name)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Template:
    """What stands before, between and behind `tokens`, one more than these."""

    format: Format
    texts: tuple[str, ...]
    tokens: tuple[Token, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that it asks for."""
        return frozenset(token.secret for token in self.tokens if token.secret)

    def lacks_click_id(self, said: Said) -> bool:
        """Whether it asks for a click id, and has none to put anywhere."""
        values = [_CLICK_IDS[token.name](said) for token in self.tokens if token.name in _CLICK_IDS]
        return bool(values) and not any(values)

    def filled(self, said: Said, secrets: Mapping[str, str] | None) -> str:
        """The template with what its tokens say. Without `secrets` it is for people to look at."""
        left = MOST_CHARACTERS - sum(map(len, self.texts))
        parts = [self.texts[0]]
        for token, text in zip(self.tokens, self.texts[1:], strict=True):
            if token.secret:
                written = SHOWN if secrets is None else self._encoded(token, secrets.get(token.secret, ""))
            else:
                written = self._encoded(token, TOKENS[token.name](said))
                if len(written) > left:
                    written = self._encoded(token, "")
                left -= len(written)
            parts += [written, text]
        return "".join(parts)

    def _encoded(self, token: Token, value: str) -> str:
        if self.format == "json":
            quoted = json.dumps(value)
            return quoted[1:-1] if token.is_in_text else quoted
        if token.is_in_path and not value.strip("."):
            return ""  # `..` would be a step towards the root, and no encoding hides it.
        return quote(value, safe="", errors="replace")


@lru_cache(maxsize=10_000)
def read_template(text: str, form: Format = "url") -> Template:
    """A template as it is defined. Raises ValueError that names what is wrong with it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text that UTF-8 can write") from None
    if form != "json":
        if UNSAFE.search(text):
            raise ValueError("must hold no white space and no control characters; write a blank as %20")
        text = in_ascii(text)
    pieces = (_BRACES_IN_JSON if form == "json" else _BRACES).split(text)
    texts, names = pieces[::2], pieces[1::2]
    if form != "json" and any("{" in part or "}" in part for part in texts):
        raise ValueError("braces stand around tokens only; write others as %7B and %7D")
    for name in names:
        if name not in TOKENS and not _SECRET.fullmatch(name):
            raise ValueError(f"has a token that nobody knows, {{{name[:100]}}}; known are {_KNOWN}")
    return Template(form, tuple(texts), tuple(_placed(texts, names, form)))


def _placed(texts: list[str], names: list[str], form: Format) -> Iterator[Token]:
    is_in_path, is_in_text = form == "url", False
    for text, name in zip(texts, names, strict=False):
        is_in_path &= "?" not in text
        is_in_text ^= sum(bool(found[1]) for found in _QUOTE.finditer(text)) % 2 == 1
        yield Token(name, is_in_path, is_in_text)


def check_templates(body: Mapping[str, Any], settings: Allowing) -> None:
    """Raises ValueError for a postback's definition of which an address or the body is no good template.

    `body` is as it is stored; its error names each member at fault, and no value of theirs but a token.
    """
    faults = []
    urls = {f"status_urls.{state}": url for state, url in body["status_urls"].items()}
    for member, url in {"url": body["url"], **urls}.items():
        try:
            if url is not None:
                judge_url(url, settings, allow_http=body["allow_http"])
                read_template(url)
        except ValueError as error:
            faults.append(f"{member}: {error}")
    try:
        _check_body(body)
    except ValueError as error:
        faults.append(f"body: {error}")
    if faults:
        raise ValueError("; ".join(faults))


def _check_body(body: Mapping[str, Any]) -> None:
    text, form = body["body"], body["body_format"]
    if text is None:
        if form is not None:
            raise ValueError("must be there when body_format is")
        return
    if body["method"] != "POST":
        raise ValueError("belongs to method POST")
    if form is None:
        raise ValueError("needs body_format, form or json")
    if len(text) > BODY_CHARACTERS:
        raise ValueError(f"must have at most {BODY_CHARACTERS} characters")
    template = read_template(text, form)
    if form == "json":
        try:
            json.loads(template.filled(Said({}, "", "", {}), secrets={}), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ValueError("must be JSON once its tokens are filled in") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)
