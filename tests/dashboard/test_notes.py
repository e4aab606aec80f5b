"""Notes beside charts: written on a day, marked under it, deleted; and definitions that changed the past."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from servers import start_read
from shop_pages import House, Watched, house_of_two_years, sign_in, watched

from read_api.dashboard.pages.notes import change_words

NewContext = Callable[..., BrowserContext]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PATH = "/app/projects/shop"
GOAL = {"name": "Sign-up", "match": {"type": "event_name", "value": "signup"}}


@dataclass
class Shop(House):
    """A shop of two years, whose figures are published and whose definitions are in ingest."""

    def at(self, path: str) -> str:
        """The address of one of its pages."""
        return f"{self.read.url}{PATH}/{path}"

    def put(self, path: str, body: object) -> None:
        """Define something."""
        self.asked("PUT", path, json=body).raise_for_status()

    def asked(self, method: str, path: str, key: str = "", **more: object) -> httpx.Response:
        """What ingest answers to a key, else to the admin's."""
        url = f"{self.ingest.url}/v1/projects/shop/{path}"
        headers = {"x-api-key": key or self.admin_key}
        return httpx.request(method, url, headers=headers, timeout=30, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with house_of_two_years(tmp_path_factory.mktemp("notes")) as (ingest, read):
        yield Shop(ingest, read, ingest.key("shop", name="Ada"), ingest.key("shop", "read", name="Bob"))


@pytest.fixture
def seen(shop: Shop, new_context: NewContext) -> Iterator[Watched]:
    found = watched(new_context(viewport={"width": 1280, "height": 900}), shop)
    sign_in(found.page, shop, shop.admin_key)
    yield found
    assert found.faults == []


def click_on_bin(page: Page, position: int, below: float) -> None:
    """A click on the place of a bin of the chart, so far above the canvas's lower end."""
    chart = page.locator('[data-chart="chart-metric"]')
    chart.scroll_into_view_if_needed()
    x = chart.evaluate(
        "(element, bin) => echarts.getInstanceByDom(element).convertToPixel({ xAxisIndex: 0 }, bin)", position
    )
    box = chart.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x, box["y"] + box["height"] - below)


def days_of(page: Page) -> list[str]:
    days: list[str] = page.locator("#chart-metric").evaluate("script => JSON.parse(script.textContent).days")
    return days


def items(page: Page) -> list[str]:
    return page.locator("#notes .mark-text").all_inner_texts()


