"""Filters as addresses say them, and the rows that they leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnelhouse.problems import Refusal
from read_api.filters import DIMENSIONS, Filter, parsed
from read_api.slices import Slice


def test_values_of_one_dimension_and_operator_are_alternatives() -> None:
    asked = [
        "source:is:google",
        "campaign:empty",
        "source:is:bing",
        "source:is:google",
        "",
        "country:is_not:US",
    ]
    found = parsed(asked)
    assert found == (
        Filter("source", "is", ("google", "bing")),
        Filter("campaign", "empty"),
        Filter("country", "is_not", ("US",)),
    )
    assert [each.words for each in found] == [
        "Source is google or bing",
        "Campaign is empty",
        "Country is not US",
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(DIMENSIONS)),
            st.sampled_from(("is", "is_not", "contains")),
            st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=50),
        ),
        max_size=20,
    )
)
def test_what_was_read_is_written_again(asked: list[tuple[str, str, str]]) -> None:
    filters = parsed([":".join(each) for each in asked])
    assert parsed([text for each in filters for text in each.texts]) == filters
    assert {":".join(each) for each in asked} == {text for each in filters for text in each.texts}


@pytest.mark.parametrize(
    "text",
    [
        "source",
        "source:",
        "source:is",
        "source:is:",
        "source:empty:x",
        "source:like:x",
        "project_id:is:other",
        "SOURCE:is:x",
        "source:is:" + "x" * 501,
        "source:is:\0",
        "source:is:a\nb",
    ],
)
def test_what_is_no_filter_is_refused_in_words(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parsed([text])
    assert refused.value.status == 400
    assert refused.value.detail


def test_too_many_are_refused() -> None:
    with pytest.raises(Refusal):
        parsed(["source:is:x"] * 21)


def test_conditions_of_another_mart_hold_of_one_of_its_rows() -> None:
    rows = (
        Slice("fct_conversion_ledger", "shop")
        .where("fct_conversions.country", "DE")
        .where("fct_conversions.fct_sessions.device.not", ("desktop", "tablet"))
        .where("fct_conversions.name.contains", "Sale")
    )
    condition, values = rows.condition
    assert condition == (
        "project_id = ? and conversion_id in (select conversion_id from fct_conversions where project_id = ? "
        "and country = ? and (contains(lower(name), lower(?))) and (session_id is null or session_id not in "
        "(select session_id from fct_sessions where project_id = ? and session_id is not null "
        "and (device in (?, ?)))))"
    )
    assert values == ["shop", "shop", "DE", "Sale", "shop", "desktop", "tablet"]
    assert rows.words == (
        "fct_conversions.country=DE&fct_conversions.fct_sessions.device.not=desktop"
        "&fct_conversions.fct_sessions.device.not=tablet&fct_conversions.name.contains=Sale"
    )


def test_a_column_has_one_condition_for_its_values() -> None:
    rows = Slice("rpt_traffic", "shop").where("source", ("google", "bing"))
    assert rows.where("source", "bing").words == "source=bing"
    assert rows.where("source", ("bing", "x", "google")).words == "source=bing&source=google"
    nothing = rows.where("source", "news")
    assert nothing.words.endswith("&project_id.is=null")
    assert nothing.condition[0].endswith("and project_id is null")
    several = rows.where("source.not", ("a", "b")).where("source.not", "b")
    assert several.words == "source=google&source=bing&source.not=a&source.not=b&source.not=b"
