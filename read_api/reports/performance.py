"""Performance as a report: the table of `read_api/performance.py` over HTTP, as JSON or as a file."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import AskedFormat, Exact, csv_lines_answer, json_answer, reading
from read_api.comparison import AskedComparison
from read_api.filters import DIMENSIONS, AskedFilters
from read_api.parameters import (
    ALL_DAYS,
    AskedBuild,
    AskedCurrency,
    AskedDays,
    AskedMoney,
    AskedPage,
    cursor,
    one_of,
)
from read_api.performance import performance
from read_api.performance_lines import (
    CHANGE,
    COLUMNS,
    DAYS_OF,
    DEFAULT_COLUMNS,
    MOST_DIMENSIONS,
    MOST_NAMED,
    OF_CONVERSIONS,
    OF_MONEY,
    Asked,
    Line,
    Performance,
    Value,
)
from read_api.reports import PATH
from read_api.reports.projects import project

router = APIRouter(tags=["reports"])


class Money(BaseModel):
    """Amounts of a row in one currency, in minor units; null for what is not known or not asked for."""

    currency: str
    net_amount_minor: int | None = Field(description="Net revenue credited.")
    aov_minor: int | None = Field(description="Net revenue over approved conversions in this currency.")
    spend_minor: int | None = Field(description="Ad spend; of a landing page its share of it.")
    cpa_minor: int | None = Field(
        description="Spend over all conversions, rounded half away from zero; null with spend in several "
        "currencies."
    )
    roas: Exact | None = Field(description="Net revenue over spend in this currency, four decimals.")
    profit_minor: int | None = Field(description="Net revenue less spend in this currency.")


class Figures(BaseModel):
    """Figures of a row on some days; null where they are not known or were not asked for."""

    sessions: int | None = Field(description="Sessions that began on these days, without those of bots.")
    people: int | None = Field(description="People with such a session; those of several rows overlap.")
    conversions: Exact | None = Field(
        description="Approved and pending conversions, as the model credits them."
    )
    pending: Exact | None = Field(description="Conversions that wait for approval.")
    conversion_rate: Exact | None = Field(description="Conversions over sessions, six decimals.")
    named: dict[str, Exact | None] = Field(
        description="Conversions by the columns `conversion:<name>` and `goal:<id>`."
    )
    money: list[Money] = Field(description="By currency: nothing is compared across currencies.")


class PerformanceRow(Figures):
    """A row, the total, or all rows that are not on the page."""

    values: list[str | None] = Field(description="One for each dimension of `by`; empty for totals.")
    compared: Figures | None = Field(description="The same of the compared days; null without any.")
    reasons: dict[str, str] = Field(description="By column why it has no figure, or not all of it.")


class RefundWithoutSale(BaseModel):
    """Refunds without a sale in one currency."""

    currency: str
    amount_minor: int = Field(description="Not above 0; `total` does not have it taken off.")


class PerformanceAnswer(BaseModel):
    """Rows, all others and the total."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    first: str | None = Field(alias="from")
    last: str | None = Field(alias="to")
    compared_from: str | None = Field(description="First of the compared days; null without any.")
    compared_to: str | None = Field(description="Last of the compared days; null without any.")
    by: list[str] = Field(description="Dimensions of the rows.")
    model: str = Field(description="Attribution model of the credit.")
    days_of: str = Field(description="Whether conversions stand on their own day or on that of their click.")
    columns: list[str] = Field(description="The columns asked for.")
    rows: list[PerformanceRow]
    other: PerformanceRow | None = Field(
        description="All rows that are not on this page; null where there are none, or where they overlap."
    )
    others: int = Field(description="How many rows are not on this page.")
    total: PerformanceRow
    refunds_without_sale: list[RefundWithoutSale] = Field(
        description="What is taken off the total to make net revenue; empty where anything is filtered."
    )
    without_click: Exact | None = Field(
        description="Conversions that `days_of=click` leaves out, because no click is known; else null."
    )
    next: str | None


_COUNTED = ("sessions", "people", "conversions", "pending", "conversion_rate")


