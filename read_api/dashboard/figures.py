"""How figures are written on pages: grouped digits, units beside them, never more digits than they mean.

Templates get figures that say where they are from (`read_api/slices.py`), and their HTML says so too: a
`data` element with the mart, the column and the filter. What was added to it, or what it was divided by,
follows as `data-more-…` and `data-over-…`; `data-but` names the column whose values in the same table are
left out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from read_api.days_in_words import written_day, written_range
from read_api.parameters import Days
from read_api.reports.receipt_asked import figure_query, has_receipt
from read_api.slices import Figure

NONE = "\N{EN DASH}"
"""Where there is no figure, which is not 0."""

MOST_MINOR = 10**15
"""More than anything costs."""

SYMBOLS = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "EUR": "€",
    "GBP": "£",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "MXN": "MX$",
    "USD": "$",
}
"""Of currencies that English knows by one; all others are called by their code."""

_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Units:
    """How the amounts of a build are written: its currencies and the digits behind the point of each.

    `decimals` are of those that have not two. None is said by builds of older versions: their amounts are
    shown as they are stored, in minor units, and say so. `own` is the project's currency where it has no
    other one: then its symbol is enough.
    """

    decimals: Mapping[str, int] | None
    own: str = ""

    def digits(self, currency: str) -> int:
        """Digits after the point that amounts of a currency have."""
        return 0 if self.decimals is None else self.decimals.get(currency, 2)

    def name(self, currency: str) -> str:
        """What stands beside an amount."""
        return currency if self.decimals is not None else f"{currency} in minor units"

    def major(self, minor: int | Decimal, currency: str) -> Decimal:
        """Minor units as an amount."""
        return Decimal(minor).scaleb(-self.digits(currency))

    def minor(self, text: str, currency: str) -> int | None:
        """A positive amount as somebody writes it, `1,234.50`, in minor units; None for anything else."""
        try:
            amount = Decimal(text.replace(",", "").strip()).scaleb(self.digits(currency))
        except ArithmeticError:
            return None
        # A sign that is not a number compares with nothing.
        return int(amount) if amount.is_finite() and 1 <= amount <= MOST_MINOR else None

    def amount(self, minor: int | Decimal, currency: str) -> str:
        """`1,234.50`, where the currency stands elsewhere."""
        return f"{self.major(minor, currency):,.{self.digits(currency)}f}".replace("-", _MINUS)

    def before(self, currency: str) -> str:
        """What stands before an amount: `$`, or `USD` and a space; nothing before one in minor units."""
        if self.decimals is None:
            return ""
        symbol = SYMBOLS.get(currency, "") if currency == self.own else ""
        return symbol or f"{currency}\N{NO-BREAK SPACE}"

    def written(self, minor: int | Decimal, currency: str, signed: bool = False) -> str:
        """`$1,234.50`, or `USD 1,234.50` where a project has several currencies."""
        sign = _MINUS if minor < 0 else "+" if signed and minor > 0 else ""
        after = f"\N{NO-BREAK SPACE}{self.name(currency)}" if self.decimals is None else ""
        before, amount = self.before(currency), self.amount(minor, currency).lstrip(_MINUS)
        # A code is a word of its own, a symbol belongs to the number.
        return (
            f"{before}{sign}{amount}"
            if before.endswith("\N{NO-BREAK SPACE}")
            else f"{sign}{before}{amount}{after}"
        )

    def money(self, minor: int | Decimal, currency: str, signed: bool = False) -> Markup:
        """The same, whose currency is quieter than its number."""
        text = self.written(minor, currency, signed)
        name = self.name(currency)
        found = escape(text).replace(escape(name), Markup('<span class="unit">{}</span>').format(name), 1)
        return Markup('<span class="money">{}</span>').format(found)


def count(value: int | Decimal, digits: int | None = None) -> str:
    """`12,345`; parts of conversions with one digit, as has a whole column that has some."""
    exact = Decimal(value)
    if digits is None:
        digits = 0 if exact == exact.to_integral_value() else 1
    return f"{exact:,.{digits}f}".replace("-", _MINUS)


def percent(part: Any, whole: Any = 1, signed: bool = False) -> str:
    """`12.3%`; small ones with two digits. None of nothing is no share."""
    if part is None or not whole:
        return NONE
    share = Decimal(part) / Decimal(whole) * 100
    digits = 2 if 0 < abs(share) < 1 else 1
    rounded = share.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    text = f"{rounded:{'+' if signed else ''},.{digits}f}".replace("-", _MINUS)
    return f"{text}%"


def traced(figure: Figure, text: str | Markup, over: Figure | None = None) -> Markup:
    """The text of a figure with where it is from, as a link to the rows that it is made of."""
    attributes = [*origin(figure), *(origin(over, "over-") if over else [])]
    # A page may have thousands of them: Markup.format would take most of its time.
    said = " ".join(f'data-{name}="{escape(value)}"' for name, value in attributes)
    shown = escape(text)
    if has_receipt(figure) and (over is None or has_receipt(over)):
        shown = Markup(f'<a class="figure" href="{escape(receipt_address(figure, over))}">{shown}</a>')  # noqa: S704
    return Markup(f"<data {said}>{shown}</data>")  # noqa: S704


def receipt_address(figure: Figure, over: Figure | None = None) -> str:
    """The page with the rows that a figure is made of."""
    return f"/app/projects/{figure.of.project_id}/receipt?{figure_query(figure, over)}"


def origin(figure: Figure, prefix: str = "") -> list[tuple[str, str]]:
    """Where a figure is from: names, without `data-`, and values of attributes."""
    found = [
        (f"{prefix}mart", figure.of.named),
        (f"{prefix}column", figure.column),
        (f"{prefix}filter", figure.of.words),
    ]
    if figure.but:
        found.append((f"{prefix}but", figure.but))
    return found + (origin(figure.more, f"{prefix}more-") if figure.more else [])


def traced_money(units: Units, figure: Figure) -> str | Markup:
    """An amount of minor units in the currency of its rows."""
    if figure.number is None:
        return NONE
    return traced(figure, units.money(figure.total, figure.currency))


def traced_amount(units: Units, figure: Figure) -> Markup:
    """An amount without its currency, which stands elsewhere."""
    return traced(figure, units.amount(figure.total, figure.currency))


def traced_ratio(part: Figure, whole: Figure) -> str | Markup:
    """An amount over another one of the same currency: `1.25`."""
    return traced(part, f"{Decimal(part.total) / Decimal(whole.total):.2f}", whole) if whole else NONE


def traced_each(units: Units, amounts: Figure, things: Figure) -> str | Markup:
    """An amount for each of some things."""
    if not things:
        return NONE
    each = Decimal(amounts.total) / Decimal(things.total)
    return traced(amounts, units.money(each, amounts.currency), things)


def traced_count(figure: Figure, digits: int | None = None) -> str | Markup:
    """A number of things."""
    return NONE if figure.number is None else traced(figure, count(figure.total, digits))


def traced_percent(part: Figure, whole: Figure | None = None, signed: bool = False) -> str | Markup:
    """What a figure is of another one, or a share that it is itself."""
    if part.number is None or (whole is not None and not whole):
        return NONE
    return traced(part, percent(part.total, 1 if whole is None else whole.total, signed), whole)


def traced_points(figure: Figure) -> str | Markup:
    """A share as percentage points."""
    return NONE if figure.number is None else traced(figure, points(100 * Decimal(figure.number)))


def traced_duration(figure: Figure) -> str | Markup:
    """Seconds."""
    return NONE if figure.number is None else traced(figure, duration(int(figure.number)))


def points(value: Decimal) -> str:
    """Percentage points with their sign: `+1.2`."""
    return f"{value:+.1f}".replace("-", _MINUS)


def duration(seconds: int | None) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds is None:
        return NONE
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            amount = Decimal(seconds) / size
            return f"{amount:.0f} {unit}" if unit != "h" else f"{amount:.1f} {unit}"
    return f"{Decimal(seconds) / 86_400:,.1f} days"


LONG_NAME = 60
"""Letters of a name from which on it may not fit where it stands."""


def name(value: str | None) -> str | Markup:
    """What a sender named something; a long name is cut by the page and read in full by pointing at it."""
    if not value:
        return NONE
    if len(value) < LONG_NAME:
        return Markup('<span class="said">{}</span>').format(value)
    return Markup('<span class="name said" title="{0}">{0}</span>').format(value)


def period(days: Days) -> str:
    """A range of days: `Nov 2 - 5, 2026` with a dash."""
    return written_range(*days.bounds)


def bin_name(name: str, size: str) -> str:
    """A bin of a chart by its name: `2026-11-02 14:00`, `2026-11-02` or `2026-11`, as people write it."""
    if size == "month":
        return f"{date.fromisoformat(f'{name}-01'):%b %Y}"
    return ", ".join((written_day(date.fromisoformat(name[:10])), *name[11:].split()))


def day(value: date | None) -> str | Markup:
    """`Nov 2, 2026`."""
    return (
        NONE
        if value is None
        else Markup('<time datetime="{}">{}</time>').format(value.isoformat(), written_day(value))
    )


def days(value: Days) -> Markup:
    """A range, as `period` writes it."""
    return Markup("<time>{}</time>").format(period(value))


def moment(value: datetime | None, to: str = "seconds", zone: str = "UTC") -> str | Markup:
    """`Nov 2, 2026, 10:00:05` in the project's time zone, and UTC for who points at it.

    Times are kept in UTC. To the `minutes` where there is little room.
    """
    if value is None:
        return NONE
    kept, there = _times(value, zone)
    return Markup('<time datetime="{}Z" title="{} UTC">{}, {}</time>').format(
        kept.isoformat(timespec="seconds"),
        kept.isoformat(" ", "seconds"),
        written_day(there),
        there.time().isoformat(to),
    )


def clock(value: datetime, zone: str = "UTC", now: datetime | None = None) -> Markup:
    """`10:00:05` of today, with its day where it was another one; otherwise as `moment`."""
    kept, there = _times(value, zone)
    is_today = there.date() == (now or datetime.now(UTC)).astimezone(ZoneInfo(zone)).date()
    return Markup('<time datetime="{}Z" title="{} UTC">{}</time>').format(
        kept.isoformat(timespec="seconds"),
        kept.isoformat(" ", "seconds"),
        f"{there:%H:%M:%S}" if is_today else f"{there:%b} {there.day}, {there:%H:%M:%S}",
    )


def _times(value: datetime, zone: str) -> tuple[datetime, datetime]:
    """A time as it is kept, in UTC, and there."""
    kept = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return kept.replace(tzinfo=None), kept.astimezone(ZoneInfo(zone))


_DEEPEST = 12
"""Steps to the right, at most: what nests deeper is as long as it is."""


def pretty(text: str) -> str:
    """JSON with a line for each member, its numbers and texts as they were sent; other text as it is."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    written: list[str] = []
    depth, before = 0, ""
    for piece in _PIECES.findall(text):
        is_end, is_first = piece in ("]", "}"), before in ("[", "{")
        depth -= is_end
        # An empty list or object stays on its line.
        if before == "," or is_end is not is_first:
            written.append("\n" + "  " * min(depth, _DEEPEST))
        written.append(f"{piece} " if piece == ":" else piece)
        depth += piece in ("[", "{")
        before = piece
    return "".join(written)


