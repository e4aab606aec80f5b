"""What changed in revenue between two days on which it was known: by API, page and receipt."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from example_marts import ReadServer, serving_two_years
from figures_in_html import Reading
from pages import Page, pages_in

SUMMARY = "/v1/projects/shop/reports/summary"
DAYS = {"from": "2026-10-01", "to": "2026-12-20"}
ON_PAGE = "dates=own&from=2026-10-01&to=2026-12-20&money=reported"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    with serving_two_years(tmp_path_factory.mktemp("since")) as server:
        yield server


@pytest.fixture(scope="module")
def page(shop: ReadServer) -> Page:
    return pages_in(shop.settings)


def ledger(shop: ReadServer, **asked: str) -> dict[tuple[str, bool, str], tuple[int, int]]:
    """Entries and amounts by reason."""
    found = shop.get(SUMMARY, **DAYS, **asked).json()["ledger"]
    return {
        (row["reason"], row["is_unmatched"], row["currency"]): (row["entries"], row["amount_minor"])
        for row in found
    }


def test_what_changed_is_what_was_not_known_before(shop: ReadServer) -> None:
    before, after = (ledger(shop, as_of=day) for day in ("2026-12-01", "2026-12-15"))
    changed = ledger(shop, since="2026-12-01", as_of="2026-12-15")
    assert len(changed) > 3
    for reason in after:
        of_reason = zip(after[reason], before.get(reason, (0, 0)), strict=True)
        assert changed.get(reason, (0, 0)) == tuple(now - then for now, then in of_reason), reason
    # The rest of the answer is today's.
    plain, since = (shop.get(SUMMARY, **DAYS, **asked).json() for asked in ({}, {"since": "2026-12-01"}))
    assert since["currencies"] == plain["currencies"]


def test_the_page_says_by_reason_what_changed(shop: ReadServer, page: Page) -> None:
    html = page(f"revenue?{ON_PAGE}&as_of=2026-12-15&since=2026-12-01")
    wanted = ledger(shop, since="2026-12-01", as_of="2026-12-15")
    shown = [each for each in Reading(html).shown if each.panel.name == "changed-title"]
    entries = sorted(int(each.text) for each in shown if each.said["column"] == "count(*)")
    assert entries == sorted(number for number, _ in wanted.values())
    assert re.search(r"Changed since <time[^>]*>Dec 1, 2026<", html)
    # Each opens into the entries that were booked in between.
    hrefs = [unescape(part.split('"')[0]) for part in html.split('href="')]
    href = next(each for each in hrefs if "learnt_date.from" in each)
    opened = page(href.partition("/app/projects/shop/")[2])
    assert "known since Dec 2" in opened and "does not agree" not in opened
    assert "changed-title" not in page(f"revenue?{ON_PAGE}")
    assert "Nothing changed" in page(f"revenue?{ON_PAGE}&since=2027-12-01")


@pytest.mark.parametrize("asked", ["since=2026-12-15&as_of=2026-12-15", "since=2026-12-16&as_of=2026-12-01"])
def test_what_is_known_later_is_no_beginning(page: Page, asked: str) -> None:
    html = page(f"revenue?{ON_PAGE}&{asked}", status=400)
    assert "since must be before as_of" in html


@pytest.mark.parametrize("asked", ["yesterday", "2026-13-01", "2026-12-01T00:00", "'"])
def test_only_a_day_is_one(shop: ReadServer, asked: str) -> None:
    assert shop.get(SUMMARY, since=asked).status_code == 400


def test_a_comparison_goes_along_to_other_pages(page: Page) -> None:
    links = page("overview").split('href="')
    menu = [unescape(each.split('"')[0]) for each in links if each.startswith("/app/projects/shop/")]
    assert "/app/projects/shop/performance?compare=previous" in menu
    assert "/app/projects/shop/landing-pages?compare=previous" in menu
    # What was chosen, too, and that nothing is compared.
    for asked in (
        "compare=year",
        "compare=none",
        "compare=own&compare_from=2026-09-01&compare_to=2026-09-10",
    ):
        assert f'href="/app/projects/shop/performance?{asked.replace("&", "&amp;")}"' in page(
            f"overview?{asked}"
        )
    assert "compare=" not in page("attribution").split("<main")[0]
