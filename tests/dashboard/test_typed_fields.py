"""Fields that are typed into apply when what is in them is whole, and keep it while a page comes."""

import re

from playwright.sync_api import Locator, Page, Route, expect
from servers import Server


def at(server: Server, path: str) -> str:
    return f"{server.url}/app/projects/shop/{path}"


def typed(field: Locator, day: str) -> None:
    """Typed as one does: month, day and year; the month has the focus when the field gets it."""
    field.focus()
    field.page.keyboard.type(f"{day[5:7]}{day[8:]}{day[:4]}", delay=20)


def test_a_typed_date_applies_when_it_is_whole(server: Server, seen: Page) -> None:
    page = seen
    page.goto(at(server, "revenue?dates=own&from=2026-05-01&to=2026-05-31"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/revenue?" in request.url else None)
    page.evaluate("document.getElementById('page').dataset.same = 'page'")
    # From the one date to the other, and then away from both: one page, with both.
    typed(page.get_by_label("From", exact=True), "2026-05-10")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    typed(page.get_by_label("To", exact=True), "2026-05-20")
    page.wait_for_timeout(300)
    assert asked == [] and page.locator("#page").get_attribute("data-same") == "page"
    page.get_by_label("Dates").focus()
    page.wait_for_url("**from=2026-05-10&to=2026-05-20**")
    expect(page.locator("#page[data-same]")).to_have_count(0)
    expect(page.get_by_label("From", exact=True)).to_have_value("2026-05-10")
    expect(page.get_by_label("Dates")).to_be_focused()
    assert len(asked) == 1
    # Enter, and the field keeps the focus; to leave it then changes nothing more.
    typed(page.get_by_label("As known on"), "2026-06-01")
    page.keyboard.press("Enter")
    page.wait_for_url("**as_of=2026-06-01**")
    expect(page.locator("main")).to_contain_text("as known at the end of")
    expect(page.get_by_label("As known on")).to_be_focused()
    page.get_by_label("Dates").focus()
    page.wait_for_timeout(300)
    assert len(asked) == 2
    # Chosen, not typed: at once.
    page.get_by_label("From", exact=True).fill("2026-05-12")
    page.wait_for_url("**from=2026-05-12**")


def test_what_is_typed_while_a_page_comes_stays(server: Server, seen: Page) -> None:
    page = seen
    page.goto(at(server, "conversions?dates=own&from=2026-05-01&to=2026-05-31"))
    held: list[Route] = []
    page.route("**/conversions?**", lambda route: held.append(route), times=1)
    typed(page.get_by_label("From", exact=True), "2026-05-10")
    page.keyboard.press("Enter")
    typed(page.get_by_label("To", exact=True), "2026-05-20")
    page.wait_for_timeout(100)
    held[0].continue_()
    page.wait_for_url("**from=2026-05-10&to=2026-05-31**")
    # For a moment the new page has its own field beside the one that goes over to it.
    expect(page.locator("#to")).to_have_count(1)
    expect(page.locator("#to")).to_have_attribute("value", "2026-05-31")
    expect(page.get_by_label("To", exact=True)).to_have_value("2026-05-20")
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    page.locator("h1").click()
    page.wait_for_url("**from=2026-05-10&to=2026-05-20**")


def test_half_a_date_stays_while_a_page_comes(server: Server, seen: Page) -> None:
    page = seen
    page.goto(at(server, "conversions?dates=own&from=2026-05-01&to=2026-05-31"))
    held: list[Route] = []
    page.route("**/conversions?**", lambda route: held.append(route), times=1)
    typed(page.get_by_label("From", exact=True), "2026-05-10")
    page.keyboard.press("Enter")
    page.get_by_label("To", exact=True).focus()
    page.keyboard.type("0520", delay=20)
    page.wait_for_timeout(100)
    held[0].continue_()
    page.wait_for_url("**from=2026-05-10&to=2026-05-31**")
    page.wait_for_timeout(300)
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    # One goes on where one was: with the year.
    page.keyboard.type("2027", delay=20)
    expect(page.get_by_label("To", exact=True)).to_have_value("2027-05-20")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=2026-05-10&to=2027-05-20**")


def test_a_part_of_an_order_applies_when_it_is_left(server: Server, seen: Page) -> None:
    page = seen
    page.goto(at(server, "conversions?dates=all"))
    page.locator("#order").press_sequentially("1")
    page.keyboard.press("Tab")
    page.wait_for_url("**order=1**")
    page.keyboard.type("x")
    page.locator("h1").click()
    page.wait_for_url("**order=1&person=x**")


def test_no_line_stands_around_the_page_after_escape(server: Server, seen: Page) -> None:
    page = seen
    page.goto(at(server, "conversions?dates=all&f=country:is:DE"))
    page.locator("h1").click()
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"^((?!f=).)*$"))
    expect(page.locator(".chip")).to_have_count(0)
    page.locator("h1").click()
    page.keyboard.press("Shift")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none"
