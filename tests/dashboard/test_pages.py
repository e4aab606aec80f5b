"""The pages in a browser, over a real build: nothing fails, nothing overflows, and figures are the API's."""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from example_shop import LINK, LINK_ID, LONGEST, long
from playwright.sync_api import BrowserContext, Page, expect
from shop_pages import (
    LONG_NAMES,
    OUT_OF_SIGHT,
    OVERLAPPING,
    SHOP,
    House,
    Watched,
    keep_picture,
    sign_in,
    watched,
)

from funnelhouse.settings import CHECKOUT
from read_api.dashboard.view import MENU

NewContext = Callable[..., BrowserContext]

PAGES = (
    "overview",
    "overview?metric=roas&compare=year&traffic=campaign&outcomes=events&audience=device",
    "revenue",
    "conversions",
    "performance",
    "performance?by=campaign,landing_page&columns=sessions,people,conversions,aov,spend,cpa,roas,profit",
    "landing-pages",
    "links",
    "attribution",
    "attribution?model=markov&measure=amount",
    "attribution?goal=big-order",
    "channel-importance",
    "paths",
    "funnels",
    "goals",
    "cohorts",
    "experiments",
    "people",
    "people?id=b-3",
    "destinations",
    "deliveries",
    "setup",
    "setup?network=everflow",
    "exchange-rates",
    "live",
    "data-trust",
    "goals/new",
    "funnels/new",
    "links/new",
    "setup/pages/new",
    "setup/traffic-sources/new",
    "setup/keys/new",
)

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 780}, "has_touch": True},
}
EACH_LOOK = ["light", *(pytest.param(look, marks=pytest.mark.long) for look in ("dark", "phone"))]

UNNAMED = "all => all.filter(e => !(e.labels?.length || e.innerText || e.ariaLabel)).map(e => e.outerHTML)"
"""Controls that nobody can tell what they are for."""

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Defined:
    """What the pages said before anything was published, and the cookies of who looked at them."""

    house: House
    cookies: Any
    unpublished: str
    funnel_address: str


