"""What `benchmarks.reads` asks: each page of the menu, and each report, with what pages ask of it.

A new page is in the menu, and so is asked by itself. A new address joins REPORTS, or VARIED when it is a page
that is asked in another way too. Values of `{…}` are the subject's.
"""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from read_api.dashboard.view import MENU
from read_api.performance_lines import PAGE_ROWS


@dataclass(frozen=True)
class Subject:
    """The project that is read: its days, those before them, and what is frequent in them."""

    project_id: str
    first: str
    last: str
    conversion_id: str
    person_id: str
    country: str
    source: str

    def words(self) -> dict[str, str]:
        """What stands for `{…}` in an address."""
        return {
            "project": quote(self.project_id),
            "days": urlencode({"from": self.first, "to": self.last}),
            "day_range": f"{self.first},{self.last}".replace("-", ""),
            "conversion": quote(self.conversion_id),
            "person": quote(self.person_id),
            "one_filter": urlencode({"f": f"country:is:{self.country}"}),
            "two_filters": urlencode(
                [("f", f"country:is:{self.country}"), ("f", f"source:is:{self.source}")]
            ),
        }


EMPTY = "empty route"
"""What all others are divided by: HTTP and nothing else."""

_ALL_COLUMNS = "sessions,people,conversions,conversion_rate,pending,net_amount,aov,spend,cpa,roas,profit"
_RULE = "match_type=url_path&match_operator=prefix&match_value=/"
_REPORTS = "/v1/projects/{project}/reports"

REPORTS: dict[str, str] = {
    EMPTY: "/read/live",
    "summary": f"{_REPORTS}/summary?{{days}}",
    "summary, one filter": f"{_REPORTS}/summary?{{days}}&{{one_filter}}",
    "summary, compared": f"{_REPORTS}/summary?{{days}}&compare=previous",
    "timeline": f"{_REPORTS}/timeline?{{days}}",
    "timeline, compared": f"{_REPORTS}/timeline?{{days}}&compare=previous",
    "changes": f"{_REPORTS}/changes?{{days}}&compare=previous",
    "performance": f"{_REPORTS}/performance?{{days}}&limit={PAGE_ROWS}",
    "performance, 1,000 rows": f"{_REPORTS}/performance?{{days}}&limit=1000",
    "performance by three": f"{_REPORTS}/performance?{{days}}&by=source,campaign,country&limit={PAGE_ROWS}",
    "performance, all columns": f"{_REPORTS}/performance?{{days}}&columns={_ALL_COLUMNS}&limit={PAGE_ROWS}",
    "performance, two filters": f"{_REPORTS}/performance?{{days}}&{{two_filters}}&limit={PAGE_ROWS}",
    "performance, compared": f"{_REPORTS}/performance?{{days}}&compare=previous&limit={PAGE_ROWS}",
    "performance, markov": f"{_REPORTS}/performance?{{days}}&model=markov&limit={PAGE_ROWS}",
    "performance by landing page": f"{_REPORTS}/performance?{{days}}&by=landing_page&limit={PAGE_ROWS}",
    "performance by click": f"{_REPORTS}/performance?{{days}}&days_of=click&limit={PAGE_ROWS}",
    "filter values": "/v1/projects/{project}/filter-values?{days}",
    "filter values, typed": "/v1/projects/{project}/filter-values?{days}&q=a",
    "sources": f"{_REPORTS}/sources?{{days}}&limit=100",
    "sources, one country": f"{_REPORTS}/sources?{{days}}&limit=100&country=ES",
    "sources by campaign": f"{_REPORTS}/sources?{{days}}&limit=100&dimension=campaign",
    "campaigns": f"{_REPORTS}/campaigns?{{days}}&limit=100",
    "landing pages": f"{_REPORTS}/landing-pages?{{days}}&limit=100",
    "landing pages, one filter": f"{_REPORTS}/landing-pages?{{days}}&limit=100&{{one_filter}}",
    "pages": f"{_REPORTS}/pages?{{days}}&limit=100",
    "goals": f"{_REPORTS}/goals?{{days}}",
    "goal preview": f"{_REPORTS}/goals/preview?{{days}}&{_RULE}",
    "funnels": f"{_REPORTS}/funnels?{{days}}",
    "funnels, one filter": f"{_REPORTS}/funnels?{{days}}&{{one_filter}}",
    "attribution, 3 models": f"{_REPORTS}/attribution?{{days}}&model=last_touch,linear,markov&limit=100",
    "attribution, one filter": f"{_REPORTS}/attribution?{{days}}&{{one_filter}}&limit=100",
    "channel importance": f"{_REPORTS}/channel-importance",
    "paths": f"{_REPORTS}/paths?limit=100",
    "paths of the days": f"{_REPORTS}/paths?{{days}}&limit=100",
    "paths, two filters": f"{_REPORTS}/paths?{{days}}&{{two_filters}}&limit=100",
    "time to convert": f"{_REPORTS}/time-to-convert?{{days}}",
    "cohorts": f"{_REPORTS}/cohorts",
    "experiments": f"{_REPORTS}/experiments",
    "costs": f"{_REPORTS}/costs?{{days}}&limit=100",
    "unconverted": f"{_REPORTS}/unconverted?{{days}}",
    "exchange rates": f"{_REPORTS}/exchange-rates",
    "sources in one currency": f"{_REPORTS}/sources?{{days}}&limit=100&money=reporting",
    "conversions": f"{_REPORTS}/conversions?{{days}}&limit=100",
    "conversions, two filters": f"{_REPORTS}/conversions?{{days}}&{{two_filters}}&limit=100",
    "a conversion explained": f"{_REPORTS}/conversions/{{conversion}}",
    "a person": f"{_REPORTS}/people/{{person}}?limit=100",
    "data trust": f"{_REPORTS}/data-trust",
    "builds": f"{_REPORTS}/builds",
    "funnel report": "/v1/funnel?account_id={project}&report_type=Source&date_range={day_range}",
}

