"""Credited conversions and money by source, medium or campaign: several attribution models side by side."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import AskedFormat, Exact, csv_answer, json_answer, of_nano, reading
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
from read_api.parameters import (
    ALL_DAYS,
    FIRST_PAGE,
    AskedBuild,
    AskedCurrency,
    AskedDays,
    AskedMoney,
    AskedPage,
    Days,
    Page,
    cursor,
    one_of,
)
from read_api.reader import PAGE_BYTES, Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import Condition, matching, must_have
from read_api.reports.projects import project
from read_api.slices import Slice
from read_api.summed import relation_of

DIMENSIONS = ("source", "medium", "campaign", "channel")

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """What is credited; of one goal's conversions when `goal_id` is given."""

    models: tuple[str, ...]
    dimension: str = "source"
    days: Days = ALL_DAYS
    currency: str | None = None
    goal_id: str | None = None
    page: Page = FIRST_PAGE
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Credit:
    """Credit of one model for one value of the dimension, in one currency."""

    value: Annotated[str | None, Field(description="Value of the dimension.")]
    currency: str
    model: str
    conversions: Annotated[Exact, Field(description="Approved and pending; exact to nine decimals.")]
    net_amount_minor: Annotated[int, Field(description="Minor units.")]


@dataclass(frozen=True, slots=True)
class ModelTotal:
    """All credit of one model in one currency."""

    currency: str
    model: str
    conversions: Exact
    net_amount_minor: int


class Attribution(BaseModel):
    """Credit by dimension, and the totals of each model, which are equal but for their currency's pending."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    models: list[str]
    dimension: str
    first: str | None = Field(alias="from")
    last: str | None = Field(alias="to")
    rows: list[Credit]
    totals: list[ModelTotal]
    next: str | None


def credits(reader: Reader, project_id: str, filters: Filters) -> list[Credit]:
    """Rows of a value and currency stand together, in the order of `models`; most conversions of the first
    model come first. Of each value and currency every model has a row. Pages are cut by value and currency.

    Raises Refusal 400 for a dimension that this build lacks.
    """
    by = filters.dimension
    must_have(reader, _mart(filters), by)
    relation, (condition, parameters) = _rows(reader, project_id, filters, by)
    # One pair of bound parameters for each model.
    by_model = ", ".join(
        "sum(credit_nano) filter (where model = ?), sum(net_amount_minor) filter (where model = ?)"
        for _ in filters.models
    )
    found = reader.page(
        f"""
        select {by}, currency, {by_model}
        from {relation}
        where {condition}
        group by {by}, currency
        order by 3 desc nulls last, {by} nulls last, currency
        limit ? offset ?
        """,  # noqa: S608
        [*(name for model in filters.models for name in (model, model)), *parameters],
        filters.page,
        # Each value is written once per model.
        PAGE_BYTES // len(filters.models),
    )
    return [
        Credit(value, currency, model, of_nano(figures[2 * number] or 0), figures[2 * number + 1] or 0)
        for value, currency, *figures in found
        for number, model in enumerate(filters.models)
    ]


def totals(reader: Reader, project_id: str, filters: Filters) -> list[ModelTotal]:
    """All credit by currency and model, in the order of `models`."""
    relation, (condition, parameters) = _rows(reader, project_id, filters)
    found = reader.rows(
        f"""
        select {columns(ModelTotal, "net_amount_minor", conversions="sum(credit_nano)")}
        from {relation}
        where {condition}
        group by currency, model
        order by currency
        """,  # noqa: S608
        parameters,
    )
    rows = [replace(row, conversions=of_nano(int(row.conversions))) for row in made(ModelTotal, found)]
    return sorted(rows, key=lambda row: (row.currency, filters.models.index(row.model)))


@router.get(f"{PATH}/attribution", response_model=Attribution)
def attribution(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    currency: AskedCurrency,
    asked: AskedPage,
    form: AskedFormat,
    given: AskedFilters,
    money: AskedMoney,
    model: Annotated[
        str | None,
        Query(description="Attribution models, parted by commas; default the project's default model."),
    ] = None,
    dimension: Annotated[
        str | None, Query(description="source (default), medium, campaign or channel.")
    ] = None,
    goal_id: Annotated[
        str | None, Query(description="Only conversions that completed this goal; goals overlap.")
    ] = None,
) -> Response:
    """Conversions and net money by source, medium or campaign and currency, under one model or several.

    Days are those of the project's time zone, both included; without `from` or `to` the whole history. Most
    conversions of the first model first. A page counts values, each with a row per model.
    """
    by = one_of("dimension", dimension, DIMENSIONS, "source")
    with reading(request, caller, asked.build_id or build, money) as reader:
        known = reader.facts["attribution_models"]
        asked_for = model.split(",") if model else [project(reader, caller.project_id).default_model]
        models = tuple(dict.fromkeys(asked_for))
        if not set(models) <= set(known):
            raise Refusal(400, "model must be one of " + ", ".join(known) + "; or several, parted by commas")
        filters = Filters(models, by, days, currency, goal_id or None, asked.page, given)
        refuse_not_applied(_mart(filters), given, reader)
        rows = credits(reader, caller.project_id, filters)
        following = cursor(reader.build_id, reader.following)
        if form == "csv":
            return csv_answer(request, rows, reader.build_id, following)
        content = {
            "build": reader.build_id,
            "models": models,
            "dimension": by,
            "from": days.first,
            "to": days.last,
            "rows": rows,
            "totals": totals(reader, caller.project_id, filters),
            "next": following,
        }
        return json_answer(request, content, reader.build_id)


def _mart(filters: Filters) -> str:
    return "rpt_goal_attribution" if filters.goal_id else "rpt_attribution"


def _rows(reader: Reader, project_id: str, filters: Filters, *columns: str) -> tuple[str, Condition]:
    """Where sums by these columns are read from, and the condition of what is asked for."""
    mart = _mart(filters)
    filtered = applied(Slice(mart, project_id), filters.filters, reader, "")
    condition, values = matching(
        project_id, "report_date", filters.days, {"currency": filters.currency, "goal_id": filters.goal_id}
    )
    marks = ", ".join("?" for _ in filters.models)
    narrowed, more = filtered.condition
    # No other mart has goals, nor is one of those with goals summed further.
    relation = relation_of(reader, filtered, ("report_date", "model", "currency", *columns))
    condition = f"{condition} and model in ({marks}) and {narrowed}"
    return relation, (condition, [*values, *filters.models, *more])
