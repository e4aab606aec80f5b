"""Addresses that links lead to: scheme and host are the definition's own, whatever a request says.

Tokens in braces stand behind the host only. What takes their place is percent-encoded, with every character
that means something in an address.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_plus

from record.click_id_types import CLICK_ID_TYPES

URL_CHARACTERS = 2048
"""Of an address as it is defined."""

MOST_BYTES = 3500
"""Of an address that is answered; what does not fit is left out. Proxies keep 4 KB for all header fields of
an answer: a longer one would be their 502."""

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

TOKENS = frozenset(
    {"hit", "visitor", "vid", "session", "clickid", "link", "page", "time", *CLICK_ID_TYPES, *UTM}
)
_DATA = re.compile(r"data-([A-Za-z0-9_.~-]{1,100})")
_KNOWN = (
    "{hit}, {visitor}, {vid}, {session}, {external}, {clickid}, {gclid} and other click ids, {utm_source} "
    "and other utm_*, {link}, {page}, {time}, {data-NAME}"
)

_LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])"
_START = re.compile(rf"(?i:https?)://({_HOST})(?::([0-9]{{1,5}}))?(?=[/?#]|\Z)")
_SCHEME = re.compile(r"(?i:https?)://")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
_TOKEN = re.compile(r"\{([^{}]*)\}")
_ASCII = "".join(map(chr, range(0x80)))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a link leads. `texts` stand before, between and behind `tokens`, one more than these."""

    host: str
    texts: tuple[str, ...]
    tokens: tuple[str, ...]
    parameters: frozenset[str]
    """Names in its query."""

    def filled(self, value: Callable[[str], str], added: Iterable[tuple[str, str]] = ()) -> str:
        """The address with what `value` says of each token, and with parameters that it has not got yet.

        A token without a value is empty; so is one whose value would make the address longer than MOST_BYTES.
        """
        left = MOST_BYTES - sum(map(len, self.texts))
        parts = [self.texts[0]]
        for token, text in zip(self.tokens, self.texts[1:], strict=True):
            written = quote(value(token), safe="")
            if len(written) > left:
                written = ""
            left -= len(written)
            parts += [written, text]
        address, hash_sign, fragment = "".join(parts).partition("#")
        names = set(self.parameters)
        for name, said in added:
            pair = f"{quote(name, safe='')}={quote(said, safe='')}"
            if name in names or len(pair) >= left:
                continue
            names.add(name)
            left -= len(pair) + 1
            separator = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
            address = f"{address}{separator}{pair}"
        return address + hash_sign + fragment


@lru_cache(maxsize=10_000)
def read_address(url: str) -> Address:
    """An address as it is defined. Raises ValueError that says how to write it."""
    # What is no ASCII would not fit into a header.
    plain = quote(url, safe=_ASCII)
    if len(plain) > URL_CHARACTERS:
        raise ValueError(f"must have at most {URL_CHARACTERS} characters, percent-encoded")
    if not _SCHEME.match(url):
        raise ValueError("must begin with https:// or http:// and name its host")
    if _UNSAFE.search(url):
        raise ValueError("must hold no white space and no control characters; write a blank as %20")
    if "\\" in url:
        raise ValueError("must hold no backslash; write %5C")
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("must name no user before its host: leave out what stands up to the @")
    if "{" in authority or "}" in authority:
        raise ValueError("tokens stand behind the host only: in the path, the query and the fragment")
    start = _START.match(url)
    if start is None or len(start[1]) > 253 or int(start[2] or 1) not in range(1, 65_536):
        raise ValueError("must name a host as browsers send it, e.g. offer.example; xn--… for other letters")
    pieces = _TOKEN.split(plain)
    texts, tokens = pieces[::2], pieces[1::2]
    if any("{" in text or "}" in text for text in texts):
        raise ValueError("braces stand around tokens only; write others as %7B and %7D")
    if not all(token in TOKENS or data_name(token) for token in tokens):
        raise ValueError(f"has a token that nobody knows; known are {_KNOWN}")
    query = url.partition("#")[0].partition("?")[2]
    names = frozenset(unquote_plus(pair.partition("=")[0]) for pair in query.split("&"))
    return Address(start[1].lower(), tuple(texts), tuple(tokens), names)


def data_name(token: str) -> str | None:
    """The parameter that a token `data-NAME` stands for; None for another token."""
    found = _DATA.fullmatch(token)
    return found[1] if found else None


def is_among(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is one of those listed, or lies below one."""
    return any(host == listed or host.endswith(f".{listed}") for listed in hosts)
