"""Native report: credited conversions and money by source, medium or campaign under one attribution model."""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import json_answer
from read_api.publications import Publications

DIMENSIONS = ("source", "medium", "campaign")
DEFAULT_MODEL = "last_touch"

NANO = 9
"""A conversion's credit is counted in 10⁻⁹."""

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

router = APIRouter(tags=["report"])


@router.get("/v1/projects/{project_id}/reports/attribution")
def attribution(
    request: Request,
    caller: ReadCaller,
    model: Annotated[str | None, Query(description="Attribution model; default last_touch.")] = None,
    dimension: Annotated[str | None, Query(description="source (default), medium or campaign.")] = None,
    first: Annotated[str | None, Query(alias="from", description="First day, YYYY-MM-DD.")] = None,
    last: Annotated[str | None, Query(alias="to", description="Last day, included, YYYY-MM-DD.")] = None,
) -> Response:
    """Conversions (exact, to nine decimals) and net money (minor units) by dimension and currency.

    Days are those of the project's time zone, both included; without `from` or `to` the whole history. Most
    conversions first.
    """
    dimension = dimension or "source"
    if dimension not in DIMENSIONS:
        raise Refusal(400, "dimension must be one of " + ", ".join(DIMENSIONS))
    first_day, last_day = _day("from", first), _day("to", last)
    if first_day and last_day and first_day > last_day:
        raise Refusal(400, "from must not be after to")
    model = model or DEFAULT_MODEL

    publications: Publications = request.app.state.publications
    with publications.current() as reader:
        models = reader.facts["attribution_models"]
        if model not in models:
            raise Refusal(400, "model must be one of " + ", ".join(models))
        rows = reader.rows(
            f"select {dimension}, currency, sum(credit_nano), sum(net_amount_minor) "  # noqa: S608
            "from rpt_attribution where project_id = ? and model = ? and report_date between ? and ? "
            f"group by {dimension}, currency order by 3 desc, {dimension} nulls last, currency",
            [caller.project_id, model, first_day or date.min, last_day or date.max],
        )
    return json_answer(
        {
            "model": model,
            "dimension": dimension,
            "from": first_day,
            "to": last_day,
            "build": reader.build_id,
            "rows": [
                {dimension: value, "currency": currency, **_figures(nano, minor)}
                for value, currency, nano, minor in rows
            ],
            "totals": _totals(rows),
        },
        reader.build_id,
    )


def _totals(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, object]]:
    sums: dict[str, tuple[int, int]] = {}
    for _, currency, nano, minor in rows:
        nano_so_far, minor_so_far = sums.get(currency, (0, 0))
        sums[currency] = (nano_so_far + nano, minor_so_far + minor)
    return [{"currency": currency, **_figures(*sums[currency])} for currency in sorted(sums)]


def _figures(credit_nano: int, net_amount_minor: int) -> dict[str, object]:
    # Decimals, so that neither nine digits after the point nor sums beyond 64 bits are rounded or refused.
    conversions = Decimal(credit_nano).scaleb(-NANO)
    if conversions == conversions.to_integral_value():
        conversions = conversions.to_integral_value()
    return {"conversions": conversions, "net_amount_minor": Decimal(net_amount_minor)}


def _day(name: str, text: str | None) -> date | None:
    """The day, None when not given ('' is not given); raises Refusal 400."""
    if not text:
        return None
    try:
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Refusal(400, f"{name} must be a date as YYYY-MM-DD")
