"""Links and forms that leave a page, and clicks that are events."""

import hashlib
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page
from website import TAG, Website, wait_until

Shop = Callable[..., Website]
LANDER = '<script defer src="/t/shop.js" data-kind="lander"></script>'
IDS = {"sessionId", "sessionHash", "visitHash", "vid", "hit"}


def arrived(site: Website, host: str, path: str = "/") -> dict[str, str]:
    """The query with which the browser came to a host, once it did."""
    request = wait_until(
        lambda: next(
            (each for each in site.requests if each.host == host and urlsplit(each.path).path == path), None
        )
    )
    return {name: value for name, (value, *_) in parse_qs(urlsplit(request.path).query).items()}


def follow(site: Website, tab: Page, page: str, address: str, link: str = "", how: str = "click") -> None:
    """Open a page that has one link, and follow it."""
    site.put("offer.test/", "")
    site.put("partner.offer.test/", "")
    site.put("sister.test/", TAG)
    where = site.address(address) if "://" not in address else address
    tab.goto(site.put("shop.test/", f'{page}<a id="go" href="{where}" {link}>go</a>'))
    wait_until(site.views)
    # The hashes are made beside the page view.
    tab.wait_for_timeout(50)
    getattr(tab.locator("#go"), how)() if how == "click" else tab.locator("#go").press(how)


def test_links_of_landers_hand_the_visit_on(shop: Shop, tab: Page) -> None:
    site = shop()
    site.put("shop.test/start", "")
    follow(site, tab, LANDER, "offer.test/?a=%20b&sessionId=mine#part")
    (view,) = site.views()
    assert arrived(site, "offer.test") == {
        "a": " b",
        "sessionId": "mine",
        "sessionHash": hashlib.sha256(view["sid"].encode()).hexdigest(),
        "visitHash": hashlib.sha256(view["hit"].encode()).hexdigest(),
        "vid": view["vid"],
        "hit": view["hit"],
    }
    # What was there keeps its spelling.
    assert tab.url.startswith(site.address("offer.test/?a=%20b&sessionId=mine&"))
    assert tab.url.endswith("#part")


@pytest.mark.parametrize(
    ("config", "page", "address", "link", "expected"),
    [
        ({}, TAG, "offer.test/", "", set()),
        ({}, LANDER, "offer.test/", "", IDS),
        ({}, LANDER, "offer.test/", "data-fh-plain", set()),
        ({"landers": {"home": "/"}}, TAG, "offer.test/", "", IDS),
        (
            {"landers": {"home": "/other/"}},
            TAG.replace("defer", "defer data-page=home"),
            "offer.test/",
            "",
            IDS,
        ),
        ({"landers": {"home": "/"}}, TAG.replace("defer", "defer data-kind=offer"), "offer.test/", "", set()),
        ({"link_domains": ["offer.test"]}, TAG, "partner.offer.test/", "", IDS),
        ({"link_domains": ["partner.offer.test"]}, TAG, "offer.test/", "", set()),
        ({"link_domains": ["fer.test"]}, TAG, "offer.test/", "", set()),
        ({"link_domains": "all"}, TAG, "offer.test/", "", IDS),
        ({"link_domains": []}, LANDER, "offer.test/", "", set()),
        ({"cross_domains": ["sister.test"]}, TAG, "sister.test/", "", {"_fh"}),
        ({"cross_domains": ["sister.test"]}, LANDER, "sister.test/", "", IDS | {"_fh"}),
        ({}, TAG, "shop.test/c/shop/go", "", {"vid", "hit", "sid"}),
        ({"link_domains": "all"}, LANDER, "shop.test/next", "", set()),
    ],
)
def test_whose_links(
    shop: Shop, tab: Page, config: dict[str, object], page: str, address: str, link: str, expected: set[str]
) -> None:
    site = shop(**config)
    host, _, path = address.partition("/")
    follow(site, tab, page, address, link)
    assert arrived(site, host, f"/{path}").keys() == expected


@pytest.mark.parametrize("how", ["Enter", "middle", "new tab"])
def test_ways_to_follow_a_link(shop: Shop, tab: Page, how: str) -> None:
    site = shop()
    page = LANDER
    if how == "Enter":
        follow(site, tab, page, "offer.test/", how="Enter")
    else:
        follow(site, tab, page, "offer.test/", how="Shift")
        tab.locator("#go").click(**({"button": "middle"} if how == "middle" else {"modifiers": ["Control"]}))  # type: ignore[arg-type]
    assert arrived(site, "offer.test").keys() == IDS


def test_a_link_is_itself_again_after_the_click(shop: Shop, tab: Page) -> None:
    site = shop()
    follow(site, tab, LANDER, "offer.test/", 'target="_blank" onauxclick="" onclick="event.preventDefault()"')
    assert "vid=" in (tab.get_attribute("#go", "href") or "")
    wait_until(
        lambda: (tab.wait_for_timeout(50), tab.get_attribute("#go", "href"))[1] == site.address("offer.test/")
    )


@pytest.mark.parametrize("address", ["mailto:a@b.test", "tel:1", "javascript:void 0", "blob:x", "//"])
def test_other_schemes_stay(shop: Shop, tab: Page, address: str) -> None:
    site = shop(link_domains="all", outbound=True)
    tab.goto(
        site.put(
            "shop.test/", LANDER + f'<a id="go" onclick="event.preventDefault()" href="{address}">go</a>'
        )
    )
    wait_until(site.views)
    tab.click("#go")
    assert tab.get_attribute("#go", "href") == address
    assert tab.evaluate("address => flux.decorate(address)", address) == address
    assert len(site.events()) == 1


