"""How much a figure changed against that of the compared days, as pages write it."""

from decimal import Decimal

from markupsafe import Markup

from read_api.dashboard.figures import origin, percent
from read_api.performance import Value

BETTER_DOWN = ("cpa",)
NEITHER = ("spend",)
"""Columns whose growth is bad, and those whose growth says nothing."""


def traced_change(column: str, now: Value, before: Value | None) -> Markup:
    """`▲ 12.4%`, which says what it is made of, `data-was-…` too; `new` where there was nothing."""
    number, was = now.number, before.number if before else None
    if number is None or (not number and not was):
        return Markup("")
    if before is None or not was:
        return Markup('<span class="change is-new">new</span>')
    share = number / was - 1
    attributes = [*origin(now.part), *(origin(now.over, "over-") if now.over else [])]
    attributes += [*origin(before.part, "was-"), *(origin(before.over, "was-over-") if before.over else [])]
    said = Markup(" ").join(Markup('data-{}="{}"').format(name, value) for name, value in attributes)
    return Markup('<span class="change {}">{}<data {}>{}</data></span>').format(
        _kind(column, share), _arrow(share), said, percent(abs(share))
    )


def _arrow(share: Decimal) -> Markup:
    if not share:
        return Markup("")
    sign, word = ("▲", "up") if share > 0 else ("▼", "down")
    return Markup('<span aria-hidden="true">{}</span><span class="hidden-label said">{} </span> ').format(
        sign, word
    )


def _kind(column: str, share: Decimal) -> str:
    if not share or column in NEITHER:
        return "is-same"
    return "is-better" if (share > 0) is not (column in BETTER_DOWN) else "is-worse"
