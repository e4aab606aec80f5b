"""What looks like a secret in a definition: it is refused, since definitions are kept for ever.

Known forms of tokens are found wherever they stand; others by the name before them.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

_FORMS = re.compile(
    r"""
    whsec_
    | -----BEGIN
    | \bEAA[A-Za-z0-9]{20,}                        # Meta's access tokens
    | \bya29\. | \b1//[0-9A-Za-z_-]{20,} | \bGOCSPX- | \bAIza[0-9A-Za-z_-]{30,}  # Google's
    | \beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}  # JSON Web Tokens
    | \bfh_(?:live|test)_                          # our API keys
    | \b(?:bearer|basic)[ ]+[A-Za-z0-9+/_.=-]{16,}
    | \b(?:sk|rk)_(?:live|test)_ | \bgh[opsru]_[A-Za-z0-9]{20,} | \bxox[abeprs]- | \b(?:AKIA|ASIA)[0-9A-Z]{16}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]*@", re.IGNORECASE)
# An address in a parameter, or a form, holds pairs; what is set off by ; counts, too.
_PAIR = re.compile(r"(?:^|[?&;#\s])([^?&;#=\s]{1,200})=([^?&;#\s]*)")
# By pattern, not by parsing: a template is no JSON before its tokens are filled in.
_JSON_PAIR = re.compile(r'"([^"\\]{1,200})"\s*:\s*("(?:[^"\\]|\\.)+|-?[0-9][^,\s}\]]*)')
_TOKEN = re.compile(r"\{[^{}]*\}")
_SECRET_TOKEN = re.compile(r"\{secret:[^{}]*\}", re.IGNORECASE)
_SECRET_NAMES = re.compile(
    r"token|secret|passw|passphrase|pwd|apikey|accesskey|authkey|privatekey|credential|authorization|jwt"
)
_WHOLE_SECRET_NAMES = frozenset({"auth", "bearer", "key", "pass", "pw"})
# They have such a word in them, and are none.
_NO_SECRETS = frozenset({"tokens", "tokenized"})


_LOOKED_AT = 4096
"""Characters of a text: no member takes more, and patterns take their time."""


def has_secret_name(name: str) -> bool:
    """Whether what is called so is a secret, in any spelling: apiKey, api_key, API-KEY."""
    plain = re.sub(r"[^a-z0-9]", "", unquote(name).lower())
    if plain in _NO_SECRETS:
        return False
    return plain in _WHOLE_SECRET_NAMES or bool(_SECRET_NAMES.search(plain))


def secret_like(body: Any) -> list[str]:
    """Where a body has what looks like a secret, by the names of its members; never what stands there.

    What a member is called counts only for the body's own: deeper ones are called as senders call events.
    """
    return list(dict.fromkeys(_found(body, "")))


def _found(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            if _is_secret_text(name):
                # The name itself must not come back in an answer.
                yield path or "the name of a member"
                continue
            inner = f"{path}.{name[:100]}" if path else name[:100]
            if not path and has_secret_name(name) and _is_literal(part):
                yield inner
            else:
                yield from _found(part, inner)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _found(part, f"{path}.{index}")
    elif isinstance(value, str) and _is_secret_text(value):
        yield path


def _is_literal(value: Any) -> bool:
    """Whether a secret's value stands there itself, not a token for it."""
    if isinstance(value, str):
        return bool(_TOKEN.sub("", value).strip('" ')) and not _SECRET_TOKEN.search(value)
    return value is not None and not isinstance(value, bool)


def _is_secret_text(text: str) -> bool:
    plain = text[:_LOOKED_AT]
    # Twice encoded is as good a secret; nobody encodes more often.
    for _ in range(3):
        if _FORMS.search(plain) or _USER_INFO.search(plain) or _has_secret_pair(plain):
            return True
        decoded = unquote(plain)
        if decoded == plain:
            break
        plain = decoded
    return False


def _has_secret_pair(text: str) -> bool:
    pairs = [*_PAIR.findall(text), *_JSON_PAIR.findall(text)]
    return any(has_secret_name(name) and _is_literal(value) for name, value in pairs)
