"""What addresses ask for: kept from page to page, obeyed or said, and never an error or another filter."""

import asyncio
from collections.abc import Callable
from html import unescape
from urllib.parse import quote

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, new_key, publish_rows
from servers import free_port

from funnelhouse.settings import Settings
from read_api.app import create_app
from read_api.dashboard.access import COOKIE
from read_api.dashboard.view import MENU
from read_api.filters import DIMENSIONS

Get = Callable[[str], httpx.Response]

PAGES = [slug for _, pages in MENU for slug, _ in pages]
WITH_FIGURES = [slug for slug in PAGES if slug not in ("setup", "live")]

HOSTILE = (
    "f=source:is:" + "x" * 501,
    "f=" + "&f=".join(f"source:is:{number}" for number in range(21)),
    "f=source:like:google",
    "f=project_id:is:other",
    "f=source",
    "f=source:empty:x",
    "f=source:is:%00",
    "f=source:is:a%0Ab",
    "f=source:is:%ED%A0%80%0D",
    "f=%27%20or%201=1%20--:is:x",
    "country=DEU",
    "model=best",
    "model=%27",
    "dates=sometime",
    "dates=own&from=2026-02-30&to=2026-03-01",
    "compare=moon",
    "compare=own&compare_from=2026-02-02&compare_to=2026-02-01",
    "compare=own&compare_from=x",
)
ODD = (
    "f=source:is:%27%3B%20drop%20table%20x%3B--",
    "f=source:contains:%25",
    "f=source:is:" + quote("<script>alert(1)</script>"),
    "f=" + quote("landing_page:is:/" + "ü" * 480),
    "f=source:is:%F0%9F%98%80&f=source:is_not:%F0%9F%98%80",
    "&".join(f"f={dimension}:set" for dimension in DIMENSIONS),
    "&".join(f"f={dimension}:is_not:x&f={dimension}:contains:x" for dimension in list(DIMENSIONS)[:10]),
    "country=de",
    "f=&f=",
    "dates=own",
    "dates=own&from=2026-11-03&to=2026-11-01",
    "compare=own",
    "pages=x&self=y&rows=more&_Context__self=1",
    "filter_page=x&filter_value=y",
)
"""What can be read, however strange it is."""


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Get:
    """Pages of the shop, by someone who is signed in."""
    home = Settings(home=tmp_path_factory.mktemp("filtered") / "home")
    publish_rows(home, EXAMPLE_ROWS)
    app = create_app(home.model_copy(update={"ingest_url": f"http://127.0.0.1:{free_port()}"}))
    session_id, _ = app.state.sessions.begin(new_key(home))

    async def answer(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://read", cookies={COOKIE: session_id}
        ) as client:
            return await client.get(f"/app/projects/shop/{path}")

    return lambda path: asyncio.run(answer(path))


@pytest.mark.parametrize("query", HOSTILE)
def test_what_cannot_be_read_is_said_with_a_way_back(get: Get, query: str) -> None:
    for page in (*WITH_FIGURES, "filter-values", "conversions-export"):
        answer = get(f"{page}?f=country:is:FR&{query}")
        assert answer.status_code == 400, (page, answer.text[:300])
        assert "This address cannot be read" in answer.text, page
        assert "<data " not in answer.text, "no figures of another filter"
        if page not in ("conversions", "data-trust"):
            continue
        back = unescape(answer.text.split('class="button primary" href="')[1].split('"')[0])
        assert get(back.removeprefix("/app/projects/shop/")).status_code == 200, (page, back)
        if not query.startswith("f=source:is:0"):
            assert "country%3Ais%3AFR" in back, "what can be read stays"
    for page in ("setup", "live"):
        assert get(f"{page}?{query}").status_code == 200, "there is nothing to filter"


@pytest.mark.parametrize("query", ODD)
def test_whatever_can_be_read_is_a_page(get: Get, query: str) -> None:
    for page in (*PAGES, "filter-values", "conversions?state=pending"):
        answer = get(f"{page}{'&' if '?' in page else '?'}{query}")
        assert answer.status_code in (200, 303), (page, answer.text[:300])
        assert "<script>alert" not in answer.text, page


