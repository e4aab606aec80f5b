"""Pages: the nodes of a funnel, and what a conversion on them is worth when its sender does not say.

The id is the senders' `page_id`, in their spelling; `path` finds the page in reports that have none. Stored:
`name`, `kind`, `path`, `payouts` (an array by time; each has `valid_from_us`, Unix microseconds, `amount`,
plain decimal text in major units, and `currency`).
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, field_validator

from ingest_api.definitions.kind import Kind, check_senders_id
from ingest_api.fields import Currency, time_to_us
from ingest_api.native import Amount, NonEmpty, OwnShape, number
from record.contract import PageKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date or time, e.g. 2026-01-31 or 2026-01-31T12:00:00Z")
    return time_to_us(value)


Moment = Annotated[int, PlainValidator(_moment), WithJsonSchema({"type": "string"})]
"""An ISO 8601 date (its first moment) or time, UTC when it has no offset; as Unix microseconds."""


class Payout(OwnShape):
    """What a conversion is worth from a moment on, in major units of the currency."""

    valid_from: Moment
    amount: Amount
    currency: Currency


class Page(OwnShape):
    """A page. `path` is that of its address, without query; payouts in any order, one per moment."""

    name: NonEmpty
    kind: PageKind
    path: Annotated[str, Field(pattern="^/[^?#]*$")] | None = None
    payouts: Annotated[list[Payout], Field(max_length=1000, default_factory=list)]

    @field_validator("payouts")
    @classmethod
    def _by_time(cls, payouts: list[Payout]) -> list[Payout]:
        if len({payout.valid_from for payout in payouts}) != len(payouts):
            raise ValueError("two have the same valid_from; send one per moment")
        return sorted(payouts, key=lambda payout: payout.valid_from)


def _stored(page: Page) -> dict[str, Any]:
    return {
        "name": page.name,
        "kind": page.kind,
        "path": page.path,
        "payouts": [
            {"valid_from_us": payout.valid_from, "amount": payout.amount, "currency": payout.currency}
            for payout in page.payouts
        ],
    }


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    payouts = [
        {
            "valid_from": _iso(payout["valid_from_us"]),
            "amount": number(payout["amount"]),
            "currency": payout["currency"],
        }
        for payout in stored["payouts"]
    ]
    return {**stored, "payouts": payouts}


def _iso(us: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None).isoformat()}Z"


PAGES = Kind(
    kind="page",
    path="pages",
    plural="pages",
    noun="page",
    id_name="page_id",
    check_id=check_senders_id,
    shape=Page,
    stored=_stored,
    shown=_shown,
    example={
        "name": "Spring offer",
        "kind": "offer",
        "path": "/offers/spring",
        "payouts": [
            {"valid_from": "2026-01-01", "amount": 25, "currency": "USD"},
            {"valid_from": "2026-06-01T12:00:00Z", "amount": 27.5, "currency": "USD"},
        ],
    },
)