def test_click_ids_of_the_session_go_along(shop: Shop, tab: Page) -> None:
    site = shop(link_domains=["offer.test"])
    tab.goto(site.put("shop.test/ad", TAG) + "?gclid=G%2F1&ttclid=T&utm_source=x")
    wait_until(site.views)
    site.requests.clear()
    follow(site, tab, TAG, "offer.test/")
    sent = arrived(site, "offer.test")
    assert sent.keys() == IDS | {"gclid"}
    assert sent["gclid"] == "G/1"


def test_decorate_is_what_a_click_does(shop: Shop, tab: Page) -> None:
    site = shop(link_domains=["offer.test"])
    tab.goto(site.put("shop.test/", TAG))
    (view,) = wait_until(site.views)
    tab.wait_for_timeout(50)
    decorated = tab.evaluate("flux.decorate('https://offer.test/x?a=1#b')")
    assert decorated.startswith("https://offer.test/x?a=1&sessionId=" + view["sid"])
    assert decorated.endswith("#b")
    assert tab.evaluate("flux.decorate('/next?x')") == "/next?x"
    assert tab.evaluate("flux.decorate('https://[')") == "https://["
    assert tab.evaluate("flux.decorate(flux.decorate('https://offer.test/'))").count("vid=") == 1


def test_the_visitor_of_a_sister_site(shop: Shop, new_visitor: Callable[..., BrowserContext]) -> None:
    site = shop(cross_domains=["sister.test", "shop.test"])
    tab = new_visitor().new_page()
    follow(site, tab, TAG, "sister.test/?a=1#part")
    here, there = wait_until(lambda: len(site.views()) == 2 and site.views())
    assert (there["vid"], there["sid"]) == (here["vid"], here["sid"])
    assert there["url"] == site.address("sister.test/?a=1")
    assert tab.evaluate("location.href") == site.address("sister.test/?a=1#part")


def test_who_is_known_at_a_sister_site_stays_who_he_is(
    shop: Shop, new_visitor: Callable[..., BrowserContext]
) -> None:
    site = shop(cross_domains=["sister.test"])
    context = new_visitor()
    context.add_cookies([{"name": "fh_vid", "value": "known", "url": site.address("sister.test/")}])
    follow(site, context.new_page(), TAG, "sister.test/")
    here, there = wait_until(lambda: len(site.views()) == 2 and site.views())
    assert there["vid"] == "known" != here["vid"]
    assert there["url"] == site.address("sister.test/")


@pytest.mark.parametrize(
    ("query", "is_adopted", "left"),
    [
        ("?_fh=V-1.S_1.{now}", True, ""),
        ("?_fh=V-1.S_1.{now}&a=1", True, "?a=1"),
        ("?a=1&_fh=V-1.S_1.{now}#b", True, "?a=1#b"),
        ("?a=1&_fh=V-1.S_1.{now}&b=2", True, "?a=1&b=2"),
        ("?_fh=V-1.S_1.{old}", False, ""),
        ("?_fh=V-1", False, "?_fh=V-1"),
        ("?_fh=%3Cb%3E.S.{now}", False, "?_fh=%3Cb%3E.S.{now}"),
    ],
)
def test_ids_in_an_address_age(shop: Shop, tab: Page, query: str, is_adopted: bool, left: str) -> None:
    site = shop()
    now = tab.evaluate("[Date.now().toString(36), (Date.now() - 130000).toString(36)]")
    query, left = (text.format(now=now[0], old=now[1]) for text in (query, left))
    tab.goto(site.put("shop.test/", TAG) + query)
    (view,) = wait_until(site.views)
    assert ((view["vid"], view["sid"]) == ("V-1", "S_1")) is is_adopted
    assert tab.evaluate("location.href") == site.address("shop.test/") + left


def test_clicks_on_links_to_other_hosts(shop: Shop, tab: Page) -> None:
    site = shop(outbound=True)
    follow(site, tab, TAG, "offer.test/")
    wait_until(lambda: len(site.events()) == 2)
    click = site.events()[1]
    assert (click["api"], click["type"], click["name"]) == ("oa", "event", "link_click")
    assert click["props"] == {"href": site.address("offer.test/")}
    assert click["hit"] == site.views()[0]["hit"]


def test_an_element_that_is_an_event(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(
        site.put(
            "shop.test/", TAG + '<button data-fh-event="sign up"><b id="go">go</b></button><i id="not">-</i>'
        )
    )
    wait_until(site.views)
    tab.click("#not")
    tab.click("#go")
    tab.click("#go")
    events = wait_until(lambda: len(site.events()) == 3 and site.events()[1:])
    assert [(event["api"], event["type"], event["name"]) for event in events] == [
        ("oa", "event", "sign up")
    ] * 2


@pytest.mark.parametrize("method", ["get", "post"])
def test_forms_are_filled(shop: Shop, tab: Page, method: str) -> None:
    site = shop()
    fields = '<input name="a" value="1"><button id="go">go</button>'
    form = f'<form data-fh-fill method="{method}" action="/done">{fields}</form>'
    tab.goto(site.put("shop.test/", TAG + form))
    (view,) = wait_until(site.views)
    tab.click("#go")
    done = wait_until(lambda: [each for each in site.requests if each.path.startswith("/done")])[0]
    sent = parse_qs(urlsplit(done.path).query if method == "get" else done.body.decode())
    assert sent == {"a": ["1"], "vid": [view["vid"]], "hit": [view["hit"]], "sessionId": [view["sid"]]}