PAGE = "page: "
"""What names of pages begin with."""
PAGES = "/app/projects/{project}"

VARIED: dict[str, str] = {
    "overview, two filters": f"{PAGES}/overview?dates=own&{{days}}&{{two_filters}}",
    "overview, compared": f"{PAGES}/overview?dates=own&{{days}}&compare=previous",
    "performance, two filters": f"{PAGES}/performance?dates=own&{{days}}&{{two_filters}}",
    "performance, compared": f"{PAGES}/performance?dates=own&{{days}}&compare=previous",
    "landing pages, one filter": f"{PAGES}/landing-pages?dates=own&{{days}}&{{one_filter}}",
    "attribution, one filter": f"{PAGES}/attribution?dates=own&{{days}}&{{one_filter}}",
    "conversions, two filters": f"{PAGES}/conversions?dates=own&{{days}}&{{two_filters}}",
    "overview, all days": f"{PAGES}/overview?dates=all",
    "a conversion explained": f"{PAGES}/conversions/{{conversion}}",
    "a person": f"{PAGES}/people?dates=own&{{days}}&id={{person}}",
}
"""Pages of the dashboard, asked in other ways than for a range of days."""

_TRACED = re.compile(r"<data ([^>]*data-mart=[^>]*)>")
_ATTRIBUTE = re.compile(r'data-([a-z-]+)="([^"]*)"')


def questions(of: Subject, read_page: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Name and address of each question; `read_page` reads the HTML of an address, empty where there is none.

    Of each page with figures the first one is also asked for its receipt.
    """
    words = of.words()
    pages = {
        title: f"{PAGES}/{slug}?dates=own&{{days}}".format(**words)
        for _, group in MENU
        for slug, title in group
    }
    for name, address in REPORTS.items():
        yield name, address.format(**words)
    for title, address in pages.items():
        yield f"{PAGE}{title}", address
    for name, address in VARIED.items():
        yield f"{PAGE}{name}", address.format(**words)
    for title, address in pages.items():
        asked = receipt_query(read_page(address))
        if asked is not None:
            yield f"receipt: {title}", f"/v1/projects/{words['project']}/receipt?{asked}"
            yield f"{PAGE}receipt of {title}", f"/app/projects/{words['project']}/receipt?{asked}"


def receipt_query(page: str) -> str | None:
    """The query that asks for the rows of a page's first plain figure; None where the page has none."""
    for found in _TRACED.finditer(page):
        said = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(found[1])}
        # Sums and ratios of two figures are asked for in more words, and cost no more.
        if said.keys() <= {"mart", "column", "filter"}:
            mart_and_column = urlencode({"mart": said["mart"], "column": said["column"]})
            return "&".join(filter(None, [mart_and_column, said["filter"]]))
    return None
