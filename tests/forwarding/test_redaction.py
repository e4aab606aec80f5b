"""What receivers repeat of what they were told is kept without secrets, however they spell them."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from forwarding.answers import body_shown, redacted, shown
from forwarding.deliveries import ANSWER_BYTES, Answer

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


def test_no_half_of_a_secret_is_left_where_an_answer_was_cut() -> None:
    secret = "".join(f"{n:04d}" for n in range(500))
    cut = Answer(500, {}, (secret * 40)[:ANSWER_BYTES].encode(), 1)
    assert body_shown(cut, [secret]) == "***" * 33
    four_bytes_each = Answer(500, {}, ("🎉" * 500 * 40).encode()[:ANSWER_BYTES], 1)
    assert body_shown(four_bytes_each, ["🎉" * 500]) == "***" * 33
    assert body_shown(Answer(500, {}, f"{'x' * 505}{secret}".encode(), 1), [secret]) == f"{'x' * 505}***"
    # Words that begin as a secret does stay, where an answer has its end.
    assert redacted("invalid_client", ["client-secret-1"]) == "invalid_client"
