"""What proxies in front say about the client: its address, to count by, and its country. Neither is logged.

Only the word of proxies that a setting names is believed; anybody can send these headers.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

MAX_HOPS = 50
"""Of a request that names more, none is believed: reading thousands takes time."""

_CLIENT = "funnelhouse.client"
"""Key of the scope: what `client` found, which is asked for more than once."""

_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for=("[^"]*"|[^;]*)', re.IGNORECASE)
_FORWARDED_PROTO = re.compile(r'(?:^|[;,])\s*proto="?([a-z]+)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


class TrustedProxies:
    """The running app's, in `app.state.proxies`."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network], country_header: str = "") -> None:
        self._networks = networks
        self._country_header = country_header

    def client(self, request: Request) -> str:
        """Whom to count a request for: the client's address, its network of 64 bits for IPv6.

        Of the addresses that a request came through, it is the last that is no trusted proxy. What can't be
        read, and headers that contradict each other, are not believed: the last known address is counted.
        """
        known: str | None = request.scope.get(_CLIENT)
        if known is None:
            known = request.scope[_CLIENT] = self._client(request)
        return known

    def _client(self, request: Request) -> str:
        address = _peer(request)
        if self._trusts(address):
            for hop in reversed(_hops(request)):
                found = _address(hop)
                if found is None:
                    break
                address = found
                if not self._trusts(address):
                    break
        return _counted(address)

    def counted(self, peer: str) -> str | None:
        """What to count a connection's own address as, like `client`; None for a trusted proxy's."""
        address = _address(peer)
        return None if self._trusts(address) else _counted(address)

    def country(self, request: Request) -> str | None:
        """The visitor's country by a trusted proxy's word, ISO 3166-1 alpha-2; None for what is no code.

        `XX`, `T1` and Kosovo's `XK` are none: the codes are those that come with the time zones.
        """
        if not self._country_header or not self._trusts(_peer(request)):
            return None
        code = request.headers.get(self._country_header, "").strip().upper()
        return code if code in _country_codes() else None

    def is_https(self, request: Request) -> bool:
        """Whether the client's own connection is encrypted, by a trusted proxy's word or by ours."""
        if not self._trusts(_peer(request)):
            return request.url.scheme == "https"
        schemes = [*request.headers.getlist("x-forwarded-proto"), *_forwarded_protos(request)]
        return "https" in (scheme.strip().lower() for scheme in schemes)

    def _trusts(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _counted(address: IPv4Address | IPv6Address | None) -> str:
    if isinstance(address, IPv6Address):
        # One customer has a whole network of them.
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _forwarded_protos(request: Request) -> list[str]:
    return _FORWARDED_PROTO.findall(",".join(request.headers.getlist("forwarded")))


def _peer(request: Request) -> IPv4Address | IPv6Address | None:
    return _address(request.client.host) if request.client else None


def _hops(request: Request) -> list[str]:
    """Addresses as proxies wrote them, the nearest last."""
    forwarded_for = [hop.strip() for hop in ",".join(request.headers.getlist("x-forwarded-for")).split(",")]
    elements = ",".join(request.headers.getlist("forwarded")).split(",")
    if len(forwarded_for) > MAX_HOPS or len(elements) > MAX_HOPS:
        return []
    forwarded = [match[1].strip(' "') if (match := _FORWARDED_FOR.search(e)) else "" for e in elements]
    # A proxy sets one of the two and may pass the client's own other one on.
    given = [hops for hops in (forwarded_for, forwarded) if any(hops)]
    if len(given) == 2 and list(map(_address, forwarded_for)) != list(map(_address, forwarded)):
        return []
    return given[0] if given else []


@lru_cache(maxsize=4096)
def _address(written: str) -> IPv4Address | IPv6Address | None:
    """An address, written with or without port; None for what is none."""
    match = _WITH_PORT.fullmatch(written)
    try:
        address = ip_address((match[1] or match[2] or "") if match else written)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@cache
def _country_codes() -> frozenset[str]:
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text()
    return frozenset(line[:2] for line in table.splitlines() if not line.startswith("#"))