def test_all_that_is_asked_stays_in_the_menu(get: Get) -> None:
    asked = (
        "f=source%3Ais%3Agoogle&f=country%3Ais%3ADE&model=linear"
        "&compare=own&compare_from=2026-11-01&compare_to=2026-11-02"
    )
    page = unescape(get(f"conversions?dates=all&{asked}&state=approved&offset=50").text)
    for slug in PAGES:
        assert f"/app/projects/shop/{slug}?dates=all&{asked}" in page, slug
    clear = page.split('id="clear-filters" href="')[1].split('"')[0]
    assert ("state=approved" in clear, "offset" in clear, "f=" in clear) == (True, False, False)


def test_a_country_of_an_old_address_is_a_filter(get: Get) -> None:
    page = get("conversions?country=fr&dates=all").text
    assert "Country is FR" in page
    assert "f=country%3Ais%3AFR" in page
    assert "country=fr" not in page


def test_filters_are_added_by_the_form(get: Get) -> None:
    added = get(
        "add-filter?filter_page=goals&dates=all&f=country:is:FR&measure=x&filter_operator=is_not"
        "&filter_value=source:google&filter_value=landing_page:/a:b&filter_value=nothing"
    )
    assert added.status_code == 303
    assert unescape(added.headers["location"]) == (
        "/app/projects/shop/goals?dates=all&f=country%3Ais%3AFR&f=source%3Ais_not%3Agoogle"
        "&f=landing_page%3Ais_not%3A%2Fa%3Ab&measure=x"
    )
    empty = get("add-filter?filter_page=//evil.example&filter_dimension=term&filter_operator=empty")
    assert empty.headers["location"] == "/app/projects/shop/overview?f=term%3Aempty"


def test_a_filter_without_match_and_an_unknown_value_are_said(get: Get) -> None:
    page = get("conversions?dates=all&f=country:is:FR&f=conversion:is:nobody+named+it").text
    assert "not in this build" in page
    assert "Remove “Conversion is nobody named it”" in page
    assert page.count("not in this build") == 1


def test_values_are_found_by_what_they_contain(get: Get, server: ReadServer) -> None:
    rows = server.get("/v1/projects/shop/filter-values", q="OO", limit="3").json()["rows"]
    assert {(row["dimension"], row["value"]) for row in rows} >= {("source", "google")}
    assert all("oo" in row["value"].lower() for row in rows)
    counts = [row["count"] for row in rows if row["dimension"] == "source"]
    assert counts == sorted(counts, reverse=True)
    page = get("filter-values?dates=all&filter_text=OO").text
    assert 'value="source:google"' in page
    every = server.get("/v1/projects/shop/filter-values").json()["rows"]
    order = [row["dimension"] for row in every]
    assert order == sorted(order, key=list(DIMENSIONS).index)
    for bad in ({"dimension": "colour"}, {"limit": "101"}, {"from": "x"}, {"f": "source:is:x"}):
        assert server.get("/v1/projects/shop/filter-values", **bad).status_code == 400


def test_reports_take_filters_or_name_what_they_take(server: ReadServer) -> None:
    path = "/v1/projects/shop/reports"
    every = server.get(f"{path}/conversions").json()["rows"]
    found = server.get(f"{path}/conversions", f="country:is:FR").json()["rows"]
    assert (
        found
        == [row for row in every if row["country"] == "FR"]
        == server.get(f"{path}/conversions", country="FR").json()["rows"]
    )
    rest = server.get(f"{path}/conversions", f="country:is_not:FR").json()["rows"]
    assert len(found) + len(rest) == len(every)
    part = server.get(f"{path}/conversions", currency=every[0]["currency"], amount_from_minor="1").json()[
        "rows"
    ]
    assert all(row["amount_minor"] >= 1 for row in part)
    for report, f in (("costs", "country:is:DE"), ("funnels", "term:empty"), ("experiments", "source:is:x")):
        answer = server.get(f"{path}/{report}", f=f)
        assert answer.status_code == 400, report
        assert "f takes here" in answer.json()["detail"]
    for report, bad in (
        ("conversions", {"f": "source:like:x"}),
        ("conversions", {"model": "best"}),
        ("conversions", {"amount_from_minor": "1"}),
        ("goals", {"f": "x"}),
    ):
        assert server.get(f"{path}/{report}", **bad).status_code == 400, (report, bad)


def test_the_list_is_exported_as_it_is_shown(get: Get) -> None:
    answer = get("conversions-export?dates=all&f=country:is:FR&state=approved")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert all(",FR," in line for line in answer.text.splitlines()[1:])
