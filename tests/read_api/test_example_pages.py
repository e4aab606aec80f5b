"""Pages of the dashboard over example marts, without a browser."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from example_marts import EXAMPLE_ROWS, Rows, contract
from example_outbox import define_destinations
from example_story import CONVERSION, STORY
from pages import pages_of

from funnelhouse.settings import CHECKOUT, Settings
from publication.derived import CONVERSION_PATHS, CONVERTING_SESSIONS
from publication.layout import published_builds
from publication.publishing import hold, release
from read_api.dashboard.view import MENU
from read_api.reader import Reader

# What is read only when somebody asks for it, besides the page itself.
ASKED_FOR = {
    "attribution": ["attribution?goal=lead"],
    "conversions": [f"conversions/{quote(CONVERSION, safe='')}"],
    "destinations": ["destinations/meta/preview"],
    "overview": ["overview?outcomes=events&dates=all", "overview?dates=own&from=2026-11-02&to=2026-11-02"],
    "goals": ["goals/preview?match_type=event_name&value=signup"],
    "paths": ["paths?dates=all"],
    "people": ["people?id=u1"],
}

MADE_OF = {CONVERSION_PATHS: "fct_attribution", CONVERTING_SESSIONS: "fct_sessions"}
"""The mart whose rows a derived table has."""

Shop = Callable[[str], str]


def signed_in(home: Settings, rows: Rows) -> Shop:
    """`shop(path)`: the text of a page of the shop, tags left out."""
    page = pages_of(home, rows)

    def shop(path: str) -> str:
        return " ".join(unescape(re.sub("<[^>]+>", " ", page(path))).split())

    return shop


def test_exposures_name_what_pages_read(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    marts = contract().keys()
    read: set[str] = set()
    first_rows = Reader.first_rows

    # What `rows` and `page` read goes through it as well.
    def noted(self: Reader, sql: str, *asked: Any) -> tuple[list[tuple[Any, ...]], bool]:
        # What is summed further, or made of marts when they are published, is read all the same.
        words = re.sub(r"summed\.(\w+)_\d+", r"\1", sql)
        for table, mart in MADE_OF.items():
            words = words.replace(f"derived.{table}", mart)
        read.update(marts & set(re.findall(r"\w+", words)))
        return first_rows(self, sql, *asked)

    monkeypatch.setattr(Reader, "first_rows", noted)
    # What is read once per build is what each page depends on.
    monkeypatch.setattr(Reader, "remembered", lambda self, question, read: read())
    define_destinations(home)
    shop = signed_in(home, EXAMPLE_ROWS)
    found = {}
    for slug, title in (page for _, pages in MENU for page in pages):
        read.clear()
        for path in (slug, *ASKED_FOR.get(slug, [])):
            shop(path)
        if read:
            found[title] = set(read)
    assert found == exposed_pages()


def exposed_pages() -> dict[str, set[str]]:
    """Marts by the label of the page."""
    said = yaml.safe_load((CHECKOUT / "dbt_project/models/exposures.yml").read_text(encoding="utf-8"))
    return {
        each["label"]: {ref.split("'")[1] for ref in each["depends_on"]}
        for each in said["exposures"]
        if each["type"] == "dashboard"
    }


def test_pages_say_that_the_operator_went_back_to_a_build(home: Settings) -> None:
    shop = signed_in(home, EXAMPLE_ROWS)
    said = "The operator went back to the build of"
    assert said not in shop("overview")
    hold(home.published_dir, published_builds(home.published_dir)[-1])
    assert said in shop("overview")
    release(home.published_dir)
    assert said not in shop("overview")


def test_without_journeys_channel_importance_says_what_to_send(home: Settings) -> None:
    shop = signed_in(home, {**EXAMPLE_ROWS, "rpt_channel_importance": []})
    assert "No journeys yet" in shop("channel-importance")


def test_a_path_of_several_currencies_has_one_median(home: Settings) -> None:
    [path] = STORY["rpt_paths"]
    blog = {**path, "path_rank": 2, "path": "blog", "path_median_seconds": 9000}
    rows = [
        path,
        {**blog, "currency": "EUR", "median_seconds": 7200},
        {**blog, "currency": "USD", "median_seconds": 10800},
    ]
    shop = signed_in(home, {**EXAMPLE_ROWS, "rpt_paths": rows})
    listed = shop("paths?dates=all").split("Median time")[1]
    assert "blog 2 USD 39.99 EUR 39.99 2.5 h news → google 1 USD 39.99 24.0 h" in listed
    assert "Total of frequent paths 3 USD 79.98 EUR 39.99" in listed


def test_a_funnels_times_count_from_its_first_step(home: Settings) -> None:
    steps = [step for step in STORY["rpt_funnels"] if step["source"] == "google"]
    shop = signed_in(home, {**EXAMPLE_ROWS, "rpt_funnels": steps})
    page = shop("funnels?dates=all")
    assert "40.0% went on, half of them within 60 s of the first step; 3 dropped out" in page