def rounded(value: Value, column: str) -> Decimal | int | None:
    """As answers and files have it: amounts in minor units, a half away from zero."""
    number = value.number
    if number is None or column in ("sessions", "people"):
        return None if number is None else int(number)
    if column == "conversion_rate":
        return round(number, 6)
    if column == "roas":
        return round(number, 4)
    if column in OF_MONEY:
        return int(number.quantize(Decimal(1), "ROUND_HALF_UP"))
    whole = number.to_integral_value()
    return whole if whole == number else number


def _said(line: Line, asked: Asked, period: int) -> dict[str, Any]:
    """The figures of one period, as an answer has them."""
    found: dict[str, Any] = dict.fromkeys(_COUNTED)
    money: dict[str, dict[str, Any]] = {}
    names = {name: name if name == "roas" else f"{name}_minor" for name in OF_MONEY}
    for column in asked.columns:
        for value in line.cells(column, period):
            if column in OF_MONEY:
                of = money.setdefault(str(value.currency), dict.fromkeys(names.values()))
                of[names[column]] = rounded(value, column)
            elif column in _COUNTED:
                found[column] = rounded(value, column)
    found["named"] = {
        column: next((rounded(value, column) for value in line.cells(column, period)), None)
        for column in asked.named
    }
    found["money"] = [{"currency": each, **money[each]} for each in line.in_order(money)]
    return found


def _row(line: Line, asked: Asked) -> dict[str, Any]:
    plain = replace(line, refunds=[])
    return {
        "values": line.values,
        **_said(plain, asked, 0),
        "compared": _said(plain, asked, 1) if asked.compared else None,
        "reasons": {column: why for column in asked.columns if (why := line.why(column))},
    }


def file_lines(found: Performance) -> tuple[list[str], list[list[Any]]]:
    """The table as a file: heads, and the rows, each amount in a column of its currency."""
    asked = found.asked
    periods = [(0, ""), *([(1, "_compared")] if asked.compared else [])]
    heads = list(asked.by)
    cells: list[tuple[str, int, str | None]] = []
    for column in asked.columns:
        of_money = column in OF_MONEY
        for period, suffix in periods:
            for currency in (*found.currencies,) if of_money else (None,):
                minor = "_minor" if of_money and column != "roas" else ""
                heads.append(f"{column}{minor}{f'_{currency}' if currency else ''}{suffix}")
                cells.append((column, period, currency))
    rows = [
        [
            *line.values,
            *(
                next((rounded(v, column) for v in line.cells(column, period) if v.currency == currency), None)
                for column, period, currency in cells
            ),
        ]
        for line in found.lines
    ]
    return heads, rows


def chosen_columns(text: str | None) -> tuple[str, ...]:
    """The columns of an address, parted by commas; raises Refusal 400."""
    if not text:
        return DEFAULT_COLUMNS
    found = tuple(dict.fromkeys(each for each in text.split(",") if each))
    for each in found:
        kind, colon, value = each.partition(":")
        is_named = kind in OF_CONVERSIONS and colon and value and value.isprintable()
        if each not in COLUMNS and not is_named:
            raise Refusal(
                400,
                "columns must be of "
                + ", ".join(COLUMNS)
                + ", conversion:<name>, goal:<id>, parted by commas",
            )
    if sum(":" in each for each in found) > MOST_NAMED:
        raise Refusal(400, f"columns may name {MOST_NAMED} conversions and goals at most")
    return found or DEFAULT_COLUMNS


def chosen_dimensions(text: str | None) -> tuple[str, ...]:
    """The dimensions of an address, parted by commas; raises Refusal 400."""
    found = tuple(each for each in (text or "source").split(",") if each)
    unknown = [each for each in found if each not in DIMENSIONS]
    if unknown or not found or len(found) > MOST_DIMENSIONS or len(set(found)) < len(found):
        raise Refusal(
            400,
            f"by must be up to {MOST_DIMENSIONS} different dimensions, parted by commas, of "
            + ", ".join(DIMENSIONS),
        )
    return found


def chosen_order(text: str | None, by: Sequence[str], columns: Sequence[str], compared: bool) -> str:
    """What rows are sorted by, with a minus for the highest first; raises Refusal 400."""
    if not text:
        return f"-{'sessions' if 'sessions' in columns or not columns else columns[0]}"
    known = [*by, *columns, *([f"{each}{CHANGE}" for each in columns] if compared else [])]
    if text.removeprefix("-") not in known:
        raise Refusal(400, "sort must be one of " + ", ".join(known) + ", with a minus for the highest first")
    return text


