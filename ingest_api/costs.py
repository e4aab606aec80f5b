"""Ad spend over HTTP: rows are only ever added, and the models take the latest of an origin's day."""

import re
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import PlainValidator, ValidationError, WithJsonSchema

from funnelhouse.auth import AdminCaller
from funnelhouse.problems import Refusal
from ingest_api.fields import Currency, errors
from ingest_api.idempotency import PARAMETER, once
from ingest_api.native import Amount, NonEmpty, OwnShape, described_body, json_answer, shaped
from ingest_api.requests import is_dry_run, land, now_us, read_known
from record.contract import Cost, row_values

MAX_ITEMS = 1000

router = APIRouter()

_NO_MEDIUM = "(none)"
"""What `fct_costs` takes a missing medium for."""

_DAY = re.compile(r"2[01][0-9]{2}-[0-9]{2}-[0-9]{2}")
_cost_row = row_values(Cost)


def checked_day(value: Any) -> str:
    """A day as text, YYYY-MM-DD. Raises ValueError."""
    try:
        if isinstance(value, str) and _DAY.fullmatch(value) and date.fromisoformat(value).year <= 2100:
            return value
    except ValueError:
        pass  # E.g. the 30th of February.
    raise ValueError("must be a day in the years 2000 to 2100, e.g. 2026-01-31")


Day = Annotated[str, PlainValidator(checked_day), WithJsonSchema({"type": "string", "format": "date"})]


class CostReport(OwnShape):
    """What was spent on an origin on one day of the project's time zone, in major units of the currency."""

    day: Day
    source: NonEmpty
    medium: NonEmpty | None = None
    campaign: NonEmpty | None = None
    amount: Amount
    currency: Currency


_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_ITEMS,
    "items": CostReport.model_json_schema(),
}

EXAMPLE = [
    {
        "day": "2026-01-31",
        "source": "google",
        "medium": "cpc",
        "campaign": "spring",
        "amount": 120.5,
        "currency": "USD",
    },
    {"day": "2026-01-31", "source": "newsletter", "amount": 15, "currency": "USD"},
]
"""A body of POST."""


@router.post(
    "/v1/projects/{project_id}/costs",
    openapi_extra={**described_body(_SCHEMA, EXAMPLE), "parameters": [PARAMETER]},
)
async def post_costs(request: Request, caller: AdminCaller) -> Response:
    """Report ad spend, all or nothing. The same day, source, medium and campaign, spelt alike, replaces."""
    is_trial = is_dry_run(request)
    body = await read_known(request, caller.project_id, request.scope["path"])
    repeatable = once(request, caller.project_id, body)
    reports = await shaped(request, caller.project_id, body, _reports)
    received_us = now_us()
    rows = [
        _cost_row(
            Cost(
                project_id=caller.project_id,
                received_us=received_us,
                day=report.day,
                source=report.source,
                medium=report.medium,
                campaign=report.campaign,
                amount_text=report.amount,
                currency=report.currency,
            )
        )
        for report in reports
    ]
    answer = json_answer({"accepted": len(rows)})
    return await land(request, "costs", rows, len(body), answer, repeatable, is_trial)


def _reports(value: Any) -> list[CostReport]:
    """The reports of a body. Raises Refusal 400 for the first that is bad, by index."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS:
        raise Refusal(400, f"the body must be a JSON array of 1 to {MAX_ITEMS} costs")
    reports: list[CostReport] = []
    indexes: dict[tuple[str | None, ...], int] = {}
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise Refusal(400, f"costs[{index}]: must be a JSON object")
        try:
            report = CostReport.model_validate(item)
        except ValidationError as error:
            raise Refusal(400, f"costs[{index}].{errors(error)}") from None
        origin = (report.day, report.source, report.medium or _NO_MEDIUM, report.campaign)
        first = indexes.setdefault(origin, index)
        if first != index:
            # The later would replace the earlier, which nobody means by sending both.
            raise Refusal(
                400, f"costs[{index}]: same day, source, medium and campaign as costs[{first}]; add them up"
            )
        reports.append(report)
    return reports
