"""What platforms answer: their JSON, how long they ask to wait, and what may be kept of it."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

from forwarding.deliveries import ANSWER_BYTES, Answer, Delivery, Exchange, Message, Outcome, UndeliveredError

LONGEST_WAIT_S = 86_400.0
SLOWED_S = 60.0
_LONG_CHARACTERS = ANSWER_BYTES // 4
"""An answer that was cut has so many, of up to four bytes."""
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


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text without secrets, in whatever common spelling it repeats them."""
    spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    if not spellings:
        return text
    longest_first = sorted(spellings, key=len, reverse=True)
    is_cut = len(text) >= _LONG_CHARACTERS
    text = re.sub("|".join(map(re.escape, longest_first)), "***", text, flags=re.I)
    if is_cut:
        # The transport cut it, maybe within a secret. Where many stood before, that half is all that is left.
        for spelling in longest_first:
            for length in range(min(len(spelling), len(text)), 0, -1):
                if text[-length:].lower() == spelling[:length].lower():
                    return f"{text[:-length]}***"
    return text


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    for safe in ("", "/"):
        yield quote(secret, safe=safe, errors="replace")
        yield quote_plus(secret, safe=safe, errors="replace")
    for is_ascii in (True, False):
        in_json = json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
        yield in_json
        yield in_json.replace("/", r"\/")


def shown(text: str, secrets: Iterable[str]) -> str:
    """What may be kept of a receiver's words: without secrets and line breaks, 512 bytes at most.

    Secrets go before the rest is cut: the beginning of one is one too.
    """
    text = _UNPRINTABLE.sub(" ", redacted(text, secrets)).strip()
    return text.encode(errors="replace")[:TEXT_BYTES].decode(errors="ignore")


def body_shown(answer: Answer, secrets: Iterable[str]) -> str:
    """The beginning of an answer that is no JSON."""
    return shown(answer.body.decode(errors="replace"), secrets)


def outcome_of(answer: Answer, secrets: Iterable[str], now_us: int) -> Outcome:
    """What became of a delivery that is a request of its own: 2xx is success, and nothing else is.

    No redirect is followed. A receiver that wants another password, or says that it is gone (410), pauses its
    destination. One that is asked too much is left alone for a minute where it does not say how long.
    """
    status, said = answer.status, body_shown(answer, secrets)
    if 200 <= status < 300:
        return Outcome("delivered", text=said, status=status)
    if status in (401, 403, 407):
        return Outcome("pause", "unauthorized", said, status)
    if status == 410:
        return Outcome("pause", "gone", said, status)
    code = "redirect" if 300 <= status < 400 else f"http_{status}"
    wait_s = retry_after_s(answer, now_us)
    if wait_s is None and status in (429, 502, 504):
        wait_s = SLOWED_S
    return Outcome("retry", code, said, status, wait_s=wait_s, is_fault=status >= 500)


async def tell(message: Message, delivery: Delivery, exchange: Exchange) -> Outcome:
    """Send a delivery that is a request of its own."""
    try:
        answer = await exchange.send(message, [delivery.delivery_id])
    except UndeliveredError as error:
        return undelivered(error, message.secrets)
    return outcome_of(answer, message.secrets, exchange.now_us())


def undelivered(error: UndeliveredError, secrets: Iterable[str]) -> Outcome:
    """No answer: it is tried again. An address that may not be dialled is the operator's to change."""
    said = shown(str(error), secrets)
    if error.is_permanent:
        return Outcome("pause", error.code, said)
    return Outcome("retry", error.code, said, is_fault=True)
