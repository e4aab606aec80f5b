"""A destination as a form shows it: members of every kind, and those of its own.

Lists stand one to a line. What cannot be read stays as it was written, for the ingest API to name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from funnelhouse.problems import Refusal
from read_api.dashboard import rules
from read_api.dashboard.access import Fields
from read_api.dashboard.ingest import NotTaken

STATES = ("pending", "approved", "rejected", "refunded")

STATUS_WORDS = {"pending": "lead", "approved": "sale", "rejected": "rejected", "refunded": "refunded"}

TRIGGERS = (
    ("approved", "Once it is approved"),
    ("created", "When it is reported, pending or not"),
    ("every_change", "At every change of status or amount"),
)
SENDERS = (("any", "Whoever reported it"), ("server", "Only what a server reported"))
VALUES = (("net", "Net: refunds taken off"), ("gross", "Gross: as it was sold"))
CONSENTS = (("assumed", "Unless it was refused"), ("required", "Only where it was given"))

EVENT_IDS = ("transaction_id", "conversion_id", "property:event_id")


@dataclass(frozen=True)
class KindFields:
    """What the form of one kind has: `texts`, `numbers`, `flags` and `choices` by the API's names.

    `defaults` are those of a new one.
    """

    name: str
    purpose: str
    secrets: tuple[str, ...]
    """Names of its secrets; a postback's are its own to name."""
    trigger: str = "trigger"
    """What the API calls the trigger."""
    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    choices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


KINDS: Mapping[str, KindFields] = {
    "postback": KindFields(
        name="Postback",
        purpose="An address of a traffic source, called with the click id that it sent along.",
        secrets=(),
        trigger="on",
        texts=("url", "body"),
        numbers=("payout_percent", "sample_percent"),
        flags=("allow_http",),
        choices={
            "method": (("GET", "GET"), ("POST", "POST, with a body")),
            "body_format": (("", "None"), ("form", "Form"), ("json", "JSON")),
            "mode": (("all", "Every conversion"), ("first", "The first of each visitor and source")),
        },
        defaults={"payout_percent": "100", "sample_percent": "100", "trigger": "approved"},
    ),
    "meta": KindFields(
        name="Meta",
        purpose="The Conversions API of Facebook and Instagram.",
        secrets=("access_token",),
        texts=("dataset_id", "test_event_code", "default_country"),
        numbers=("api_version", "limited_data_country", "limited_data_state"),
        flags=("limited_data_use",),
        choices={
            "action_source": tuple(
                (each, each.replace("_", " "))
                for each in (
                    *("website", "app", "email", "phone_call", "chat", "physical_store"),
                    *("system_generated", "business_messaging", "other"),
                )
            ),
            "event_time": (("occurred", "When it occurred"), ("approved", "When approval was learnt")),
        },
        defaults={
            **{"api_version": "25", "limited_data_country": "0", "limited_data_state": "0"},
            **{"trigger": "approved", "skip_suspected_doubles": True},
        },
    ),
    "google": KindFields(
        name="Google Ads",
        purpose="Conversions of Google Ads, through the Data Manager API.",
        secrets=("client_id", "client_secret", "refresh_token", "service_account_json"),
        texts=(
            *("account_id", "login_account_id", "linked_account_id", "conversion_action_id"),
            "default_country",
        ),
        numbers=("max_age_days",),
        flags=("send_user_data",),
        choices={
            "event_source": tuple((each, each) for each in ("WEB", "APP", "IN_STORE", "PHONE", "OTHER")),
            "on_rejection": (("zero", "Tell it is worth 0"), ("nothing", "Tell nothing")),
        },
        defaults={
            **{"max_age_days": "63", "send_user_data": True},
            **{"trigger": "approved", "skip_suspected_doubles": True},
        },
    ),
    "webhook": KindFields(
        name="Webhook",
        purpose="Signed messages to a system of your own, by Standard Webhooks.",
        secrets=("signing_secret",),
        texts=("url",),
        flags=("include_hashes",),
        defaults={"trigger": "every_change"},
    ),
}

_TEXTS = ("id", "name", "since", "trigger", "sender", "value", "consent", "event_id", "concurrency")
_LISTS = ("names", "goals", "sources")
_NUMBERS = ("concurrency", "per_second")
_FLAGS = ("is_active", "skip_suspected_doubles")