def searched(text: str | None) -> str:
    """What the first dimension must contain; raises Refusal 400."""
    found = (text or "").strip()
    if len(found) > 500 or not found.isprintable():
        raise Refusal(400, "search has at most 500 printable characters")
    return found


async def _asked(
    days: AskedDays,
    filters: AskedFilters,
    comparison: AskedComparison,
    by: Annotated[
        str | None,
        Query(
            description="What rows are by: up to three dimensions, parted by commas, of "
            + ", ".join(DIMENSIONS)
            + "; default source."
        ),
    ] = None,
    model: Annotated[
        str | None, Query(description="Attribution model; default the project's default model.")
    ] = None,
    days_of: Annotated[
        str | None,
        Query(
            description="conversion (default): conversions stand on their own day; click: on the day of the "
            "click that is credited."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        Query(
            description="Figures, parted by commas, of "
            + ", ".join(COLUMNS)
            + ", and conversion:<name> or goal:<id> for conversions of one name or goal; default "
            + ", ".join(DEFAULT_COLUMNS)
            + "."
        ),
    ] = None,
    sort: Annotated[
        str | None,
        Query(
            description="A dimension or column, with a minus for the highest first; with `_change` at its "
            "end, by how it changed against the compared days. Default -sessions."
        ),
    ] = None,
    search: Annotated[
        str | None, Query(description="Only rows whose first dimension contains this; the total is of them.")
    ] = None,
) -> Asked:
    dimensions, chosen = chosen_dimensions(by), chosen_columns(columns)
    compared = comparison.days(days) if comparison else None
    if comparison and compared is None:
        raise Refusal(400, "compare needs from and to, so that there are days before them")
    return Asked(
        dimensions,
        days,
        compared,
        filters,
        (),
        model or "",
        one_of("days_of", days_of, DAYS_OF, "conversion"),
        chosen,
        chosen_order(sort, dimensions, chosen, compared is not None),
        searched(search),
    )


AskedPerformance = Annotated[Asked, Depends(_asked)]


@router.get(f"{PATH}/performance", response_model=PerformanceAnswer)
def performance_report(
    request: Request,
    caller: ReadCaller,
    build: AskedBuild,
    page: AskedPage,
    form: AskedFormat,
    currency: AskedCurrency,
    money: AskedMoney,
    asked: AskedPerformance,
) -> Response:
    """Sessions, conversions, net revenue and ad spend by up to three dimensions, compared with other days.

    Filters by conversion and goal narrow conversions, not sessions and spend. Each amount is in its currency,
    and ratios are of two amounts in one. `format=csv` has the rows with the columns asked for.
    """
    with reading(request, caller, page.build_id or build, money) as reader:
        asked = replace(asked, page=page.page)
        found = performance(reader, caller.project_id, asked)
        following = cursor(reader.build_id, found.following)
        if form == "csv":
            return csv_lines_answer(request, *file_lines(found), reader.build_id, following)
        rows = [_row(line, asked) for line in found.lines]
        other = _row(found.other, asked) if found.other else None
        total = _row(found.total, asked)
        for row in (*rows, *([other] if other else []), total):
            for each in (row, row["compared"] or {}):
                each["money"] = [m for m in each.get("money", ()) if currency in (None, m["currency"])]
        compared = asked.compared or ALL_DAYS
        content = {
            "build": reader.build_id,
            "from": asked.days.first,
            "to": asked.days.last,
            "compared_from": compared.first,
            "compared_to": compared.last,
            "by": asked.by,
            "model": asked.model or project(reader, caller.project_id).default_model,
            "days_of": asked.days_of,
            "columns": asked.columns,
            "rows": rows,
            "other": other,
            "others": found.others,
            "total": total,
            "refunds_without_sale": [
                {"currency": each, "amount_minor": found.refunds[each].total}
                for each in found.currencies
                if each in found.refunds and currency in (None, each)
            ],
            "without_click": found.unclicked.total if found.unclicked else None,
            "next": following,
        }
        return json_answer(request, content, reader.build_id)
