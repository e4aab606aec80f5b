"""Which addresses may be told anything: what is public, and what leads inside however it is spelt."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from receivers import allowing

from forwarding.addresses import URL_CHARACTERS, is_public, judge_url, judged

SHOWN = yaml.safe_load(Path(__file__).with_name("addresses.yaml").read_text())


@dataclass
class Operator:
    """What the operator allows."""

    forward_ports: tuple[int, ...] = (443, 8443)
    forward_allow: tuple[str, ...] = ()


@pytest.mark.parametrize("address", SHOWN["inside"].split())
def test_what_leads_inside_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ValueError, match="leads inside"):
        judge_url(f"https://{host}/hook", Operator())


@pytest.mark.parametrize("address", SHOWN["outside"].split())
def test_what_is_beside_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert judge_url(f"https://{host}/hook", Operator()).literal == ip_address(address)


@pytest.mark.parametrize("host", [*SHOWN["hosts"], f"{'a' * 64}.example", f"{'a.' * 130}example"])
def test_no_spelling_of_a_host_leads_inside(host: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|leads|tokens) ") as refused:
        judge_url(f"https://{host}/hook?password=hunter2", Operator())
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/hook",
        "//a.example/",
        "https:a.example",
        "https:/a.example",
        "https:///a.example",
        "http://a.example/",
        "HTTP://a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "javascript://a.example/",
        "{scheme}://a.example/",
        "ht{a}ps://a.example/",
        " https://a.example/",
        "https://a.example/\r\nX: y",
        "https://a.example/\0",
        "https://a.example/#{tx}",
        "https://a.example/a b",
        "https://a.example\\b",
        f"https://a.example/{'a' * URL_CHARACTERS}",
        f"https://a.example/{'ü' * (URL_CHARACTERS // 5)}",
    ],
)
def test_other_addresses_are_refused_too(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|leads|tokens) "):
        judge_url(url, Operator())


def test_addresses_of_the_internet_are_taken() -> None:
    place = judge_url("HTTPS://Hooks.Example:8443/{tx}?a={payout}&b=%20ü@:", Operator())
    assert (place.scheme, place.host, place.port, place.is_allowed) == ("https", "hooks.example", 8443, False)
    assert judge_url("https://xn--bcher-kva.example?x", Operator()).written == "xn--bcher-kva.example:443"
    assert judge_url("http://a.example/", Operator(), allow_http=True).port == 80
    assert judge_url("http://a.example:8443/", Operator(), allow_http=True).port == 8443
    assert judge_url("https://a.example:444/", Operator(forward_ports=(444,))).port == 444
    assert judged(f"https://a.example/{'a' * URL_CHARACTERS}", Operator()).host == "a.example"


@pytest.mark.parametrize(
    "url", ["http://a.example:81/", "http://127.0.0.1/", "http://localhost/", "https://a.example:80/"]
)
def test_http_opens_nothing_but_http(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|leads) "):
        judge_url(url, Operator(), allow_http=True)


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/hook"),
        ("127.0.0.1:9000", "https://127.0.0.1:9000/hook"),
        ("localhost:9000", "http://LocalHost:9000/hook"),
        ("receiver.internal:443", "https://receiver.internal/hook"),
        ("receiver:80", "http://receiver/hook"),
        ("[::1]:9000", "http://[::1]:9000/hook"),
        ("[0:0:0:0:0:0:0:1]:9000", "http://[::0:1]:9000/hook"),
        ("[::ffff:127.0.0.1]:9000", "http://[::ffff:7f00:1]:9000/hook"),
    ],
)
def test_the_operator_allows_receivers_inside(listed: str, url: str) -> None:
    assert judge_url(url, allowing("a.example:1", listed)).is_allowed


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9001/"),
        ("127.0.0.1:9000", "http://localhost:9000/"),
        ("127.0.0.1:9000", "http://2130706433:9000/"),
        ("127.0.0.1:9000", "http://u@127.0.0.1:9000/"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000@a.example/"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000.a.example/"),
        ("127.1:80", "http://127.0.0.1/"),
        ("127.1:80", "http://127.1/"),
        ("*:9000", "http://127.0.0.1:9000/"),
    ],
)
def test_what_the_operator_allows_is_exactly_that(listed: str, url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|leads) "):
        judge_url(url, allowing(listed))
