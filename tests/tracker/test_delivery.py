"""What becomes of events when ingest cannot be reached, refuses, or the page goes away at once."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from forks import Fork
from playwright.sync_api import BrowserContext, Page
from servers import SERVE_INGEST, Server
from website import NO_LIMITS, TAG, Answer, Request, Website, wait_until

Shop = Callable[..., Website]
Behind = Callable[[Request], Answer | None]
CORS = {"Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "Retry-After"}


def failing(site: Website, answer: Answer | None) -> Behind:
    """From now on no batch gets through; returns what answered before."""
    before = site.behind
    assert before is not None
    site.behind = lambda request: answer if request.method == "POST" else before(request)
    return before


def ids(events: list[dict[str, Any]], name: str) -> list[Any]:
    return sorted(event[name] for event in events)


@pytest.mark.parametrize("answer", [None, (503, CORS, b""), (429, CORS, b""), (408, CORS, b"")])
def test_a_later_page_tells_what_an_earlier_one_could_not(
    shop: Shop, tab: Page, answer: Answer | None
) -> None:
    site = shop()
    address = site.put("shop.test/", TAG)
    before = failing(site, answer)
    tab.goto(address)
    wait_until(site.views)
    tab.evaluate("oa('event', 'x')")
    tab.goto(site.put("shop.test/next", TAG))
    wait_until(lambda: len(site.events()) == 3)
    assert site.landed() == []
    site.behind = before
    tab.goto(address)
    rows = wait_until(lambda: len(found := {row["event_id"] for row in site.landed()}) == 4 and found)
    assert rows == {each["id"] for each in site.events()}
    assert [each["url"] for each in site.events() if each["type"] == "event"] == [address]


@pytest.mark.parametrize(("status", "is_repeated"), [(400, False), (404, False), (413, False), (500, True)])
def test_what_is_refused_for_good_is_not_repeated(
    shop: Shop, tab: Page, status: int, is_repeated: bool
) -> None:
    site = shop()
    failing(site, (status, CORS, b""))
    address = site.put("shop.test/", TAG)
    tab.goto(address)
    wait_until(site.views)
    tab.wait_for_timeout(100)
    tab.goto(address)
    wait_until(lambda: len(site.views()) == 2)
    first = site.views()[0]["id"]
    later = [event["id"] for batch in site.reports() for event in batch["events"]][1:]
    assert (first in later) is is_repeated


def test_a_page_repeats_by_itself(shop: Shop, tab: Page) -> None:
    site = shop()
    before = failing(site, (503, CORS, b""))
    tab.add_init_script("Math.random = () => 0")
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    site.behind = before
    (row,) = wait_until(site.landed)
    assert row["event_id"] == site.views()[0]["id"]
    assert row["occurred_us"] == site.views()[0]["t"] * 1000
    assert row["sent_us"] > row["occurred_us"] + 900_000


def test_the_server_says_when(shop: Shop, tab: Page) -> None:
    site = shop()
    failing(site, (503, {**CORS, "Retry-After": "60"}, b""))
    tab.add_init_script("Math.random = () => 0")
    # The page must have been told, not only have asked.
    with tab.expect_event("requestfinished", lambda request: request.method == "POST"):
        tab.goto(site.put("shop.test/", TAG))
    tab.wait_for_timeout(200)
    tab.evaluate("oa('event', 'x'); dispatchEvent(new Event('online')); dispatchEvent(new Event('pagehide'))")
    tab.wait_for_timeout(1500)
    assert len(site.reports()) == 1


def test_back_online(shop: Shop, tab: Page) -> None:
    site = shop()
    before = failing(site, None)
    tab.add_init_script("Math.random = () => 0.99")
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.wait_for_timeout(200)
    site.behind = before
    tab.evaluate("dispatchEvent(new Event('online'))")
    wait_until(site.landed, 1.2)


def test_a_tab_that_writes_at_the_same_moment_undoes_nothing(shop: Shop, tab: Page) -> None:
    """It read the queue before our event, and writes it after: browsers have no lock for what tabs share."""
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    view = wait_until(site.landed)[0]["event_id"]
    wait_until(lambda: tab.evaluate("localStorage.fh_q").endswith("~[0]"))
    tab.evaluate("oa('event', 'x'); localStorage.fh_q = Date.now() + '~[0]'")
    wait_until(lambda: len(site.landed()) == 2)
    tab.evaluate("oa('event', 'y')")
    wait_until(lambda: len(site.landed()) == 3)
    sent = [event["id"] for batch in site.reports() for event in batch["events"]]
    assert sent[0] == view and len(sent) == 3, "what was answered is sent no more"


@pytest.mark.long
def test_who_opted_out_in_another_tab_sends_nothing(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.landed)
    other = tab.context.new_page()
    other.goto(site.address("shop.test/"))
    wait_until(lambda: len(site.landed()) == 2)
    before = failing(site, (503, CORS, b""))
    tab.evaluate("Math.random = () => 0; oa('event', 'x')")
    wait_until(lambda: len(site.events()) == 3)
    other.evaluate("oa('optOut')")
    site.behind = before
    tab.wait_for_timeout(3_000)
    assert len(site.landed()) == 2
    tab.evaluate("oa('optOut', false); oa('event', 'y')")
    wait_until(lambda: len(site.landed()) == 3)
    assert [event["name"] for event in site.events() if event["type"] == "event"] == ["x", "y"]
    assert not [row for row in site.landed() if row["event_id"] == site.events()[2]["id"]]


def test_the_queue_is_bounded_and_says_what_it_lost(shop: Shop, tab: Page) -> None:
    site = shop()
    before = failing(site, None)
    address = site.put("shop.test/", TAG)
    tab.goto(address)
    wait_until(site.views)
    tab.evaluate("for (let n = 0; n < 70; n++) oa('event', 'n', {n})")
    kept = tab.evaluate("JSON.parse(localStorage.fh_q.replace(/^\\d+~/, ''))")
    assert kept[0] == 21 and len(kept) == 51
    tab.evaluate("for (let n = 0; n < 10; n++) oa('event', 'large', {text: 'x'.repeat(15000)})")
    assert tab.evaluate("localStorage.fh_q.length") <= 65_536 + 20
    site.requests.clear()
    site.behind = before
    tab.goto(address)
    # A batch of the page before may still arrive, made when nothing was lost yet.
    lost = wait_until(lambda: next((each["lost"] for each in site.reports() if "lost" in each), None))
    made = 1 + 70 + 10 + 1
    wait_until(lambda: lost + len({row["event_id"] for row in site.landed()}) == made)
    tab.evaluate("oa('event', 'x')")
    wait_until(lambda: len({row["event_id"] for row in site.landed()}) == made - lost + 1)
    assert "lost" not in site.reports()[-1]


def test_batches_fit_into_what_browsers_send_while_a_page_goes(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.evaluate("for (let n = 0; n < 49; n++) oa('event', 'n', {text: '\\u00e4'.repeat(900)})")
    wait_until(lambda: len(site.events()) == 50)
    sizes = [len(request.body) for request in site.posted("/t/shop")]
    assert max(sizes) <= 48_000
    wait_until(lambda: len({row["event_id"] for row in site.landed()}) == 50)


@pytest.mark.parametrize("way", ["navigates", "is closed", "navigates at once", "is closed at once"])
def test_what_happens_last_arrives(shop: Shop, new_visitor: Callable[..., BrowserContext], way: str) -> None:
    site = shop()
    site.put("shop.test/next", "")
    context = new_visitor()
    at_once = way.endswith("at once")
    click = "<script>go.click()</script>" if at_once else ""
    link = '<a id="go" href="/next" data-fh-event="last">go</a>'
    if way.startswith("is closed"):
        link = link.replace("<a ", '<a onclick="return false" ')
    site.put("shop.test/", f'<script src="/t/shop.js"></script>{link}{click}')
    for number in range(5):
        tab = context.new_page()
        tab.goto(site.address("shop.test/"), wait_until="commit" if at_once else "load")
        if way.startswith("navigates"):
            if not at_once:
                tab.click("#go")
            tab.wait_for_url("**/next")
        elif not at_once:
            wait_until(lambda: len(site.views()) == number + 1)  # noqa: B023
            tab.click("#go")
        else:
            tab.wait_for_selector("#go", state="attached")
        tab.close()
    rows = wait_until(lambda: len(found := {r["event_id"]: r for r in site.landed()}) == 10 and found)
    assert ids(list(rows.values()), "kind") == ["event"] * 5 + ["visit"] * 5


def test_characters_that_no_text_may_hold(shop: Shop, tab: Page) -> None:
    """One bad character would cost the whole batch."""
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.evaluate(
        r"oa('event', 'a\ud800b', {'\u0000': '\udfff', back: '\\ud800 \\u0000', good: '\ud83d\ude00'})"
    )
    row = wait_until(lambda: site.landed()[1:])[0]
    assert row["name"] == "a?b"
    assert row["properties"] == '{"?":"?","back":"\\\\ud800 \\\\u0000","good":"😀"}'


def test_what_others_left_in_our_place(shop: Shop, tab: Page) -> None:
    site = shop()
    address = site.put("shop.test/", TAG)
    tab.goto(site.put("shop.test/plain", ""))
    for text in ("null", "[", "[1,null]", '[0,{"id":1}]', "{}", "1~[0,5]", '9999999999999~[0,{"id":"x"}]'):
        tab.goto(site.address("shop.test/plain"))
        tab.evaluate(
            "text => { localStorage.fh_q = localStorage.fh_first = localStorage.fh_vid = text }", text
        )
        count = len(site.views())
        tab.goto(address)
        wait_until(lambda: len(site.views()) == count + 1)  # noqa: B023
    wait_until(lambda: len({row["event_id"] for row in site.landed()}) == 7)


VISITORS = 10
STATES = ("working", "dropped", "refusing", "landing untold", "stopped", "killed")


@pytest.mark.slow
def test_a_thousand_visits_while_ingest_fails(
    shop: Shop, ingest: Server, new_visitor: Callable[..., BrowserContext]
) -> None:
    """Of pages that are opened again nothing is lost, and nothing doubled, whatever ingest does meanwhile."""
    site = shop()
    working = site.behind
    assert working is not None
    address = site.put("shop.test/", TAG + '<b id="go" data-fh-event="click">go</b>')

    def behave(state: str) -> None:
        def answer(request: Request) -> Answer | None:
            if request.method != "POST" or state == "working":
                return working(request)
            if state == "refusing":
                return 503, CORS, b""
            if state == "landing untold":
                working(request)
            return None

        # A server that stands still answers later; one that was killed is started again.
        site.behind = working if state in ("stopped", "killed") else answer

    script = site.behind(Request("GET", "shop.test", "/t/shop.js", {}, b"")) if site.behind else None
    assert script is not None
    # The script itself comes from a cache, as it does in life.
    site.pages["shop.test/t/shop.js"] = script
    for visitor in range(VISITORS):
        tab = new_visitor().new_page()
        tab.set_default_timeout(30_000)
        for visit in range(100):
            state = STATES[visit // 5 % len(STATES)]
            if visit % 5 == 0:
                behave(state)
                if state == "stopped":
                    os.killpg(ingest.process.pid, signal.SIGSTOP)
                elif state == "killed":
                    os.killpg(ingest.process.pid, signal.SIGCONT)
                    ingest.stop(signal.SIGKILL)
                elif ingest.process.poll() is not None:
                    started_again(ingest)
            tab.goto(f"{address}?{visitor}-{visit}", wait_until="load" if visit % 2 else "domcontentloaded")
            tab.locator("#go").dispatch_event("click")
        if ingest.process.poll() is not None:
            started_again(ingest)
        behave("working")
        tab.goto(f"{address}?{visitor}-last")
        wait_until(lambda: tab.evaluate("localStorage.fh_q").endswith("~[0]"), 30)  # noqa: B023
        tab.context.close()
    rows = {row["event_id"]: row for row in site.landed()}
    told = Counter((row["url"].partition("?")[2], row["kind"]) for row in rows.values())
    assert set(told.values()) == {1}, "doubled"
    missing = {
        (f"{visitor}-{visit}", kind)
        for visitor in range(VISITORS)
        for visit in range(100)
        for kind in ("visit", "event")
    } - told.keys()
    assert not missing


def started_again(ingest: Server) -> None:
    """The same server, at the same address."""
    told = {
        "FUNNELHOUSE_HOME": str(ingest.settings.home),
        "FUNNELHOUSE_LANDING": "",
        "FUNNELHOUSE_INGEST_PORT": str(ingest.settings.ingest_port),
    }
    ingest.process = Fork(SERVE_INGEST, {**os.environ, **NO_LIMITS, **told})
    wait_until(lambda: is_ready(ingest), 30)


def is_ready(ingest: Server) -> bool:
    try:
        return httpx.get(f"{ingest.url}/ingest/ready", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
