"""What a report leaves to guess, told while its sender can still mend it: misspelt fields, money left out.

A dry run and a test key are answered with `warnings`, one per thing, each `{"index", "field", "hint"}`, and
with `understood`: per accepted event its index and the columns that it fills, as the window shows them. Live
keys get the number of warnings in a header. A hint names the field and the fix, and never repeats a value.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import orjson
from fastapi import Response

from ingest_api.fields import usable_time_to_us
from ingest_api.window.landed import understood
from record.contract import DAY_US, Event, columns
from record.status_words import meaning, status_words

WARNINGS = "Funnelhouse-Warnings"
"""Header of an answer: how many warnings there are, where there are any."""

MOST_WARNINGS = 100
"""Shown in one answer; the header counts all."""
MOST_UNDERSTOOD_BYTES = 1_048_576
"""Of `understood`, which ends with the event that fills them."""

MOST_NAMES = 50
"""Different fields that nothing reads, told apart in one request, and of one project on one day."""

SENT_KEYS = frozenset({"writeKey", "api_key"})
"""Members of an event that carry an API key: they are not kept."""

_NAME_CHARACTERS = 64
_TELLING_NAME = re.compile(rf"(?!fh_)[^\W\d][\w .:$-]{{0,{_NAME_CHARACTERS - 1}}}")
"""A name that may be shown to whoever reads the project's figures: no address, no number, no key."""

_YEAR_US = 366 * DAY_US
_WITH_ZONE = re.compile(r"[Tt ].*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$")

_EVENT_NAMES = [column.name for column in columns(Event) if column.name != "payload"]

# Words for one thing, in the dialects and elsewhere; without case, blanks and signs.
_WORDS = (
    "revenue amount value total price rev payout sum amt cost conversionvalue ordervalue ordertotal "
    "totalprice grandtotal totalamount saleamount purchasevalue commission",
    "transactionid orderid order tx txid txnid transaction ordernumber orderno purchaseid invoiceid",
    "anonymousid visitorid vid clientid deviceid cookieid browserid visitor",
    "userid user uid customerid memberid accountid customer",
    "visitid hit hitid pageviewid",
    "sessionid sid session",
    "eventname event name label conversionname title action",
    "eventtype type kind",
    "timestamp time ts occurredat eventtime eventtimestamp date datetime createdat conversiontime",
    "status state orderstatus",
    "currency currencycode ccy",
    "url pageurl href location page",
    "referrer referer documentreferrer",
    "pageid p landingpage",
    "utmsource source trafficsource",
    "utmmedium medium",
    "utmcampaign campaign campaignname",
    "utmterm term keyword",
    "utmcontent content adcontent",
)
_GROUP_OF = {word: group for group, words in enumerate(_WORDS) for word in words.split()}
_AMOUNT = _GROUP_OF["amount"]


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What a dialect reads of a report, by the sender's names; a member of an object is `object.member`.

    `amount`, `order`, `status` and `times` are the fields of that meaning, where the dialect has them, `ids`
    those that say whose it is; of `times` the first that a report has is its time. `vendors` are documented
    by the vendor, and kept without being read.
    """

    schema: Mapping[str, Any]
    """JSON schema of one report."""
    amount: str
    an_amount: str
    """How an amount is written."""
    order: str | None = None
    status: str | None = None
    times: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    vendors: frozenset[str] = frozenset()
    takes_extended_status: bool = False
    known: frozenset[str] = field(init=False)
    inner: tuple[tuple[str, frozenset[str]], ...] = field(init=False)

    def __post_init__(self) -> None:
        shapes = {
            name: self.schema["$defs"][shape["$ref"].rpartition("/")[2]]
            for name, shape in self.schema["properties"].items()
            if "$ref" in shape
        }
        inner = tuple(
            (name, frozenset(shape["properties"])) for name, shape in shapes.items() if "properties" in shape
        )
        object.__setattr__(self, "known", frozenset(self.schema["properties"]) | self.vendors | SENT_KEYS)
        object.__setattr__(self, "inner", inner)

    def unread(self, sent: Mapping[str, Any]) -> list[str]:
        """Names of a report's fields that nothing reads; nearly always none."""
        found = [] if self.known.issuperset(sent) else [name for name in sent if name not in self.known]
        for outer, known in self.inner:
            members = sent.get(outer)
            if type(members) is dict and not known.issuperset(members):
                found += [f"{outer}.{name}" for name in members if name not in known]
        return found

    def names(self) -> list[str]:
        """All names that are read, those in objects too."""
        found = self.known - self.vendors - SENT_KEYS - {name for name, _ in self.inner}
        found |= {f"{name}.{member}" for name, known in self.inner for member in known}
        return sorted(found | {self.amount, self.order or self.amount})


