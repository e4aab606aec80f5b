"""What arrives after the last visit and conversion, such as a test event, moves no day of a report."""

from pathlib import Path

from example_marts import TWO_YEARS
from pages import Page, pages_of

from funnelhouse.settings import Settings

LATER = """
update dim_projects set last_received_at = timestamp '2027-02-01 12:00:00', events = events + 1;
insert into rpt_event_counts by name
select 'shop' as project_id, date '2027-02-01' as event_date, 'event' as event_type, 'test event' as name,
    1 as events;
"""


def said(page: Page, path: str) -> tuple[str, str]:
    """The range of days that a page shows, and its first large figure."""
    html = page(path)
    return html.split('class="range">')[1].split("</span>")[0], html.split('class="big">')[1].split("</p>")[0]


def test_a_test_event_moves_neither_days_nor_amounts(home: Settings, tmp_path: Path) -> None:
    before = said(pages_of(home, {}, TWO_YEARS), "overview")
    after = said(pages_of(Settings(home=tmp_path / "later"), {}, TWO_YEARS + LATER), "overview")
    assert "Dec 20, 2026" in before[0]
    assert after == before