@pytest.fixture(scope="module")
def defined(house: House, browser: Any) -> Iterator[Defined]:
    """A goal and a funnel, defined in the pages."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, house, house.admin_key)
    unpublished = page.inner_text("main")

    page.goto(house.page("goals/new"))
    page.get_by_label("Name", exact=True).fill("Checkout begun")
    page.get_by_label("Stage").fill("checkout")
    page.get_by_label("Match on").select_option("url_path")
    page.get_by_label("Path", exact=True).select_option("prefix")
    page.get_by_label("Value").fill("/checkout")
    expect(page.locator("#preview")).not_to_be_empty()
    # By its key: what lies below the preview moves when that comes.
    page.get_by_label(re.compile("Microconversions")).press("Space")
    page.get_by_role("button", name="Save goal").click()
    page.wait_for_url("**/goals?saved=*")

    page.goto(house.page("funnels/new"))
    page.get_by_label("Name", exact=True).first.fill("From cart to order")
    page.get_by_label("Counts").select_option("session")
    page.get_by_role("button", name="Add a step").click()
    expect(page.locator(".step")).to_have_count(4)
    for number, (name, kind, value) in enumerate(
        (("Cart", "url_path", "/cart"), ("Checkout", "url_path", "/checkout"), ("Paid", "any_conversion", ""))
    ):
        step = page.locator(".step").nth(number)
        step.get_by_label("Name").fill(name)
        step.get_by_label("Match on").select_option(kind)
        if value:
            step.get_by_label("Value").fill(value)
    page.locator(".step").nth(3).get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Save funnel").click()
    page.wait_for_url("**/funnels?*saved=1")
    yield Defined(house, context.storage_state(), unpublished, page.url)
    context.close()


@pytest.fixture(scope="module")
def published(defined: Defined) -> House:
    """The house after its build."""
    defined.house.build()
    return defined.house


@pytest.fixture
def seen(published: House, defined: Defined, new_context: NewContext) -> Iterator[Watched]:
    """A page signed in with the admin key; what went wrong on it fails the test."""
    page = watched(new_context(**LOOKS["light"], storage_state=defined.cookies), published)
    yield page
    assert page.faults == []


def api(house: House, path: str, **query: str) -> Any:
    answer = httpx.get(
        f"{house.read.url}/v1/projects/{SHOP}/reports/{path}",
        params=query,
        headers={"Authorization": f"Bearer {house.read_key}"},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()


def cells(page: Page, table: str) -> list[list[str]]:
    """Texts of a table's body, row by row."""
    rows: list[list[str]] = page.locator(f"{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    return rows


def days_shown(page: Page) -> dict[str, str]:
    """The days of the page as parameters of a report: `May 2 - 31, 2026` with a dash, or with more words."""
    first, last = page.locator(".range").inner_text().split(" \N{EN DASH} ")
    end = datetime.strptime(last if last[0].isalpha() else f"{first.split()[0]} {last}", "%b %d, %Y")
    begin = datetime.strptime(first if "," in first else f"{first}, {end.year}", "%b %d, %Y")
    return {"from": begin.date().isoformat(), "to": end.date().isoformat()}


def number(text: str) -> float:
    """As it was meant."""
    return float(text.replace(",", ""))


def test_before_the_first_build_pages_say_what_to_do(defined: Defined) -> None:
    assert "First steps" in defined.unpublished
    assert "Waiting for a build" in defined.unpublished, "events have arrived"
    assert "funnelhouse build" in defined.unpublished


@pytest.mark.parametrize("look", EACH_LOOK)
def test_every_page_renders(look: str, published: House, defined: Defined, new_context: NewContext) -> None:
    seen = watched(new_context(**LOOKS[look], storage_state=defined.cookies), published)
    for path in PAGES:
        answer = seen.page.goto(published.page(path))
        assert answer is not None
        assert answer.status == 200, path
        for chart in seen.page.locator("[data-chart]").all():
            expect(chart.locator("canvas").first).to_be_visible()
        keep_picture(seen.page, f"{look}-{re.sub('[^a-z]+', '-', path)}")
        assert seen.page.evaluate(OVERFLOW) <= 0, f"{path} is wider than the screen"
        assert seen.page.locator("h1").count() == 1, path
        controls = seen.page.locator("input:visible, select:visible, textarea:visible, button:visible")
        assert controls.evaluate_all(UNNAMED) == [], path
        assert seen.faults == [], path


@pytest.mark.long
def test_on_a_phone_nothing_is_cut_or_covered_whatever_names_are_like(
    published: House, new_context: NewContext
) -> None:
    seen = watched(new_context(viewport={"width": 390, "height": 844}), published)
    page = seen.page
    sign_in(page, published, published.ingest.key(LONG_NAMES))
    address = f"{published.read.url}/app/projects/{LONG_NAMES}"
    page.goto(f"{address}/conversions?dates=all")
    conversion = page.locator("tbody th a").first.get_attribute("href") or ""
    person = quote(f"0{long('user')}"[:LONGEST])
    paths = [
        slug for _, pages in MENU for slug, _ in pages if slug not in ("setup", "destinations", "deliveries")
    ]
    for path in (*paths, conversion.removeprefix(f"/app/projects/{LONG_NAMES}/"), f"people?id={person}"):
        page.goto(f"{address}/{path}{'&' if '?' in path else '?'}dates=all")
        keep_picture(page, f"narrow-{re.sub('[^a-z]+', '-', path)[:30]}")
        assert page.evaluate(OVERFLOW) <= 0, f"{path} is wider than the screen"
        assert page.evaluate(OVERLAPPING) == [], path
        assert page.evaluate(OUT_OF_SIGHT) == [], path
    assert seen.faults == []


def test_the_model_switch_shows_the_figures_of_the_api(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("attribution"))
    figures = {}
    for model in ("linear", "shapley", "last_touch"):
        page.get_by_label("Model", exact=True).select_option(model)
        title = f"Conversions, {model.replace('_', ' ')} model"
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        page.wait_for_url(f"**model={model}*")
        report = api(published, "attribution", model=model, **days_shown(page))
        wanted: dict[str, float] = {}
        for row in report["rows"]:
            wanted[row["value"]] = wanted.get(row["value"], 0.0) + row["conversions"]
        shown = {row[0]: number(row[1]) for row in cells(page, "#credit")}
        assert shown == {source: round(credited, 1) for source, credited in wanted.items()}
        figures[model] = shown
    assert figures["last_touch"] != figures["linear"] != figures["shapley"]
    # All models side by side have the same figures.
    names = page.locator("#models thead th").all_inner_texts()
    side_by_side = {row[0]: dict(zip(names, row, strict=True)) for row in cells(page, "#models")}
    for model, shown in figures.items():
        column = model.replace("_", " ")
        assert {source: number(row[column]) for source, row in side_by_side.items()} == shown


def test_attribution_is_of_one_goal_when_it_is_chosen(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(f"{published.page('goals')}?dates=all")
    row = page.get_by_role("row").filter(has_text="Big order")
    link = row.locator("td a[title][href*='/attribution']")
    conversions = int(row.locator("td:has(a[href*='/attribution']) data").inner_text())
    link.click()
    page.wait_for_url("**/attribution?*goal=big-order*")
    expect(page.locator("main")).to_contain_text("of conversions that completed Big order")
    report = api(published, "attribution", model="last_touch", goal_id="big-order")
    wanted: dict[str, float] = {}
    for each in report["rows"]:
        wanted[each["value"]] = wanted.get(each["value"], 0.0) + each["conversions"]
    assert {row[0]: number(row[1]) for row in cells(page, "#credit")} == wanted
    everything = sum(each["conversions"] for each in api(published, "attribution")["rows"])
    assert 0 < sum(wanted.values()) <= conversions < everything
    page.get_by_label("Goal", exact=True).select_option("")
    expect(page.locator("main")).not_to_contain_text("of conversions that completed")
    page.goto(f"{published.page('attribution')}?goal=big-order&dates=last_year")
    expect(page.get_by_role("heading", name="No conversions that completed Big order")).to_be_visible()


def test_channel_importance_shows_the_figures_of_the_api(seen: Watched, published: House) -> None:
    seen.page.goto(published.page("channel-importance"))
    channels = api(published, "channel-importance")["rows"]
    assert len(channels) > 3
    shown = cells(seen.page, "#channels")
    assert [row[0] for row in shown] == [each["source"] for each in channels]
    assert shown[0][5] == f"{100 * channels[0]['removal_effect']:.1f}%"
    rate = sum(each["shapley_value"] for each in channels)
    expect(seen.page.locator("main")).to_contain_text(f"{100 * rate:.1f}%")


@pytest.mark.long
def test_a_project_without_events_shows_its_steps_on_every_page(
    published: House, new_context: NewContext
) -> None:
    seen = watched(new_context(), published)
    sign_in(seen.page, published, published.ingest.key("quiet", "read"))
    for _, pages in MENU:
        for slug, title in pages:
            seen.page.goto(f"{published.read.url}/app/projects/quiet/{slug}")
            expect(seen.page.get_by_role("heading", name=title, level=1)).to_be_visible()
            steps = seen.page.locator("#first-steps")
            expect(steps).to_contain_text("Waiting for the first event")
            expect(steps.locator(".is-done")).to_have_count(0)
    assert seen.faults == []


def test_a_goal_defined_in_the_page_applies_to_all_history(seen: Watched, published: House) -> None:
    seen.page.goto(f"{published.page('goals')}?dates=all")
    row = next(row for row in cells(seen.page, "table") if row[0].startswith("Checkout begun"))
    goal = next(each for each in api(published, "goals")["rows"] if each["goal_id"] == "checkout-begun")
    assert goal["completions"] > 0
    assert row[1] == "page path begins with /checkout"
    assert "stage checkout" in row[2]
    assert row[3] == f"{goal['completions']:,}"


def test_a_goal_is_previewed_before_and_waits_for_the_next_build(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("goals/new"))
    page.get_by_label("Name", exact=True).fill("Signed up")
    page.get_by_label("Value").fill("signup")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("It would have been completed")
    count = re.search(r"completed ([\d,]+) time", preview.inner_text())
    signup = next(each for each in api(published, "goals")["rows"] if each["goal_id"] == "signup")
    assert count is not None
    assert int(count[1].replace(",", "")) == signup["completions"], "as the goal with this rule has"
    # What it does not count is said beside the figure.
    expect(preview).not_to_contain_text("Not counted")
    page.get_by_text("Add condition").click()
    page.get_by_label("With property").fill("plan")
    page.get_by_label("equals").fill("pro")
    page.get_by_label("Worth at least").fill("9.99")
    expect(preview).to_contain_text(f"completed at most {count[1]} time" if count else "")
    expect(preview).to_contain_text("Not counted in this preview: property plan is pro, worth at least 9.99.")
    page.get_by_label("With property").fill("")
    page.get_by_label("Worth at least").fill("")
    expect(preview).not_to_contain_text("Not counted")
    page.get_by_label("Value").fill("nothing-like-it")
    expect(preview).to_contain_text("Nothing in the last build would complete it")
    page.get_by_label("Value").fill("signup")
    page.get_by_role("button", name="Save goal").click()
    expect(page.get_by_role("status")).to_contain_text("with the next build")
    waiting = page.locator("section", has_text="Waiting for the next build")
    expect(waiting).to_contain_text("Signed up")
    # It can be edited, and deleted again.
    waiting.get_by_role("link", name="Edit signed-up").click()
    assert page.get_by_label("Value").input_value() == "signup"
    page.get_by_text("Delete this goal").click()
    page.get_by_role("button", name="Delete signed-up").click()
    page.wait_for_url("**/goals?*")
    expect(page.locator("section", has_text="Waiting for the next build")).to_have_count(0)


def test_what_ingest_refuses_is_said_and_the_form_keeps_its_fields(
    published: House, defined: Defined, new_context: NewContext
) -> None:
    page = new_context(storage_state=defined.cookies).new_page()
    page.goto(published.page("goals/new"))
    page.get_by_label("Name", exact=True).fill("Sign-up")
    page.get_by_label("Id").fill("signup")
    page.get_by_label("Value").fill("signup")
    page.get_by_role("button", name="Save goal").click()
    expect(page.get_by_role("alert")).to_contain_text("already")
    page.get_by_label("Id").fill("another")
    page.get_by_label("Stage").fill("Not a slug!")
    page.get_by_role("button", name="Save goal").click()
    expect(page.get_by_role("alert")).to_contain_text("stage")
    assert page.get_by_label("Name", exact=True).input_value() == "Sign-up"
    assert page.get_by_label("Value").input_value() == "signup"


def test_a_funnel_defined_in_the_page_has_a_picture(
    defined: Defined, seen: Watched, published: House
) -> None:
    assert defined.funnel_address.endswith("funnel=from-cart-to-order&saved=1")
    page = seen.page
    page.goto(published.page("funnels") + "?dates=all")
    page.get_by_label("Funnel", exact=True).select_option("from-cart-to-order")
    expect(page.get_by_role("heading", name="From cart to order")).to_be_visible()
    steps = api(published, "funnels", funnel_id="from-cart-to-order")["rows"]
    assert [step["step_name"] for step in steps] == ["Cart", "Checkout", "Paid"]
    shown = page.locator(".funnel .figure b").all_inner_texts()
    assert shown == [f"{step['completed']:,}" for step in steps]
    expect(page.locator(".funnel .drop").first).to_contain_text(f"{steps[1]['dropped_off']:,} dropped out")
    by_source = page.locator("section", has_text="By source of entry")
    assert len(by_source.locator("tbody tr").all()) > 1
    # Its definition can be changed in the page.
    page.get_by_role("link", name="Edit this funnel").click()
    expect(page.locator(".step")).to_have_count(3)
    assert page.locator(".step").nth(1).get_by_label("Name").input_value() == "Checkout"


def test_the_performance_table_opens_sorts_and_shows_what_one_chooses(
    seen: Watched, published: House
) -> None:
    page = seen.page
    page.goto(f"{published.page('performance')}?dates=all&by=source,campaign")
    table = page.locator(".trade table")
    first = table.locator("tbody tr").first
    branch = first.get_by_role("button")
    sessions = int(first.locator("td").first.inner_text().replace(",", ""))
    branch.click()
    expect(first.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    children = table.locator("tbody tr.level-1")
    found = [int(each.replace(",", "")) for each in children.locator("td:nth-of-type(1)").all_inner_texts()]
    assert sum(found) == sessions

    page.get_by_role("columnheader", name="Net revenue").get_by_role("link").first.click()
    page.wait_for_url("**sort=-net_amount*")
    expect(page.get_by_role("columnheader", name="Net revenue")).to_have_attribute("aria-sort", "descending")
    page.locator(".columns-picker summary").click()
    page.get_by_label("Profit").check()
    page.wait_for_url("**columns=profit*")
    expect(page.get_by_role("columnheader", name="Profit")).to_be_visible()
    # Several are chosen one after the other.
    page.get_by_label("AOV").check()
    page.wait_for_url("**columns=aov*")
    expect(page.get_by_label("AOV")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("AOV")).to_be_hidden()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("columnheader", name="Profit")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Net revenue")).to_have_attribute("aria-sort", "descending")
    report = api(published, "performance", columns="net_amount", sort="-net_amount")
    names = [row[0].split("\n")[-1] for row in cells(page, ".trade table")]
    assert names[0] == report["rows"][0]["values"][0]
    # What cannot be read says so, with a way back.
    answer = page.goto(f"{published.page('performance')}?by=nothing")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_role("alert")).to_contain_text("by must be up to 3 different dimensions")
    seen.faults = [fault for fault in seen.faults if "400" not in fault]


def test_on_a_phone_a_row_of_the_table_opens_as_a_card(
    published: House, defined: Defined, new_context: NewContext
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    seen = watched(new_context(**phone, storage_state=defined.cookies), published)
    page = seen.page
    for path in ("performance?dates=all", "landing-pages?dates=all"):
        page.goto(published.page(path))
        row = page.locator(".trade tbody tr").first
        for cell in row.locator("td:visible").all():
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390, "no column out of sight"
        assert row.locator("td:visible").count() == 2
        assert row.locator("td:visible").filter(has=page.locator(".money")).count() == 1
        row.get_by_label("All figures of").check()
        assert row.locator("td:visible").count() == row.locator("td").count() > 6
        assert page.evaluate(OVERFLOW) <= 0
    assert seen.faults == []


def test_dates_filters_and_project_stay_in_the_address(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("overview"))
    page.get_by_label("Dates").select_option("all")
    page.wait_for_url("**dates=all**")
    page.goto(f"{page.url}&country=DE")
    expect(page.locator(".chip")).to_contain_text("Country is DE")
    figures = page.locator(".cards").inner_text()
    summary = api(published, "summary", country="DE")
    sessions = sum(each["sessions"] for each in summary["currencies"])
    assert f"{sessions:,}" in figures
    page.get_by_role("link", name="Performance", exact=True).click()
    page.wait_for_url("**/performance?**")
    assert "dates=all" in page.url
    assert "f=country%3Ais%3ADE" in page.url
    total = page.locator("tfoot td").first.inner_text()
    assert total == f"{sessions:,}"
    expect(page.locator("main")).to_contain_text("There is nothing to compare with")
    # Channel importance knows no country, says so, and keeps it; paths are those of its conversions.
    page.get_by_role("link", name="Channel importance", exact=True).click()
    expect(page.locator("[data-unfiltered=country]").first).to_contain_text("not filtered by Country is DE")
    page.get_by_role("link", name="Paths", exact=True).click()
    expect(page.locator("[data-unfiltered]")).to_have_count(0)
    paths = api(published, "paths", f="country:is:DE", money="reporting")["rows"]
    total = page.locator("tfoot tr").last.locator("td").first.inner_text()
    assert total == str(sum(row["conversions"] for row in paths))
    # Put together, paths of all time are those that are counted in advance.
    every, counted = (api(published, "paths", **asked)["rows"] for asked in ({"from": "2000-01-01"}, {}))
    assert every == counted and len(counted) > 10
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.locator(".chip")).to_contain_text("Country is DE")
    page.get_by_label("Dates").select_option("own")
    page.get_by_label("From", exact=True).fill("2026-05-10")
    page.get_by_label("From", exact=True).blur()
    page.wait_for_url("**from=2026-05-10**")
    assert page.get_by_label("From", exact=True).input_value() == "2026-05-10"


def test_what_a_page_shows_unasked_stays_with_it(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("cohorts"))
    page.get_by_label("Metric").select_option("converted")
    page.wait_for_url("**measure=converted**")
    expect(page.get_by_label("Dates").locator("option:checked")).to_have_text("All time")
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.get_by_label("Dates").locator("option:checked")).to_have_text("Last 30 days of data")
    # What somebody chooses goes along.
    page.get_by_label("Dates").select_option("all")
    page.wait_for_url("**dates=all**")
    page.get_by_role("link", name="Cohorts", exact=True).click()
    page.get_by_label("Metric").select_option("revenue-EUR")
    page.wait_for_url("**dates=all**measure=revenue-EUR**")
    expect(page.get_by_role("heading", name="Net revenue in EUR")).to_be_visible()


def test_on_paper_a_page_says_what_its_figures_are_of(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(f"{published.page('overview')}?dates=own&from=2026-05-10&to=2026-05-20&f=source:is:google")
    head = page.locator(".print-head")
    expect(head).to_be_hidden()
    page.emulate_media(media="print")
    expect(head).to_be_visible()
    expect(head).to_contain_text(f"{SHOP} · May 10 \N{EN DASH} 20, 2026 · Source is google · build ")
    expect(page.locator("#filters")).to_be_hidden()


def test_the_metric_that_is_chosen_is_drawn(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("overview"))
    shown = page.locator("#drawn")
    expect(shown.get_by_role("heading")).to_contain_text("Net revenue by day")
    page.get_by_role("link", name="Conversion rate").click()
    page.wait_for_url("**metric=conversion_rate**")
    expect(shown.get_by_role("heading")).to_contain_text("Conversion rate by day")
    expect(page.get_by_role("link", name="Conversion rate")).to_be_focused()
    chart = json.loads(page.locator("#chart-metric").text_content() or "")
    days = {"from": chart["categories"][0], "to": chart["categories"][-1]}
    found = api(published, "timeline", metric="conversion_rate", compare="previous", **days)
    drawn = [each and round(each / 100, 9) for each in chart["series"][0]["values"]]
    assert drawn == [each["value"] for each in found["bins"]]
    assert shown.locator("canvas").count() == 1
    # A tab changes its panel, and nothing else.
    page.get_by_role("link", name="Campaigns").click()
    page.wait_for_url("**traffic=campaign**")
    assert "metric=conversion_rate" in page.url
    expect(page.get_by_role("link", name="Campaigns")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Campaigns")).to_be_focused()
    page.go_back()
    expect(page.locator("#tab-source")).to_have_attribute("aria-current", "true")
    # What was chosen stays with other days.
    page.get_by_label("Dates").select_option("all")
    page.wait_for_url("**dates=all**")
    expect(shown.get_by_role("heading")).to_contain_text("Conversion rate by")
    expect(page.locator("#latest")).to_contain_text("in the last minute")


def test_the_overview_works_without_scripts_and_on_a_phone(
    published: House, defined: Defined, new_context: NewContext
) -> None:
    context = new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 844}, storage_state=defined.cookies
    )
    page = context.new_page()
    page.goto(published.page("overview"))
    page.get_by_role("link", name="Medium").click()
    assert "traffic=medium" in page.url
    page.get_by_role("link", name="Pending value").click()
    expect(page.get_by_role("heading", name="Pending value by day")).to_be_visible()
    edge = page.locator("#panel-traffic").bounding_box()
    money = page.locator("#panel-traffic tbody td:last-child").first.bounding_box()
    assert edge is not None and money is not None
    assert money["x"] + money["width"] <= edge["x"] + edge["width"], "money is in sight"


def test_a_conversion_explains_itself(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("conversions"))
    page.get_by_role("link", name="purchase").first.click()
    for heading in ("What was reported", "Matched visit", "Person", "Ledger", "Credit by model"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.get_by_text("Raw payload").first.click()
    expect(page.locator("pre").first).to_contain_text('"event_type":')
    page.get_by_role("link", name="Timeline of this person").click()
    expect(page.locator(".timeline")).to_contain_text("conversion")
    # Whatever its id is made of.
    page.goto(published.page("conversions"))
    page.get_by_role("link", name="phone order").first.click()
    expect(page.get_by_role("heading", name="What was reported")).to_be_visible()
    expect(page.locator("main")).to_contain_text("phone/../2/")


def test_the_waterfall_ends_at_what_is_recognised(seen: Watched, published: House) -> None:
    seen.page.goto(f"{published.page('revenue')}?dates=all")
    ledger = api(published, "summary")["ledger"]
    for currency, digits in (("EUR", 2), ("JPY", 0)):
        section = seen.page.locator("section", has=seen.page.locator(f"#ledger-{currency}"))
        minor = sum(entry["amount_minor"] for entry in ledger if entry["currency"] == currency)
        total = f"{minor / 10**digits:,.{digits}f}"
        expect(section.locator("tfoot")).to_contain_text(total)


def test_a_link_shows_who_followed_it_and_its_address(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("links"))
    answer = httpx.get(
        f"{published.read.url}/v1/projects/{SHOP}/marts/fct_link_clicks",
        headers={"Authorization": f"Bearer {published.read_key}"},
    )
    clicks = [each for each in answer.json()["rows"] if not each["is_bot"]]
    assert (len(clicks), len({each["visitor_id"] for each in clicks})) == (5, 4), "without the robot"
    goals = {each["goal_id"]: each for each in api(published, "goals")["rows"]}
    fired = goals[f"link-{LINK_ID}"]["completions"]
    [row] = cells(page, "table")
    expect(page.locator("tfoot td").nth(2)).to_have_text(f"{fired} events")
    assert row[0].startswith(LINK["name"])
    assert row[1:4] == ["5", "4", f"{fired} events"]
    assert row[4:6] == ["an entrance", LINK["to"][0]["url"]]
    address = page.locator("#address-1").inner_text()
    assert address == f"{published.ingest.url}/c/{SHOP}/{LINK_ID}"
    page.get_by_role("button", name="Copy the address of Lamp").click()
    assert page.evaluate("getSelection().toString()") == address
    # Its form has what it says.
    page.get_by_role("link", name=f"Edit {LINK_ID}").click()
    assert page.get_by_label("Address").input_value() == row[5]
    assert page.get_by_label("A click is").input_value() == "event"
    expect(page.get_by_label("Worth")).to_be_hidden()
    page.get_by_label("A click is").select_option("conversion")
    expect(page.get_by_label("Worth")).to_be_visible()


def test_what_senders_name_things_is_text_and_never_markup(seen: Watched, published: House) -> None:
    seen.page.goto(f"{published.page('sources')}?by=campaign&dates=all")
    assert "<b>Lookalike & co</b>" in [row[0] for row in cells(seen.page, "table")]


def test_an_event_shows_as_it_arrives(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("live"))
    headers = {"Authorization": f"Bearer {published.admin_key}"}
    event = {"event_type": "event", "event_name": "just now", "user_id": "ada", "event_id": "a/b?c#d"}
    httpx.post(f"{published.ingest.url}/v1/projects/{SHOP}/events", json=event, headers=headers)
    link = page.get_by_role("link", name="just now")
    expect(link).to_be_visible()
    link.focus()
    with page.expect_response("**/live/rows*"):
        pass
    expect(link).to_be_focused()
    page.get_by_label("Pause").check()
    link.click()
    expect(page.locator("pre")).to_contain_text('"just now"')
    expect(page.locator("main")).to_contain_text("a/b?c#d")
    # Times are written out, not as microseconds.
    expect(page.locator("dt", has_text="occurred_us").locator("+ dd")).to_have_text(
        re.compile(r"[A-Z][a-z]{2} \d+, \d{4}, \d\d:\d\d:\d\d\.\d{3}")
    )
    # Whoever has no sender yet sends one from here.
    page.goto(published.page("live"))
    page.get_by_role("button", name="Send a test event").click()
    page.wait_for_url("**/live")
    expect(page.get_by_role("link", name="test event").first).to_be_visible()
    # What is not accepted stands among the events, with the reason, or alone.
    httpx.post(
        f"{published.ingest.url}/v1/projects/{SHOP}/events", json=event | {"revenue": "<b>1"}, headers=headers
    )
    page.goto(published.page("live"))
    first = page.locator("#events tbody tr").first
    expect(first).to_contain_text("rejected")
    expect(first).to_contain_text("revenue: must be a JSON number")
    expect(first).to_contain_text('"revenue":"<b>1"')
    # Other tests may have sent some within the minute.
    counted = r"[1-9]\d* rejected in the last minute$"
    expect(page.locator("#events p")).to_have_text(re.compile(rf"^\d+ accepted, {counted}"))
    page.get_by_label("Kind").select_option("rejected")
    page.wait_for_url("**kind=rejected**")
    expect(page.locator("#events p")).to_have_text(re.compile(f"^{counted}"))
    expect(link).to_have_count(0)
    # Of the kind that is chosen; a refund takes away.
    page.goto(published.page("live"))
    expect(page.locator("#events")).to_contain_text("in the last minute")
    page.get_by_label("Kind").select_option("refund")
    page.wait_for_url("**kind=refund**")
    expect(page.locator("#events tbody tr").first).to_contain_text("\N{MINUS SIGN}")
    expect(page.locator("#events")).not_to_contain_text("just now")


def test_pages_can_be_used_by_keyboard(seen: Watched, published: House) -> None:
    page = seen.page
    page.goto(published.page("attribution"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    model = page.get_by_label("Model", exact=True)
    model.focus()
    with page.expect_response("**/attribution?*"):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Model", exact=True)).to_be_focused()


def test_the_menu_opens_on_a_phone(published: House, new_context: NewContext) -> None:
    context = new_context(**LOOKS["phone"])
    sign_in(context.new_page(), published, published.read_key)
    page = context.new_page()
    page.goto(published.page("overview"))
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    expect(page.get_by_role("button", name="Menu")).to_be_focused()
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Cohorts").click()
    expect(page.get_by_role("heading", name="Cohorts", level=1)).to_be_visible()


def test_whoever_may_only_read_is_offered_no_form(published: House, new_context: NewContext) -> None:
    page = new_context().new_page()
    sign_in(page, published, published.read_key)
    for path in ("goals", "funnels", "links", "setup"):
        page.goto(published.page(path))
        expect(page.get_by_role("link", name=re.compile("^New"))).to_have_count(0)
    page.goto(published.page("goals"))
    expect(page.locator("main")).to_contain_text("a key with the scope admin")
    answer = page.goto(published.page("goals/new"))
    assert answer is not None
    assert answer.status == 403
    expect(page.locator("main")).to_contain_text("scope admin")


@pytest.mark.long
def test_the_models_behind_figures_are_shown_and_nobody_is_told(
    published: House, defined: Defined, new_context: NewContext
) -> None:
    page = new_context(storage_state=defined.cookies).new_page()
    asked: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.goto(published.page("data-trust"))
    page.get_by_role("link", name="the models").click()
    page.wait_for_url("**/app/models**")
    page.goto(f"{published.read.url}/app/models#!/model/model.funnelhouse.rpt_sources")
    expect(page.get_by_role("heading", name="rpt_sources")).to_be_visible()
    expect(page.locator("body")).to_contain_text("One row per project, day, source")
    # Its contract's types, and the query that somebody may begin with.
    expect(page.locator("body")).to_contain_text("decimal(38,0)")
    expect(page.locator("code", has_text="from rpt_sources").first).to_be_visible()
    assert {url.split("/")[2] for url in asked} == {published.read.url.split("/")[2]}

    # The same for whoever reads with a key; definitions only, and nothing of this machine.
    models = f"{published.read.url}/read/models"
    keyed = httpx.get(models, headers={"x-api-key": published.read_key}, timeout=30)
    assert (keyed.status_code, keyed.headers["content-encoding"]) == (200, "gzip")
    assert "model.funnelhouse.rpt_sources" in keyed.text
    assert str(published.read.settings.home_dir) not in keyed.text
    assert str(CHECKOUT) not in keyed.text
    assert httpx.get(models, timeout=30).status_code == 401
    sending = published.ingest.key(SHOP, "ingest")
    assert httpx.get(models, headers={"x-api-key": sending}, timeout=30).status_code == 403


def test_figures_open_into_rows_that_add_up(published: House, defined: Defined) -> None:
    cookies = {each["name"]: each["value"] for each in defined.cookies["cookies"]}
    found: dict[tuple[str, str, str | None], list[str]] = {}
    with httpx.Client(cookies=cookies, timeout=30) as client:
        for path in PAGES:
            html = client.get(published.page(path), params={"dates": "all"} if "?" not in path else None).text
            for href in re.findall(r'<a class="figure" href="([^"]+)"', html):
                words = dict(parse_qsl(urlsplit(unescape(href)).query))
                found.setdefault((words["mart"], words["column"], words.get("over-column")), []).append(href)
    assert len(found) > 50, "kinds of figures"
    chance = random.Random(20)
    drawn = [chance.choice(of_kind) for of_kind in found.values()]
    drawn += chance.choices([href for of_kind in found.values() for href in of_kind], k=60)
    listed = []
    with httpx.Client(headers={"x-api-key": published.read_key}, timeout=30) as client:
        for href in drawn:
            query = urlsplit(unescape(href)).query
            answer = client.get(f"{published.read.url}/v1/projects/{SHOP}/receipt?{query}")
            assert answer.status_code == 200, (href, answer.text)
            receipt = answer.json()
            assert receipt["agrees"], receipt["parts"]
            assert receipt["number"] == receipt["sum"] or not (receipt["number"] or receipt["sum"])
            listed.append(receipt["parts"][0]["listed_from"])
    assert listed.count("facts") > 50
