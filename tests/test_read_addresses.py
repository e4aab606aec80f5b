"""What the benchmark of reads asks: every page of the menu, and what a page's first figure is made of."""

from urllib.parse import parse_qsl, urlsplit

from benchmarks.read_addresses import EMPTY, PAGE, Subject, questions, receipt_query
from read_api.dashboard.view import MENU

OF = Subject("shop", "2026-03-01", "2026-03-30", "shop/a:b & c", "p 1", "DE", "a&b=c")
FIGURE = (
    '<data data-mart="rpt_traffic" data-column="sum(pending)" data-filter="x=1" data-over-mart="m">9</data>'
    '<data data-mart="rpt_traffic" data-column="sum(sessions)"'
    ' data-filter="dimension=source&amp;report_date.from=2026-03-01">1,234</data>'
)


def test_the_first_plain_figure_of_a_page_is_asked_for_its_rows() -> None:
    query = receipt_query(f"<p>{FIGURE}</p>")
    assert query is not None
    assert parse_qsl(query) == [
        *(("mart", "rpt_traffic"), ("column", "sum(sessions)")),
        *(("dimension", "source"), ("report_date.from", "2026-03-01")),
    ]
    assert receipt_query("<p>1,234</p>") is None


def test_each_page_of_the_menu_is_asked_and_what_it_shows() -> None:
    asked = dict(questions(OF, lambda path: FIGURE if "/goals?" in path else ""))
    titles = [title for _, pages in MENU for _, title in pages]
    assert {f"{PAGE}{title}" for title in titles} <= asked.keys()
    assert [name for name in asked if "receipt" in name] == ["receipt: Goals", f"{PAGE}receipt of Goals"]
    assert next(iter(asked)) == EMPTY
    for path in asked.values():
        assert "{" not in path
        assert " " not in path
    two = parse_qsl(urlsplit(asked[f"{PAGE}overview, two filters"]).query)
    assert [value for name, value in two if name == "f"] == ["country:is:DE", "source:is:a&b=c"]
