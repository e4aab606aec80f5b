"""How long texts may be, in bytes of UTF-8, in every dialect and in definitions.

A longer id is refused: a part of it would name something else. What only describes is cut in its column, so
that no order is lost for a long address; `payload` keeps all of it.
"""

from ingest_api import metrics

ID_BYTES = 1024
NAME_BYTES = 4096
WORD_BYTES = 256
"""Of a status, an experiment, a variant."""

ADDRESS_BYTES = 8192
"""Of a page, a referrer, a user agent."""
UTM_BYTES = 1024
CLICK_ID_BYTES = 4096

EXPERIMENTS = 50
"""That one report may name."""

DEFINED_NAME_BYTES = 1024
DEFINITION_BYTES = 64 * 1024


def fits(text: str, most: int) -> bool:
    """Whether a text has at most `most` bytes."""
    # No character has more than four; most texts are short, and encoding is what costs.
    return len(text) * 4 <= most or (len(text) <= most and (text.isascii() or len(text.encode()) <= most))


def within(text: str, most: int) -> str:
    """The text. Raises ValueError when it is longer."""
    if not fits(text, most):
        raise ValueError(f"must have at most {most} bytes in UTF-8")
    return text


def cut(text: str, most: int) -> str:
    """The text, or as many of its first characters as fit; that is counted."""
    if fits(text, most):
        return text
    metrics.SHORTENED.labels("cut").inc()
    return text.encode()[:most].decode(errors="ignore")


def or_none(text: str, most: int) -> str | None:
    """The text, or None when it is longer; that is counted."""
    if fits(text, most):
        return text
    metrics.SHORTENED.labels("left out").inc()
    return None