def blank(request: Request) -> dict[str, Any]:
    """A new one of the kind that the address names. Raises Refusal 404 for no kind."""
    kind = request.query_params.get("kind", "")
    of_kind = KINDS.get(kind)
    if of_kind is None:
        raise Refusal(404, "There is no such kind of destination.")
    return {
        **dict.fromkeys((*_TEXTS, *_LISTS, *of_kind.texts, *of_kind.numbers, "per_second"), ""),
        **dict.fromkeys((*_FLAGS, *of_kind.flags), False),
        **{name: choices[0][0] for name, choices in of_kind.choices.items()},
        **{"kind": kind, "sender": "any", "value": "net", "consent": "assumed"},
        **{"event_id": "transaction_id", "concurrency": "8", "event_names": [_pair()]},
        **{"status_urls": dict.fromkeys(STATES, ""), "status_words": STATUS_WORDS},
        **of_kind.defaults,
    }


def shown(known: Mapping[str, Any]) -> dict[str, Any]:
    """One of the API as the form's fields."""
    of_kind = KINDS[known["kind"]]
    pairs = [_pair(ours, theirs) for ours, theirs in known["event_names"].items()]
    texts = ("since", "sender", "value", "consent", "event_id", *_NUMBERS, *of_kind.numbers, *of_kind.texts)
    return {
        "id": known["destination_id"],
        "name": known["name"],
        "kind": known["kind"],
        "trigger": known[of_kind.trigger],
        **{name: _text(known.get(name)) for name in (*texts, *of_kind.choices)},
        **{name: "\n".join(known[name]) for name in _LISTS},
        **{name: bool(known.get(name)) for name in (*_FLAGS, *of_kind.flags)},
        "include_hashes": "hashes" in known.get("include", ()),
        "event_names": pairs or [_pair()],
        "status_urls": {state: _text((known.get("status_urls") or {}).get(state)) for state in STATES},
        "status_words": {state: _text((known.get("status_words") or {}).get(state)) for state in STATES},
    }


def read(form: Fields) -> dict[str, Any]:
    """One as a browser sent it. Raises Refusal 400 for a form that is none of ours."""
    of_kind = KINDS.get(form.text("kind"))
    ours, theirs = form.all("ours"), form.all("theirs")
    if of_kind is None or len(ours) != len(theirs):
        raise Refusal(400, "The form is not complete; open the page again.")
    names = (*_TEXTS, *_LISTS, "kind", "per_second", *of_kind.texts, *of_kind.numbers, *of_kind.choices)
    return {
        **{name: form.text(name) for name in names},
        **{name: form.has(name) for name in (*_FLAGS, *of_kind.flags)},
        "event_names": [_pair(*each) for each in zip(ours, theirs, strict=True)] or [_pair()],
        "status_urls": {state: form.text(f"url_{state}") for state in STATES},
        "status_words": {state: form.text(f"word_{state}") for state in STATES},
    }


def body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the API's shape."""
    of_kind = KINDS[fields["kind"]]
    found = {
        "name": fields["name"],
        "kind": fields["kind"],
        of_kind.trigger: fields["trigger"],
        "since": fields["since"] or None,
        **{name: fields[name] for name in ("sender", "value", "consent", "event_id", *_FLAGS)},
        **{name: _lines(fields[name]) for name in _LISTS},
        **{name: _number(fields[name]) for name in (*_NUMBERS, *of_kind.numbers)},
        **{name: fields[name] or None for name in (*of_kind.texts, *of_kind.choices)},
        **{name: fields[name] for name in of_kind.flags if name != "include_hashes"},
        "event_names": {
            each["ours"]: each["theirs"] for each in fields["event_names"] if each["ours"] or each["theirs"]
        },
    }
    if fields["kind"] == "postback":
        found["status_urls"] = {state: url for state, url in fields["status_urls"].items() if url}
        found["status_words"] = {state: word for state, word in fields["status_words"].items() if word}
    if fields["kind"] == "webhook":
        found["include"] = ["hashes"] if fields["include_hashes"] else []
    return found


def _pair(ours: str = "", theirs: str = "") -> dict[str, str]:
    return {"ours": ours, "theirs": theirs}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _lines(text: str) -> list[str]:
    return [line for each in text.splitlines() if (line := each.strip())]


def _number(text: str) -> int | float | str | None:
    """A number as a form has it; none where nothing is written."""
    if not text:
        return None
    whole = rules.whole(text)
    if isinstance(whole, int):
        return whole
    try:
        return rules.number(text, "number")
    except NotTaken:
        return text
