"""The page Exchange rates: what is in use and what has none, rates pasted and uploaded, and taken back."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from shop_pages import House, Watched, house_of_two_years, sign_in, watched

NewContext = Callable[..., BrowserContext]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PATH = "/app/projects/shop/exchange-rates"
ECB = Path(__file__).parents[1] / "ingest" / "ecb_files"


@dataclass
class Shop(House):
    """A shop of two years, of which one currency has no rate on three days."""

    @property
    def rates(self) -> str:
        """The address of the page."""
        return f"{self.read.url}{PATH}"

    def added(self) -> list[dict[str, object]]:
        """What ingest has."""
        url = f"{self.ingest.url}/v1/projects/shop/exchange-rates"
        answer = httpx.get(url, headers={"x-api-key": self.admin_key}, timeout=30)
        found: list[dict[str, object]] = answer.json()["exchange_rates"]
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with house_of_two_years(tmp_path_factory.mktemp("rates")) as (ingest, read):
        yield Shop(ingest, read, ingest.key("shop"), ingest.key("shop", "read"))


@pytest.fixture
def seen(shop: Shop, new_context: NewContext) -> Iterator[Watched]:
    found = watched(new_context(viewport={"width": 1280, "height": 900}), shop)
    sign_in(found.page, shop, shop.admin_key)
    yield found
    # A browser notes an answer of 422 by itself.
    assert [each for each in found.faults if "422" not in each] == []


def test_a_page_with_amounts_left_out_leads_to_the_rates(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(f"{shop.read.url}/app/projects/shop/overview?dates=all")
    page.locator(".unconverted").get_by_role("link", name="Add rates").click()
    page.wait_for_url(f"**{PATH}?dates=all*")
    expect(page.get_by_role("heading", name="Exchange rates", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="Exchange rates")).to_have_attribute("aria-current", "page")
    in_use = page.get_by_role("row", name="EUR 1.25 700")
    expect(in_use).to_contain_text("Jan 1, 2025")
    expect(in_use).to_contain_text("690")
    expect(page.get_by_role("row", name="EUR conversions")).to_be_visible()


def test_pasted_rates_are_added_and_withdrawn(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(shop.rates)
    before = len(shop.added())
    page.get_by_label("CSV, with a line").fill(
        "date,from,to,rate\n2026-05-01,EUR,USD,1.08\n2026-05-02,JPY,USD,0.0068"
    )
    page.get_by_role("button", name="Add rates").click()
    expect(page.get_by_role("status")).to_have_text(
        "2 rates added for 2 pairs; figures update with the next build."
    )
    assert len(shop.added()) == before + 1
    page.get_by_role("button", name="Withdraw").first.click()
    expect(page.get_by_role("status")).to_have_text("Withdrawn. Figures update with the next build.")
    assert len(shop.added()) == before


def test_a_bad_line_is_named_and_what_was_pasted_stays(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(shop.rates)
    before = shop.added()
    text = 'date,from,to,rate\n2026-05-01,EUR,USD,"1,08"\n2026-05-02,EUR,<b>,1'
    page.get_by_label("CSV, with a line").fill(text)
    page.get_by_role("button", name="Add rates").click()
    problems = page.get_by_role("alert").get_by_role("listitem")
    expect(problems).to_have_count(2)
    expect(problems.first).to_contain_text("line 2: rate: must have a decimal point, not a comma")
    expect(problems.last).to_contain_text("line 3: to: must be a currency")
    expect(page.get_by_label("CSV, with a line")).to_have_value(text)
    assert shop.added() == before


@pytest.mark.parametrize("name", ["eurofxref-hist.csv", "eurofxref-daily.xml"])
def test_a_file_of_the_central_bank_is_uploaded_as_it_is(shop: Shop, seen: Watched, name: str) -> None:
    page = seen.page
    page.goto(shop.rates)
    # What the shop has amounts in, since its first day, is chosen already.
    expect(page.get_by_label("Currencies")).to_have_value("USD, EUR")
    expect(page.get_by_label("From day")).to_have_value(re.compile("^202[45]-"))
    page.get_by_label("Currencies").fill("USD, JPY")
    page.get_by_label("File", exact=True).set_input_files(ECB / name)
    page.get_by_role("button", name="Upload rates").click()
    expect(page.get_by_role("status")).to_contain_text("for 2 pairs, ")
    expect(page.get_by_role("status")).to_contain_text("of other currencies or days left out")
    assert shop.added()[0]["pairs"] == ["EUR/USD", "EUR/JPY"]


def test_a_file_that_is_none_is_answered_in_place(shop: Shop, seen: Watched, tmp_path: Path) -> None:
    page = seen.page
    page.goto(shop.rates)
    before = shop.added()
    (tmp_path / "rates.csv").write_text("date,from,to,rate\n2026-05-01,EUR,USD,-1\n")
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "rates.csv")
    page.get_by_role("button", name="Upload rates").click()
    expect(page.locator("#problems")).to_contain_text("line 2: rate: must be a decimal")
    expect(page.locator("#problems")).to_be_focused()
    (tmp_path / "large.csv").write_bytes(b" " * 1024 * 1025)
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "large.csv")
    page.get_by_role("button", name="Upload rates").click()
    expect(page.get_by_text("The file is larger than 1 MB.")).to_be_visible()
    assert shop.added() == before


def test_without_a_script_rates_are_pasted(shop: Shop, new_context: NewContext) -> None:
    context = new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, shop, shop.admin_key)
    page.goto(shop.rates)
    expect(page.get_by_role("heading", name="Upload a file")).to_be_hidden()
    page.get_by_label("CSV, with a line").fill("date\tfrom\tto\trate\n2026-05-01\tEUR\tUSD\t1.08")
    page.get_by_role("button", name="Add rates").click()
    expect(page.get_by_role("status")).to_contain_text("1 rate added for 1 pair;")


def test_who_may_only_look_sees_no_form_and_cannot_send_one(shop: Shop, new_context: NewContext) -> None:
    reader = watched(new_context(), shop)
    page = reader.page
    sign_in(page, shop, shop.read_key)
    page.goto(shop.rates)
    expect(page.get_by_role("heading", name="Rates in use")).to_be_visible()
    expect(page.locator("main form")).to_have_count(0)
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    headers = {"Funnelhouse-Token": token}
    before = shop.added()
    for path, data in (("", f"csrf={token}&rates=x"), ("/file", "x"), ("/x/withdraw", f"csrf={token}")):
        more = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = page.request.post(f"{shop.rates}{path}", data=data, headers={**headers, **more})
        assert answer.status == 403
    assert shop.added() == before


def test_a_file_needs_the_sessions_token_and_our_own_page(shop: Shop, seen: Watched) -> None:
    page = seen.page
    page.goto(shop.rates)
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    body = "date,from,to,rate\n2026-05-01,EUR,USD,1\n"
    before = shop.added()
    for headers in (
        {},
        {"Funnelhouse-Token": "x"},
        {"Funnelhouse-Token": token, "Origin": "https://evil.example"},
    ):
        assert page.request.post(f"{shop.rates}/file", data=body, headers=headers).status == 403
    assert shop.added() == before
    large = page.request.post(
        f"{shop.rates}/file", data=b" " * (1024 * 1024 + 1), headers={"Funnelhouse-Token": token}
    )
    assert large.status == 413


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits(shop: Shop, new_context: NewContext, width: int) -> None:
    found = watched(new_context(viewport={"width": width, "height": 900}), shop)
    sign_in(found.page, shop, shop.admin_key)
    found.page.goto(shop.rates)
    assert found.page.evaluate(OVERFLOW) == 0
    assert found.faults == []
