"""What receivers repeat of what they were told is kept without secrets, however they spell them."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from forwarding.answers import body_shown, redacted, shown
from forwarding.deliveries import Answer

SECRETS = ["hunter2", "p&w=1/+ <\"'>", "Grüße €🎉", "a\\b\nc", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]


@pytest.mark.parametrize("secret", SECRETS)
def test_every_common_spelling_goes(secret: str) -> None:
    spellings = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        html.escape(secret, quote=False),
        json.dumps(secret)[1:-1],
        json.dumps(secret).replace("/", "\\/")[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }
    for spelling in spellings:
        assert redacted(f"<{spelling}>{spelling}|", [secret]) == "<***>***|"
        assert shown(f"<{spelling}>", ["other", secret, ""]) == "<***>"


def test_a_secret_within_another_leaves_none_of_it() -> None:
    assert redacted("abcdef abc", ["abc", "abcdef"]) == "*** ***"
    assert redacted("nothing", []) == redacted("nothing", [""]) == "nothing"
    assert redacted("a.c abc", ["a.c"]) == "*** abc"


def test_no_half_of_a_secret_is_left_at_the_end() -> None:
    """An answer is cut at 64 KB, or by whoever sends it."""
    secret = "".join(f"{n:04d}" for n in range(500))
    cut = Answer(500, {}, (secret * 40)[:65_000].encode(), 1)
    assert body_shown(cut, [secret]) == "***" * 33
    assert redacted(f"said {quote('p&w=1')[:4]}", ["p&w=1"]) == "said ***"
    assert redacted("said hunt", ["hunter2"]) == "said ***"
    assert redacted("said hu", ["hunter2"]) == "said hu"
    assert body_shown(Answer(500, {}, f"{'x' * 505}{secret}".encode(), 1), [secret]) == f"{'x' * 505}***"
