"""What platforms answer: their JSON, how long they ask to wait, and what may be kept of it."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

from forwarding.deliveries import Answer, Outcome, UndeliveredError

LONGEST_WAIT_S = 86_400.0
TEXT_BYTES = 512

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


def json_object(answer: Answer) -> dict[str, Any] | None:
    """The JSON object that was answered; None for anything else, such as a proxy's page."""
    try:
        found = orjson.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def retry_after_s(answer: Answer, now_us: int) -> float | None:
    """Seconds that Retry-After asks to wait, in either form, a day at most; None where it says nothing."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:9]), LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(said)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        wait = (until - datetime.fromtimestamp(now_us / 1e6, UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S)


def shown(text: str, secrets: Iterable[str]) -> str:
    """What may be kept of a receiver's words: without secrets and line breaks, 512 bytes at most."""
    for secret in secrets:
        for spelling in {secret, quote(secret, safe=""), quote_plus(secret)} if secret else ():
            text = text.replace(spelling, "***")
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text.encode(errors="replace")[:TEXT_BYTES].decode(errors="ignore")


def body_shown(answer: Answer, secrets: Iterable[str]) -> str:
    """The beginning of an answer that is no JSON."""
    return shown(answer.body[:4096].decode(errors="replace"), secrets)


def undelivered(error: UndeliveredError, secrets: Iterable[str]) -> Outcome:
    """No answer: it is tried again. An address that may not be dialled is the operator's to change."""
    said = shown(str(error), secrets)
    if error.is_permanent:
        return Outcome("pause", error.code, said)
    return Outcome("retry", error.code, said, is_fault=True)
