"""A figure's rows, in a panel beside its page: opened by a click or a key, left by Back, Escape and Close."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import BrowserContext, Page, expect
from servers import Server

from read_api.dashboard.access import COOKIE

PATH = "/app/projects/shop"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PANEL = "dialog.receipt-panel"


def test_back_escape_and_close_leave_the_panel(server: Server, seen: Page) -> None:
    address = f"{server.url}{PATH}/attribution?dates=all"
    seen.goto(address)
    seen.evaluate("document.body.dataset.same = 'page'")
    figure = seen.locator("main table a.figure").first
    text = figure.inner_text()
    for way in ("back", "escape", "close"):
        figure.focus()
        seen.keyboard.press("Enter")
        panel = seen.locator(PANEL)
        expect(panel.get_by_role("heading", level=2)).to_contain_text(text)
        expect(panel).to_contain_text("✓ equals the report")
        assert parse_qs(urlsplit(seen.url).query)["page"] == ["attribution?dates=all"]
        assert seen.evaluate("document.activeElement.closest('dialog') !== null"), "focus is in the panel"
        if way == "back":
            seen.go_back()
        elif way == "escape":
            seen.keyboard.press("Escape")
        else:
            panel.get_by_role("button", name="Close").click()
        expect(panel).to_be_hidden()
        seen.wait_for_url(address)
        expect(figure).to_be_focused()
    seen.go_forward()
    expect(seen.locator(PANEL)).to_be_visible()
    seen.go_back()
    expect(seen.locator(PANEL)).to_be_hidden()
    assert seen.evaluate("document.body.dataset.same") == "page", "it was never left"


def test_back_from_a_conversion_leads_to_the_page_with_its_panel(server: Server, seen: Page) -> None:
    address = f"{server.url}{PATH}/attribution?dates=all"
    seen.goto(address)
    seen.locator("main table a.figure").first.click()
    panel = seen.locator(PANEL)
    link = panel.locator(".receipt-what a").first
    expect(panel).to_be_visible()
    seen.wait_for_url("**/receipt?**")
    receipt = seen.url
    for _ in range(2):
        link.click()
        seen.wait_for_url("**/conversions/**")
        seen.go_back()
        expect(panel).to_contain_text("✓ equals the report")
        expect(seen.get_by_role("heading", level=1, include_hidden=True)).to_have_text("Attribution")
        seen.wait_for_url(lambda url: url == receipt)
    seen.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    seen.wait_for_url(address)
    expect(seen.get_by_role("heading", level=1)).to_have_text("Attribution")
    seen.go_forward()
    expect(panel).to_be_visible()
    seen.go_forward()
    seen.wait_for_url("**/conversions/**")


def test_a_receipt_has_rows_statements_and_a_way_on(server: Server, seen: Page) -> None:
    seen.goto(f"{server.url}{PATH}/overview?dates=all")
    seen.locator("main .cards a.figure").first.click()
    panel = seen.locator(PANEL)
    first = panel.locator("tbody tr").first.inner_text()
    panel.get_by_role("link", name="Later").click()
    expect(panel.locator("tbody tr").first).not_to_have_text(first)
    panel.get_by_text("Show SQL").click()
    expect(panel.locator("pre")).to_contain_text("project_id = 'shop'")
    with seen.expect_download() as download:
        panel.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "shop_receipt.csv"
    assert len(download.value.path().read_text(encoding="utf-8").splitlines()) > 500
    seen.reload()
    expect(panel).to_be_visible()
    seen.go_back()
    seen.wait_for_url("**/overview?dates=all")
    expect(panel).to_be_hidden()


def test_the_address_of_a_panel_shows_its_page_in_another_tab(
    server: Server, seen: Page, new_context: Callable[..., BrowserContext], cookie: str
) -> None:
    seen.goto(f"{server.url}{PATH}/attribution?dates=all")
    seen.locator("main table a.figure").first.click()
    expect(seen.locator(PANEL)).to_contain_text("✓ equals the report")
    figure = seen.locator(PANEL).get_by_role("heading", level=2).inner_text()
    address = seen.url
    tab = seen.context.new_page()
    tab.goto(address)
    panel = tab.locator(PANEL)
    expect(panel.get_by_role("heading", level=2)).to_have_text(figure)
    expect(tab.get_by_role("heading", level=1, include_hidden=True)).to_have_text("Attribution")
    tab.wait_for_url(address)
    tab.go_back()
    expect(panel).to_be_hidden()
    tab.wait_for_url("**/attribution?dates=all")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Attribution")
    tab.go_forward()
    expect(panel).to_be_visible()
    tab.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    tab.wait_for_url("**/attribution?dates=all")
    tab.close()
    # Without a script it is a page with a way back.
    plain = new_context(java_script_enabled=False)
    plain.add_cookies([{"name": COOKIE, "value": cookie, "url": server.url}])
    page = plain.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Receipt")
    page.get_by_role("link", name="Back to Attribution").click()
    page.wait_for_url("**/attribution?dates=all")


def test_money_is_in_one_currency_until_somebody_wants_it_as_reported(server: Server, seen: Page) -> None:
    seen.goto(f"{server.url}{PATH}/overview?dates=all")
    net = seen.locator("section.card", has_text="Net revenue").first
    total = net.locator(".money").first.inner_text()
    expect(net).not_to_contain_text("EUR")
    expect(seen.locator(".unconverted")).to_contain_text("not converted to USD")
    # The receipt is of the same amounts, and says so in its statement.
    net.locator("a.figure").first.click()
    panel = seen.locator(PANEL)
    expect(panel.locator(".receipt-figure")).to_have_text(total)
    expect(panel).to_contain_text("✓ equals the report")
    panel.get_by_text("Show SQL").click()
    expect(panel.locator("pre")).to_contain_text("set search_path = 'reporting,main'")
    seen.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    seen.get_by_label("Amounts", exact=True).select_option("As reported")
    seen.wait_for_url("**money=reported**")
    expect(net).to_contain_text("EUR")
    expect(net.locator(".money").first).not_to_have_text(total)
    expect(seen.locator(".unconverted")).to_have_count(0)
    # Other pages keep it.
    seen.get_by_role("link", name="Performance", exact=True).click()
    expect(seen.get_by_label("Amounts", exact=True)).to_have_value("reported")
    expect(seen.locator("tfoot tr").last).to_contain_text("EUR")
    seen.get_by_label("Amounts", exact=True).select_option("All in USD")
    seen.wait_for_url("**money=reporting**")
    expect(seen.locator("tfoot tr").last).not_to_contain_text("EUR")


def test_one_figure_of_a_table_takes_tab_and_arrows_lead_to_the_others(server: Server, seen: Page) -> None:
    seen.goto(f"{server.url}{PATH}/landing-pages?dates=all")
    tables = seen.locator("main table").count()
    tabbed = seen.locator('main table a.figure:not([tabindex="-1"])')
    assert seen.locator("main table a.figure").count() > 500
    assert tabbed.count() <= tables
    tabbed.first.focus()
    column = (
        "document.activeElement.closest('td').cellIndex + ' ' + document.activeElement.closest('tr').rowIndex"
    )
    before = [int(each) for each in seen.evaluate(column).split()]
    seen.keyboard.press("ArrowDown")
    assert [int(each) for each in seen.evaluate(column).split()] == [before[0], before[1] + 1]
    seen.keyboard.press("ArrowRight")
    assert int(seen.evaluate(column).split()[0]) > before[0]
    assert tabbed.count() <= tables


def test_a_bar_opens_its_receipt_and_a_phone_shows_it_whole(server: Server, seen: Page) -> None:
    seen.set_viewport_size({"width": 390, "height": 800})
    seen.goto(f"{server.url}{PATH}/attribution?dates=all")
    chart = seen.locator("[data-chart]").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    seen.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    seen.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 30)
    panel = seen.locator(PANEL)
    expect(panel.get_by_role("heading", level=2)).to_contain_text("conversions")
    shape = panel.bounding_box()
    assert shape is not None
    assert (shape["x"], shape["width"]) == (0, 390)
    assert seen.evaluate(OVERFLOW) <= 0
    assert panel.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
    expect(panel).to_contain_text("✓ equals the report")