_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


def ago(value: datetime, now: datetime) -> str:
    """`5 minutes ago`."""
    seconds = max(0, int((now - value) / timedelta(seconds=1)))
    for limit, size, unit in (
        (90, 1, "second"),
        (5400, 60, "minute"),
        (172_800, 3600, "hour"),
        (10**12, 86_400, "day"),
    ):
        if seconds < limit:
            number = seconds // size
            return f"{number:,} {unit}{'' if number == 1 else 's'} ago"
    raise AssertionError("no time is that long ago")


_MATCHED_BY = {
    "hit": "visit ID",
    "session": "session ID",
    "hash": "hashed ID",
    "click": "click ID",
    "visitor": "visitor ID",
    "user": "user ID, no visit",
    "none": "not matched",
}


def matched_by(key: str) -> str:
    """What a conversion's visit was found by, in words."""
    return _MATCHED_BY.get(key, key)


def model_name(model: str) -> str:
    """An attribution model as pages call it."""
    return "first touch (all time)" if model == "first_touch_lifetime" else model.replace("_", " ")


_WHY = {
    "rejected": "rejected",
    "refunded": "refunded in full",
    "pending": "not approved yet",
    "before_since": "from before it was switched on",
    "not_forwardable": "reported as not to be passed on",
    "consent_denied": "without consent to advertising",
    "consent_unknown": "without a word on advertising",
    "bot": "by a bot",
    "suspected_double": "possibly reported twice",
    "not_first": "not the first of its visitor",
    "not_sampled": "outside of the share that is told",
    "other_sender": "not reported by a server",
    "no_source": "without a known traffic source",
    "too_old": "too old for it",
    "no_identifier": "with nothing that it could recognise",
    "no_click_id": "without a click ID",
    "no_currency": "without a currency",
    "cannot_restate": "changed later, and it takes no changes",
    "cannot_retract": "taken back later, and it takes nothing back",
    "wished": "paused by somebody here",
    "dismissed": "dismissed",
    "expired": "useless by now",
    "tries_over": "tried too often",
    "unanswered": "never answered",
    "nothing_told": "nothing was told that could be taken back",
    "not_wanted": "not wanted any more",
    "partly": "some of the same request were refused",
    "too_large": "too large to be sent",
    "superseded": "overtaken by a newer message",
    "copied": "held, because this home is a copy",
    "new_outbox": "held, because the outbox is newer than the figures",
    "surge": "held, because unusually many would be sent",
}


def why(reason: str) -> str:
    """Why something was not sent, in words."""
    return _WHY.get(reason, reason.replace("_", " "))


_MESSAGES = {
    "create": "a conversion",
    "restate": "another amount or status",
    "retract": "that it was taken back",
    "test": "a test",
    "erased": "that a person was erased",
}


def delivery_kind(kind: str) -> str:
    """What a delivery tells, in words."""
    return _MESSAGES.get(kind, kind)
