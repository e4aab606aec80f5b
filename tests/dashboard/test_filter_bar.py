"""The filter bar in a browser: a click is a filter, and the keyboard does what the mouse does."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from shop_pages import House, Watched, sign_in, watched

NewContext = Callable[..., BrowserContext]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def published(house: House) -> House:
    """The house after a build."""
    house.build()
    return house


@pytest.fixture
def seen(published: House, new_context: NewContext) -> Iterator[Watched]:
    """Signed in; what went wrong on the page fails the test."""
    page = watched(new_context(viewport={"width": 1280, "height": 900}), published)
    sign_in(page.page, published, published.read_key)
    yield page
    assert page.faults == []


def conversions(page: Page) -> int:
    """How many the list has."""
    return int(page.locator(".figures data").first.inner_text().replace(",", ""))


def expect_chips(page: Page, *words: str) -> None:
    """What is filtered, once the page that comes has come: its address is there before its content."""
    expect(page.locator(".chip > span:first-child")).to_have_text(list(words))


def test_a_click_on_a_value_filters_and_another_one_takes_it_back(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("conversions?dates=all"))
    every = conversions(page)
    page.locator("a.value", has_text="DE").first.click()
    page.wait_for_url("**f=country%3Ais%3ADE**")
    expect_chips(page, "Country is DE")
    german = conversions(page)
    assert 0 < german < every
    # Alt excludes; the other sense of the same value goes.
    page.locator("a.value", has_text="DE").first.click(modifiers=["Alt"])
    page.wait_for_url("**f=country%3Ais_not%3ADE**")
    expect_chips(page, "Country is not DE")
    assert conversions(page) == every - german
    page.go_back()
    expect(page.locator(".chip")).to_contain_text("Country is DE")
    assert conversions(page) == german
    # The other pages keep it; the same click removes it.
    page.get_by_role("link", name="Goals", exact=True).click()
    expect_chips(page, "Country is DE")
    page.go_back()
    page.locator("a.value[aria-current]").first.click()
    page.wait_for_url(re.compile(r"^((?!f=).)*$"))
    assert conversions(page) == every
    expect_chips(page)


def test_a_filter_is_found_by_typing_and_escape_clears(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("conversions?dates=all&state=approved"))
    every = conversions(page)
    page.get_by_text("+ Filter").click()
    expect(page.get_by_label("Value", exact=True)).to_be_focused()
    expect(page.locator("#filter-values fieldset").first).to_be_visible()
    page.keyboard.type("goog")
    page.locator("#filter-values").get_by_label(re.compile("^google")).first.click()
    # What is ticked stays, whatever is searched for next.
    page.get_by_label("Value", exact=True).fill("no such thing")
    expect(page.locator("#filter-values")).to_contain_text("Nothing that contains")
    expect(page.locator("#filter-chosen")).to_contain_text("google")
    page.get_by_role("button", name="Add filter").click()
    page.wait_for_url("**f=source%3Ais%3Agoogle**")
    assert "state=approved" in page.url, "the page keeps its own choices"
    expect_chips(page, "Source is google")
    assert 0 < conversions(page) < every
    # By the fields alone.
    page.get_by_text("+ Filter").click()
    # What is filtered by already stays as it is, whatever condition the next one has.
    expect(page.locator("#filter-values").get_by_label(re.compile("^google")).first).to_be_disabled()
    page.get_by_label("Dimension").select_option("conversion")
    page.get_by_label("Condition").select_option("contains")
    page.get_by_label("Value", exact=True).fill("nothing like it")
    page.keyboard.press("Enter")
    page.wait_for_url("**contains**")
    expect_chips(page, "Source is google", "Conversion contains nothing like it")
    # No match: the last filter can go.
    page.get_by_role("link", name="Remove “Conversion contains nothing like it”").click()
    expect_chips(page, "Source is google")
    # Escape closes what is open, then clears; never out of a field.
    page.get_by_text("+ Filter").click()
    page.keyboard.press("Escape")
    expect(page.locator(".add-filter[open]")).to_have_count(0)
    page.get_by_role("textbox", name="Order").focus()
    page.keyboard.press("Escape")
    expect_chips(page, "Source is google")
    page.locator("h1").click()
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"^((?!f=).)*$"))
    assert conversions(page) == every


def test_the_bar_is_held_and_on_a_phone_folded(published: House, new_context: NewContext) -> None:
    seen = watched(new_context(viewport={"width": 390, "height": 780}, has_touch=True), published)
    sign_in(seen.page, published, published.read_key)
    long_value = "x" * 250
    seen.page.goto(
        published.page(f"conversions?dates=all&f=source:is_not:{long_value}&f=country:is:DE&f=country:is:ZZ")
    )
    assert seen.page.evaluate(OVERFLOW) <= 0
    expect(seen.page.locator(".chip.is-unknown")).to_have_count(2)
    expect(seen.page.get_by_label("Dates")).to_be_hidden()
    seen.page.locator(".bar-toggle").click()
    expect(seen.page.get_by_label("Dates")).to_be_visible()
    seen.page.get_by_text("+ Filter").click()
    expect(seen.page.locator("#filter-values fieldset").first).to_be_visible()
    assert seen.page.evaluate(OVERFLOW) <= 0
    assert seen.faults == []


def test_without_script_links_and_the_form_work(published: House, new_context: NewContext) -> None:
    signed_in = new_context()
    sign_in(signed_in.new_page(), published, published.read_key)
    page = new_context(java_script_enabled=False, storage_state=signed_in.storage_state()).new_page()
    page.goto(published.page("conversions?dates=all"))
    page.locator("a.value", has_text="DE").first.click()
    expect_chips(page, "Country is DE")
    page.get_by_text("+ Filter").click()
    page.get_by_label("Dimension").select_option("source")
    page.get_by_label("Value", exact=True).fill("google")
    page.get_by_role("button", name="Add filter").click()
    expect_chips(page, "Country is DE", "Source is google")
    page.get_by_role("link", name="Remove the filter Country is DE").click()
    expect_chips(page, "Source is google")
