"""Amounts without a rate to the reporting currency: what sums in one currency leave out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.filters import AskedFilters, AskedModel, Filter, applied
from read_api.parameters import ALL_DAYS, AskedDays, Days
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.projects import asked_model
from read_api.slices import Figure, Slice

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class _Kind:
    """Rows of a mart that have an amount, and the two columns of it; `of_amount` says what is summed."""

    mart: str
    days: str
    amount: str
    converted: str
    having: tuple[tuple[str, object], ...] = ()
    of_amount: bool = False


_KINDS = {
    "conversions": _Kind(
        "fct_conversions",
        "conversion_date",
        "amount_minor",
        "reporting_amount_minor",
        (("state", ("approved", "pending")),),
    ),
    "refunds": _Kind(
        "fct_conversion_ledger",
        "conversion_date",
        "amount_minor",
        "reporting_amount_minor",
        (("conversion_id.is", "null"),),
    ),
    "costs": _Kind("fct_costs", "cost_date", "amount_minor", "reporting_amount_minor", of_amount=True),
}


@dataclass(frozen=True)
class OneCurrency:
    """Whether it makes a difference to a project in which currency amounts are read, all days together."""

    converts: bool
    """Something in another currency has a rate."""
    lacks: bool
    """Something has none."""


@dataclass(frozen=True)
class Left:
    """What has no rate, of one kind in one currency; `number` counts it, or is its amount for costs."""

    kind: str
    currency: str
    number: Figure
    count: int
    minor: int


@dataclass(frozen=True, slots=True)
class Unconverted:
    """Amounts in one currency that can't be converted."""

    kind: Annotated[
        str, Field(description="conversions, refunds (without a sale), or costs (days of a campaign).")
    ]
    currency: Annotated[str, Field(description="That has no rate on their days.")]
    count: Annotated[int, Field(description="How many there are.")]
    amount_minor: Annotated[int, Field(description="As reported, in minor units of that currency.")]


def one_currency(reader: Reader, project_id: str) -> OneCurrency:
    """Of a project; neither for builds of older versions. Found out once for each build."""
    if not reader.can_convert:
        return OneCurrency(converts=False, lacks=False)
    return reader.remembered(("one currency", project_id), lambda: _one_currency(reader, project_id))


def _one_currency(reader: Reader, project_id: str) -> OneCurrency:
    selects, values = [], []
    for kind in _KINDS.values():
        condition, bound = _rows(kind, project_id).condition
        selects.append(
            f"select bool_or({kind.converted} is not null and currency <> reporting_currency), "  # noqa: S608
            f"bool_or({kind.converted} is null) from main.{kind.mart} where {condition}"
        )
        values += bound
    found = reader.rows(" union all ".join(selects), values)
    return OneCurrency(any(converts for converts, _ in found), any(lacks for _, lacks in found))


def unconverted(
    reader: Reader,
    project_id: str,
    days: Days = ALL_DAYS,
    filters: Iterable[Filter] = (),
    model: str = "",
) -> list[Left]:
    """By kind, then currency; filters narrow what they know. No filtered sum has refunds without a sale."""
    if not one_currency(reader, project_id).lacks:
        return []
    asked, found = tuple(filters), []
    for name, kind in _KINDS.items():
        if name == "refunds" and asked:
            continue
        rows = _rows(kind, project_id).where(f"{kind.converted}.is", "null").on(kind.days, days)
        rows = applied(rows, asked, reader, model)
        condition, values = rows.condition
        # Whatever the request reads: it is the amounts as reported that are said.
        of_kind = reader.rows(
            f"select currency, count(*), sum({kind.amount}) from main.{kind.mart} where {condition} "  # noqa: S608
            "group by currency order by currency",
            values,
        )
        for currency, count, minor in of_kind:
            of = rows.where("currency", currency)
            number = (
                of.figure(f"sum({kind.amount})", minor) if kind.of_amount else of.figure("count(*)", count)
            )
            found.append(Left(name, currency, number, count, int(minor)))
    return found


def _rows(kind: _Kind, project_id: str) -> Slice:
    """Those with an amount; nothing is missing where it is 0."""
    rows = Slice(kind.mart, project_id)
    for column, value in kind.having:
        rows = rows.where(column, value)
    return rows.where(f"{kind.amount}.is", "set").where(f"{kind.amount}.not", 0)


@router.get(f"{PATH}/unconverted", response_model=Table[Unconverted])
def unconverted_report(
    caller: ReadCaller, table: AskedTable, days: AskedDays, f: AskedFilters, model: AskedModel
) -> Response:
    """What `money=reporting` leaves out of sums: amounts for whose currency and day no rate is known.

    The ingest API adds rates (`exchange-rates`). Conversions are those approved and pending.
    """
    with table.reading(caller) as reader:
        by_model = asked_model(reader, caller.project_id, model)
        found = unconverted(reader, caller.project_id, days, f, by_model)
        start = table.page.offset
        shown = found[start : start + table.page.limit]
        reader.following = start + len(shown) if start + len(shown) < len(found) else None
        rows = [Unconverted(each.kind, each.currency, each.count, each.minor) for each in shown]
        return table.answer(reader, rows, days)
