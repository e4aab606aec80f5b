"""The list of networks: each says where its macros are from, and they stand in an address as they are."""

import re
from urllib.parse import urlsplit

import pytest

from funnelhouse.access import ProjectAccess
from read_api.dashboard.addresses import Addresses
from read_api.dashboard.networks import ANY, Network, networks

MACRO = re.compile(r"\{\w+\}|#\w+#|\[\w+\]|\[\[\[\w+\]\]\]")
"""In braces, in hashes, in brackets or in three."""

PAGE = {"page_id": "offer:1~b", "kind": "offer", "name": "Offer"}

OPEN = Addresses("https://collect.example", "t", "shop", ProjectAccess(postbacks="open"))


def test_there_are_enough_and_each_stands_once() -> None:
    found = list(networks().values())
    assert len(found) >= 8
    assert len({each.name for each in found}) == len(found)
    assert [each.name.lower() for each in found] == sorted(each.name.lower() for each in found)


@pytest.mark.parametrize("network", networks().values(), ids=lambda each: each.network_id)
def test_a_network_names_its_macros_and_where_they_are_from(network: Network) -> None:
    assert re.fullmatch(r"[a-z0-9]+", network.network_id)
    source = urlsplit(network.source)
    assert (source.scheme, bool(source.path.strip("/"))) == ("https", True)
    assert re.fullmatch(r"\w+", network.click_id_param)
    # The macro gives back what the parameter of that name took.
    assert MACRO.fullmatch(network.click_id)
    assert network.click_id.strip("{}[]#").lower() == network.click_id_param.lower()
    for macro in (network.transaction_id, network.payout):
        assert MACRO.fullmatch(macro), macro
    assert network.status == "" or MACRO.fullmatch(network.status)
    macros = [
        each for each in (network.click_id, network.transaction_id, network.payout, network.status) if each
    ]
    assert len(set(macros)) == len(macros)
    # Nothing but the macros differs: they are not escaped, and nothing else needs to be.
    address = OPEN.postback(network)
    status = f"&status={network.status}" if network.status else ""
    assert address == (
        f"https://collect.example/pb/shop/?hit={network.click_id}&tx={network.transaction_id}"
        f"&rev={network.payout}{status}"
    )


def test_without_a_network_the_address_is_the_vendors_own_form() -> None:
    assert OPEN.postback(ANY) == "https://collect.example/pb/shop/?hit=REPLACE&tx=REPLACE&rev=REPLACE"
    assert OPEN.visitor_postback(PAGE).endswith("/pb/shop/?vid=REPLACE&p=offer:1~b&tx=REPLACE&rev=REPLACE")


def test_addresses_are_at_the_projects_own_host() -> None:
    access = ProjectAccess(postbacks="secret", host="pb.shop.example", origins=("https://shop.example",))
    own = Addresses("http://127.0.0.1:8001", "m", "shop", access)
    assert own.link("ad") == "https://pb.shop.example/c/shop/ad"
    assert own.postback(ANY).startswith("https://pb.shop.example/pb/shop/SECRET/?")
    assert 'src="https://pb.shop.example/m/shop.js"' in own.tag
    assert (own.is_tracker_on, own.is_local) == (True, False)


@pytest.mark.parametrize(
    ("base_url", "is_local"),
    [
        ("http://127.0.0.1:8001", True),
        ("http://[::1]:8001", True),
        ("http://localhost:8001", True),
        ("https://collect.example", False),
    ],
)
def test_addresses_of_this_machine_are_told_apart(base_url: str, is_local: bool) -> None:
    unknown = Addresses(base_url, "t", "shop", None)
    assert unknown.is_local is is_local
    assert (unknown.is_tracker_on, unknown.postbacks) == (False, "off")