def test_a_day_that_is_clicked_gets_a_note_and_a_marker(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(shop.at("overview?metric=conversions"))
    expect(page.locator("#add-note > summary")).to_be_visible()
    before = page.locator(".mark").count()
    click_on_bin(page, 12, 10)
    day = days_of(page)[12]
    expect(page.get_by_label("Day", exact=True)).to_have_value(day)
    expect(page.get_by_label("Note", exact=True)).to_be_focused()
    page.keyboard.type("Sale <b>began</b> 🛒")
    page.get_by_role("button", name="Save note").click()
    page.wait_for_url("**/overview?metric=conversions#notes")
    marker = page.get_by_role("link", name="Sale <b>began</b> 🛒")
    expect(marker).to_be_visible()
    expect(marker).to_be_in_viewport(ratio=1)
    expect(page.locator('[data-chart="chart-metric"]')).to_be_in_viewport(ratio=1)
    assert page.locator(".mark").count() == before + 1
    # It stands under its day, and says what it is when it has the focus, too.
    x = page.locator('[data-chart="chart-metric"]').evaluate(
        "element => echarts.getInstanceByDom(element).convertToPixel({ xAxisIndex: 0 }, 12)"
    )
    assert abs(marker.evaluate("link => link.offsetLeft + link.offsetWidth / 2") - x) <= 1
    marker.focus()
    expect(page.locator(".mark-said")).to_contain_text("Sale <b>began</b> 🛒")
    page.keyboard.press("Escape")
    expect(page.locator(".mark-said")).to_be_empty()
    page.keyboard.press("Enter")
    item = page.locator("#notes li", has_text="began")
    expect(item).to_be_focused()
    expect(item.locator("time")).to_have_attribute("datetime", day)
    expect(item).to_contain_text("Ada")
    # What is above the axis opens its rows, as ever.
    page.get_by_label("Compare", exact=True).select_option("none")
    page.wait_for_url("**compare=none**")
    expect(page.get_by_role("link", name="Sale <b>began</b> 🛒")).to_be_visible()
    click_on_bin(page, 5, 120)
    expect(page.locator("dialog.receipt-panel")).to_be_visible()
    expect(page.locator("#add-note")).not_to_have_attribute("open", "")
    page.keyboard.press("Escape")
    item.get_by_role("button", name=re.compile("^Delete")).click()
    page.wait_for_url("**#notes")
    expect(page.locator("#add-note > summary")).to_be_visible()
    assert "Sale <b>began</b> 🛒" not in items(page)


@pytest.mark.parametrize("path", ["performance?compare=previous&by=campaign", "landing-pages", "revenue"])
def test_pages_without_a_chart_over_time_have_the_list(shop: Shop, seen: Watched, path: str) -> None:
    page = seen.page
    page.goto(shop.at(path))
    page.locator("#add-note > summary").click()
    page.get_by_label("Day", exact=True).fill("2026-12-10")
    page.get_by_label("Note", exact=True).fill(f"as seen on {path}")
    page.get_by_role("button", name="Save note").click()
    page.wait_for_url(f"**/{path}#notes")
    item = page.locator("#notes li", has_text=f"as seen on {path}")
    expect(item).to_be_in_viewport(ratio=1)
    item.get_by_role("button", name=re.compile("^Delete")).click()
    expect(item).to_have_count(0)
    page.wait_for_url(f"**/{path}#notes")


def test_a_goal_that_was_redefined_has_a_marker(shop: Shop, seen: Watched) -> None:
    shop.put("goals/signup", GOAL)
    shop.put("goals/signup", {**GOAL, "minimum_amount": 5})
    page = seen.page
    page.goto(shop.at(f"overview?dates=own&from=2025-01-01&to={date.today() + timedelta(days=1)}"))
    expect(page.get_by_role("link", name="Goal “Sign-up” redefined")).to_be_visible()
    assert "Goal “Sign-up” defined" in items(page)
    change = page.locator("#notes li", has_text="redefined")
    expect(change).to_contain_text("next build")
    expect(change.get_by_role("button")).to_have_count(0)


def test_the_keyboard_is_enough_and_what_is_refused_is_said(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(shop.at("overview?dates=all"))
    summary = page.locator("#add-note > summary")
    summary.focus()
    page.evaluate(
        "scrollBy(0, document.querySelector('#add-note').getBoundingClientRect().bottom - innerHeight)"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_label("Note", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Save note")).to_be_in_viewport(ratio=0.9)
    page.get_by_label("For").select_option("personal")
    page.get_by_label("Day", exact=True).fill("2019-06-30")
    page.get_by_label("Note", exact=True).fill("   ")
    page.get_by_role("button", name="Save note").press("Enter")
    # A browser finds blanks enough; ingest does not.
    expect(page.get_by_role("alert")).to_contain_text("text: ")
    seen.faults.clear()
    page.get_by_label("Note", exact=True).fill("Before anything was sold")
    page.get_by_role("button", name="Save note").click()
    page.wait_for_url("**/overview?dates=all#notes")
    assert shop.asked("GET", "notes?to=2019-12-31").json()["notes"][0]["is_personal"]


def test_a_phone_shows_all_of_a_long_note(shop: Shop, new_context: NewContext) -> None:
    last = shop.asked("POST", "notes", json={"day": date.today().isoformat(), "text": "W" * 2000})
    found = watched(new_context(viewport={"width": 360, "height": 780}, has_touch=True), shop)
    sign_in(found.page, shop, shop.read_key)
    page = found.page
    expect(page.locator(".mark").last).to_be_visible()
    assert page.evaluate(OVERFLOW) <= 0
    # Who may only read sees it, and writes for himself alone.
    page.locator("#add-note > summary").click()
    assert page.get_by_label("For").locator("option").all_inner_texts() == ["Me alone"]
    expect(page.locator("#notes li", has_text="WWW").get_by_role("button")).to_have_count(0)
    assert found.faults == []
    assert shop.asked("DELETE", f"notes/{last.json()['note_id']}").status_code == 204


def signed_in(shop: Shop, key: str) -> httpx.Client:
    client = httpx.Client(base_url=shop.read.url, follow_redirects=False, timeout=30)
    form = client.get("/app/sign-in").text
    token = re.search(r'name="csrf" value="([^"]*)"', form)
    client.post("/app/sign-in", data={"key": key, **({"csrf": token[1]} if token else {})})
    return client


def fields_of(client: httpx.Client, **more: str) -> dict[str, str]:
    page = client.get(f"{PATH}/notes").text
    hidden = dict(re.findall(r'name="(csrf|once)" value="([^"]*)"', page))
    return {**hidden, "day": "2026-01-01", "text": "x", "whose": "project", **more}


def test_forms_lead_nowhere_else_and_take_what_is_allowed(shop: Shop) -> None:
    client = signed_in(shop, shop.admin_key)
    for back, leads in (
        (f"{PATH}/revenue?dates=all", f"{PATH}/revenue?dates=all#notes"),
        ("https://evil.example/", f"{PATH}/overview#notes"),
        ("//evil.example/app/projects/shop/overview", f"{PATH}/overview#notes"),
        ("/app/projects/other/overview", f"{PATH}/overview#notes"),
        (f"{PATH}/overview?x=\r\nSet-Cookie: a=b", f"{PATH}/overview#notes"),
        ("", f"{PATH}/overview#notes"),
    ):
        answer = client.post(f"{PATH}/notes", data=fields_of(client, back=back, text=f"to {back}"))
        assert (answer.status_code, answer.headers["location"]) == (303, leads)
    assert client.post(f"{PATH}/notes", data={**fields_of(client), "csrf": "x"}).status_code == 403
    for wrong in ({"day": "tomorrow"}, {"day": ""}, {"text": ""}, {"text": "x" * 3000}, {"once": ""}):
        refused = client.post(f"{PATH}/notes", data=fields_of(client, **wrong))
        assert refused.status_code == 422 and 'role="alert"' in refused.text, wrong
    # The same form sent twice makes one note.
    twice = fields_of(client, text="once")
    assert [client.post(f"{PATH}/notes", data=twice).status_code for _ in range(2)] == [303, 303]
    kept = shop.asked("GET", "notes").json()["notes"]
    assert [note["text"] for note in kept].count("once") == 1

    reader = signed_in(shop, shop.read_key)
    assert "once" in reader.get(f"{PATH}/notes?dates=all").text
    refused = reader.post(f"{PATH}/notes", data=fields_of(reader))
    assert refused.status_code == 403 and "scope admin" in refused.text
    assert (
        reader.post(f"{PATH}/notes", data=fields_of(reader, whose="personal", text="mine")).status_code == 303
    )
    assert "mine" in reader.get(f"{PATH}/notes?dates=all").text
    assert "mine" not in client.get(f"{PATH}/notes?dates=all").text
    for note in kept:
        body = {"csrf": fields_of(reader)["csrf"], "whose": "project"}
        assert reader.post(f"{PATH}/notes/{note['note_id']}/delete", data=body).status_code == 403
        body = {"csrf": fields_of(client)["csrf"], "whose": "project"}
        assert client.post(f"{PATH}/notes/{note['note_id']}/delete", data=body).status_code == 303


def test_without_ingest_the_chart_stands_and_says_what_is_missing(
    shop: Shop, tmp_path: Path, new_context: NewContext
) -> None:
    alone = start_read(shop.ingest.settings.home_dir, FUNNELHOUSE_INGEST_URL="http://127.0.0.1:9")
    try:
        found = watched(new_context(), House(shop.ingest, alone, "", ""))
        sign_in(found.page, House(shop.ingest, alone, "", ""), shop.admin_key)
        expect(found.page.locator("#notes")).to_contain_text("Notes and markers are missing")
        expect(found.page.locator('[data-chart="chart-metric"] canvas').first).to_be_visible()
        expect(found.page.locator(".mark")).to_have_count(0)
        assert found.faults == []
    finally:
        alone.stop()


@pytest.mark.parametrize(
    ("kind", "key", "name", "change", "words"),
    [
        ("goal", "signup", "Sign-up", "redefined", "Goal “Sign-up” redefined"),
        ("funnel", "order", None, "deleted", "Funnel “order” deleted"),
        ("traffic_source", "push", "Push network", "defined", "Traffic source “Push network” defined"),
        ("settings", "settings", None, "redefined", "Settings changed"),
        ("channels", "channels", None, "defined", "Channels defined"),
    ],
)
def test_a_change_is_said_in_words(kind: str, key: str, name: str | None, change: str, words: str) -> None:
    assert change_words({"kind": kind, "id": key, "name": name, "change": change}) == words
