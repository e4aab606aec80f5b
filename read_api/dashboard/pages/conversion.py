"""One conversion, and everything that made it what it is."""

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from read_api.dashboard import reasons
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.view import viewing
from read_api.reports import conversion as explained
from read_api.reports.conversion import ModelCredit
from read_api.reports.conversions import Conversion
from read_api.reports.told import ToldTo, told_of

PATH = "/app/projects/{project_id}"

MOST_DRAWN = 12
"""Touches of the path that is drawn, the last ones; the table has all of them."""

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/conversions/{id_at_end('conversion_id')}")
def conversion(request: Request, viewer: AnyViewer, conversion_id: str) -> Response:
    """What was reported of it, its visit, person, ledger and touches, and what each model credits."""
    with viewing(request, viewer, "conversions", title="Conversion", dates=False, filters=False) as view:
        explanation = explained.explain(view.reading, view.project_id, conversion_id)
        if explanation is None:
            raise Refusal(
                404, "There is no such conversion in this build; the list has those that there are."
            )
        view.title = _called(explanation.conversion)
        touches = sorted((each for each in explanation.touches if each.is_in), key=lambda touch: touch.at)
        told, told_problem = list[ToldTo](), ""
        try:
            told = told_of(request.app.state.forwarded, view.reading, view.project_id, conversion_id)
        except Refusal as refused:
            # What else is known of it is shown all the same.
            told_problem = refused.detail
        context: dict[str, Any] = {
            "it": explanation,
            "models": list(dict.fromkeys(credit.model for credit in explanation.credit)),
            "credited": by_touch(explanation.credit),
            "journey": touches[-MOST_DRAWN:],
            "earlier": max(0, len(touches) - MOST_DRAWN),
            "heat": _heat,
            "reasons": reasons,
            "told": told,
            "told_problem": told_problem,
        }
        return view.render("conversion.html", context)


def by_touch(credit: list[ModelCredit]) -> list[tuple[ModelCredit, dict[str, ModelCredit]]]:
    """Each touch in the order of time, and what each model gives it; what is given to none comes last."""
    found: dict[str | None, dict[str, ModelCredit]] = {}
    for each in sorted(credit, key=lambda each: (each.touched_at is None, each.touched_at, each.touch_id)):
        found.setdefault(each.touch_id, {})[each.model] = each
    return [(next(iter(by_model.values())), by_model) for by_model in found.values()]


def _called(conversion: Conversion) -> str:
    name, order = conversion.name or "Conversion", conversion.transaction_id
    return f"{name}, order {order}" if order else name


def _heat(share: Decimal) -> int:
    """How dark a touch's cell is: five steps of a fifth of the conversion each."""
    return min(5, 1 + int(5 * share)) if share > 0 else 0