@dataclass(slots=True)
class Notices:
    """What is to be said of one request; `is_told` where its answer shows all of it."""

    is_told: bool = False
    count: int = 0
    unread: dict[str | None, int] = field(default_factory=dict)
    """How often a field came that nothing reads, by name; None counts those beyond `MOST_NAMES`."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[int, Event]] = field(default_factory=list)

    def look(self, index: int, sent: Mapping[str, Any], event: Event, fields: Fields) -> None:
        """Note what is odd about the accepted report at `index` of the request; `sent` is as it came."""
        if self.is_told:
            self.events.append((index, event))
        # This is done for every event that comes: what is as usual has to be seen with few looks.
        if (fields.inner or not fields.known.issuperset(sent)) and (unread := fields.unread(sent)):
            self._note_unread(index, unread, fields)
        kind = event.kind
        if kind == "conversion":
            if event.amount_text is None and not _is_rejection(event.status):
                self._warn(index, fields.amount, lambda: _hint_at_amount(sent, fields))
        elif kind == "refund" and event.transaction_id is None and fields.order:
            self._warn(index, fields.order, lambda: "missing: a refund without it finds no sale")
        if not (event.user_id or event.visitor_id or event.session_id or event.hit_id) and not (
            event.click_id or event.alias_value or kind == "refund"
        ):
            self._warn(index, fields.ids[0] if fields.ids else None, lambda: _hint_at_ids(fields))
        if event.status is not None and fields.status is not None:
            self._look_at_status(index, event.status, fields.status, fields.takes_extended_status)
        for name in fields.times:
            if sent.get(name) not in (None, ""):
                self._look_at_time(index, sent[name], event, name)
                break

    def look_around(self, names: Iterable[str], known: frozenset[str], fields: Fields) -> None:
        """Note members of a request beside its reports that nothing reads."""
        unread = [name for name in names if name not in known and name not in SENT_KEYS]
        if unread:
            self._note_unread(None, unread, fields)

    def refused(self, index: int | None, reason: str) -> None:
        """Note that the report at `index`, or all, was not accepted, where the answer does not say so."""
        self._warn(index, None, lambda: f"not accepted: {reason}")

    def _look_at_status(self, index: int, status: str, name: str, takes_extended: bool) -> None:
        known = meaning(status)
        if known is None:
            self._warn(index, name, _hint_at_status)
        elif known.is_extension and not takes_extended:
            self._warn(index, name, lambda: _EXTENDED_STATUS)

    def _look_at_time(self, index: int, sent: Any, event: Event, name: str) -> None:
        if event.occurred_us == event.received_us and usable_time_to_us(sent) is None:
            self._warn(index, name, lambda: "is no time that can be read: the time of arrival counts")
            return
        if type(sent) is str and sent[-1:] != "Z" and not _WITH_ZONE.search(sent):
            self._warn(index, name, lambda: "has no zone and is read as UTC; end it with Z or +02:00")
        # Where the sender's clock is known, what it shows is corrected by how far it is off.
        now_us = event.received_us if event.sent_us is None else event.sent_us
        ahead_us = event.occurred_us - now_us
        if ahead_us > DAY_US:
            self._warn(
                index, name, lambda: "is more than a day ahead: the time of arrival counts; set the clock"
            )
        elif ahead_us < -_YEAR_US:
            self._warn(
                index,
                name,
                lambda: "is more than a year before its arrival; are year and unit right?",
            )

    def _note_unread(self, index: int | None, names: list[str], fields: Fields) -> None:
        for name in names:
            counted = name if _TELLING_NAME.fullmatch(name) else None
            if counted not in self.unread and len(self.unread) >= MOST_NAMES:
                counted = None
            self.unread[counted] = self.unread.get(counted, 0) + 1
            shown = name[:_NAME_CHARACTERS]
            self._warn(index, shown, partial(_hint_at_name, shown, fields))

    def _warn(self, index: int | None, name: str | None, hint: Callable[[], str]) -> None:
        self.count += 1
        if self.is_told and len(self.warnings) < MOST_WARNINGS:
            self.warnings.append({"index": index, "field": name, "hint": hint()})


def told(response: Response, notices: Notices, is_trial: bool) -> Response:
    """An answer with what there is to say about its request: in its body, or the number in its header."""
    if notices.is_told:
        said = orjson.loads(bytes(response.body))
        if is_trial and "queued" in said:
            said["queued"] = False
        said["warnings"] = notices.warnings
        said["understood"] = _understood(notices.events)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        response = Response(orjson.dumps(said), response.status_code, headers)
    if notices.count:
        response.headers[WARNINGS] = str(notices.count)
    return response


def _understood(events: list[tuple[int, Event]]) -> list[orjson.Fragment]:
    shown: list[orjson.Fragment] = []
    size = 0
    for index, event in events:
        row = {name: getattr(event, name) for name in _EVENT_NAMES}
        text = orjson.dumps({"index": index, **understood(row)})
        shown.append(orjson.Fragment(text))
        size += len(text)
        if size >= MOST_UNDERSTOOD_BYTES:
            break
    return shown


def _hint_at_name(name: str, fields: Fields) -> str:
    near = _nearest(name, fields)
    return f"nothing reads it; did you mean {near}?" if near else "nothing reads it; it is kept in the record"


@lru_cache(maxsize=4096)
def _nearest(name: str, fields: Fields) -> str | None:
    """The known field that a name comes nearest to: spelt alike, of one meaning, or of similar letters."""
    plain = _plain(name)
    by_plain = {_plain(known): known for known in fields.names()}
    if plain in by_plain:
        return by_plain[plain]
    outer, _, last = name.rpartition(".")
    group = _GROUP_OF.get(_plain(last))
    if group is not None:
        of_group = [known for known in by_plain.values() if _group(known) == group]
        if of_group:
            # A member of the same object goes first.
            return min(of_group, key=lambda known: (known.rpartition(".")[0] != outer, known))
    close = difflib.get_close_matches(plain, by_plain, 1, 0.75)
    return by_plain[close[0]] if close else None


def _group(name: str) -> int | None:
    return _GROUP_OF.get(_plain(name.rpartition(".")[2]))


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum() or character == ".")


def _hint_at_amount(sent: Mapping[str, Any], fields: Fields) -> str:
    hint = f"missing: the conversion counts without money of its own; send {fields.an_amount}"
    properties = sent.get("properties")
    for name in list(properties)[:MOST_NAMES] if isinstance(properties, dict) else ():
        path = f"properties.{name}"
        if _group(path) == _AMOUNT and path != fields.amount:
            return f"{hint}; {path[:_NAME_CHARACTERS]} is not read as money"
    return hint


def _hint_at_ids(fields: Fields) -> str:
    return f"missing: nothing says whose it is; send one of {', '.join(fields.ids)}"


_EXTENDED_STATUS = (
    "is approved unless the project's setting postbacks_take_extended_status is on; send rejected instead"
)


def _hint_at_status() -> str:
    return f"unknown word: it counts as approved; known are {', '.join(sorted(status_words()))}"


def _is_rejection(status: str | None) -> bool:
    known = None if status is None else meaning(status)
    return known is not None and known.state in ("rejected", "refunded")
