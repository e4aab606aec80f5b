"""Which addresses may be told anything: https, at few ports, on the public internet.

`judge_url` is asked when a destination is defined and before each request. It sees what an address says of
itself. What a name stands for is judged when it is dialled, by `is_public`: name servers change answers.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from urllib.parse import quote

URL_CHARACTERS = 2048
"""Of an address as it is defined, percent-encoded."""


class Allowing(Protocol):
    """The settings that decide: ports that any receiver may have, and receivers of the operator's own."""

    @property
    def forward_ports(self) -> Collection[int]:
        """Ports of https."""

    @property
    def forward_allow(self) -> Collection[str]:
        """`host:port`, in lower case, of receivers that may be inside and may speak http."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address leads: its host as it is dialled (an IPv6 address without brackets) and its port."""

    scheme: str
    host: str
    port: int
    literal: IPv4Address | IPv6Address | None
    is_allowed: bool
    """The operator lists it: whatever its name stands for may be dialled."""

    @property
    def written(self) -> str:
        """Host and port, as an address has them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


# Unused, private, shared, documentation, benchmarks, relays, multicast and all above.
_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
_OPEN_6 = IPv6Network("2000::/3")
# Of those: protocol assignments (Teredo among them), two for documentation, 6to4.
_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# An IPv4 address in IPv6's clothes, and how a network without IPv4 reaches one: the last 32 bits are dialled.
_CARRIERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
)
UNSAFE = re.compile(
    r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff]"
)
"""Characters that no address holds: control characters, white space, what nobody sees, lone surrogates."""

_ASCII = "".join(map(chr, range(0x80)))
# A host whose last label is a number is an IPv4 address to whoever dials it, in one of many spellings.
_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z")
_INSIDE = frozenset(
    {"corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "onion", "private"}
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet.

    Python's `is_global` says so of relays, multicast and addresses that carry a private one: it has to agree,
    but the lists above decide. Of IPv6 addresses that carry an IPv4 one the two kinds that reach it today are
    looked into; all others are closed, whatever is in them.
    """
    if isinstance(address, IPv6Address):
        if any(address in carrier for carrier in _CARRIERS):
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        is_open = address in _OPEN_6 and not any(address in closed for closed in _CLOSED_6)
        return is_open and address.is_global
    return address.is_global and not any(address in closed for closed in _CLOSED_4)


def judge_url(url: str, settings: Allowing, *, allow_http: bool = False) -> Place:
    """Where a defined address leads, also one that is a template: tokens stand behind its host and port only.

    Asks no name server. With `allow_http` http is good too, at port 80 besides. Raises ValueError that says
    how to write it, without what stands behind the host: there may be secrets.
    """
    place = judged(url, settings, allow_http=allow_http)
    if len(in_ascii(url)) > URL_CHARACTERS:
        raise ValueError(f"must have at most {URL_CHARACTERS} characters, percent-encoded")
    return place


def judged(url: str, settings: Allowing, *, allow_http: bool = False) -> Place:
    """As `judge_url`, of an address of any length: one whose tokens were filled in."""
    if UNSAFE.search(url):
        raise ValueError("must hold no white space and no control characters; write a blank as %20")
    if "\\" in url:
        raise ValueError("must hold no backslash; write %5C")
    if "#" in url:
        raise ValueError("must hold no #: what stands behind it is never sent; write %23")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("https", "http"):
        raise ValueError("must begin with https:// and name its host")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("must name no user before its host: leave out what stands up to the @")
    if "{" in authority or "}" in authority:
        raise ValueError("tokens stand behind the host only: in the path and the query")
    named = _AUTHORITY.fullmatch(authority)
    if named is None or len(named["host"]) > 253:
        raise ValueError("must name a host, e.g. offers.example; xn--… for letters other than a to z")
    host = named["host"].lower().strip("[]")
    port = int(named["port"] or (443 if scheme == "https" else 80))
    literal = _literal(host)
    place = Place(scheme, str(literal or host), port, literal, is_allowed=False)
    if is_listed(place.host, port, settings):
        return Place(scheme, place.host, port, literal, is_allowed=True)
    if scheme == "http" and not allow_http:
        raise ValueError("must begin with https://")
    ports = {*settings.forward_ports, *((80,) if scheme == "http" else ())}
    if port not in ports:
        ports_written = ", ".join(map(str, sorted(ports)))
        raise ValueError(f"must have one of the ports {ports_written}; the operator decides which")
    _judge_host(place)
    return place


def in_ascii(url: str) -> str:
    """An address as it is sent: what is no ASCII is percent-encoded."""
    return quote(url, safe=_ASCII)


def is_listed(host: str, port: int, settings: Allowing) -> bool:
    """Whether the operator allows a receiver; `host` is written as in `Place`."""
    for receiver in settings.forward_allow:
        listed, _, its_port = receiver.rpartition(":")
        listed = listed.strip("[]")
        with suppress(ValueError):  # What is neither an address nor a name can't be written in a URL.
            if its_port == str(port) and str(_literal(listed) or listed) == host:
                return True
    return False


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a host is. Raises ValueError for one that is written in another way than usual."""
    if ":" not in host and not _NUMERIC.match(host.rpartition(".")[2]):
        return None
    try:
        return ip_address(host)
    except ValueError:
        raise ValueError(
            "must write an IP address as four decimal numbers, or as IPv6 in square brackets"
        ) from None


def _judge_host(place: Place) -> None:
    """Raises ValueError for a host that leads inside by what it is called."""
    if place.literal is not None:
        if not is_public(place.literal):
            raise ValueError("leads inside: its IP address is none of the public internet")
        return
    if (
        "." not in place.host
        or place.host.rpartition(".")[2] in _INSIDE
        or f".{place.host}".endswith(".home.arpa")
    ):
        raise ValueError("leads inside: it must be a host's full name on the public internet")
