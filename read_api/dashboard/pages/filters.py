"""What the filter bar asks for: values to choose from, and the page with one more filter."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from funnelhouse.problems import Refusal
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.view import MENU, frame, viewing
from read_api.filters import DIMENSIONS, MAX_FILTERS, MAX_LENGTH, OPERATORS, WITHOUT_VALUE, parsed
from read_api.reports.filter_values import COUNTED, FilterValue, filter_values, rows_with
from read_api.slices import Figure

PATH = "/app/projects/{project_id}"

FEW_VALUES = 5
VALUES = 50
"""Of each dimension, where all are looked through, and of the one that was chosen."""

_PAGES = {slug for _, pages in MENU for slug, _ in pages}

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/filter-values")
def values_to_choose_from(request: Request, viewer: AnyViewer) -> Response:
    """Values that contain what was typed, with how often there are, as a piece of the filter bar."""
    asked = request.query_params
    with viewing(request, viewer, "overview") as view:
        dimension = asked.get("filter_dimension", "")
        dimension = dimension if dimension in DIMENSIONS else ""
        text = asked.get("filter_text", "").strip()[:MAX_LENGTH]
        most = VALUES if dimension else FEW_VALUES
        found = filter_values(view.reading, view.project_id, view.days, dimension or None, text, most)
        groups: dict[str, list[tuple[FilterValue, Figure]]] = {}
        for each in found:
            if view.is_filterable(each.dimension, each.value):
                rows = rows_with(view.reading, view.project_id, view.days, each)
                counted = rows.figure(COUNTED[each.dimension].column, each.count)
                groups.setdefault(each.dimension, []).append((each, counted))
        units = {name: COUNTED[name].unit for name in groups}
        return html("filter_values.html", {"view": view, "groups": groups, "units": units, "text": text})


@router.get(f"{PATH}/add-filter")
def with_another_filter(request: Request, viewer: AnyViewer) -> Response:
    """The page that somebody came from, filtered by what they chose or wrote as well."""
    asked = request.query_params
    page = asked.get("filter_page", "")
    view = frame(request, viewer, page if page in _PAGES else "overview")
    operator = asked.get("filter_operator", "")
    operator = operator if operator in OPERATORS else "is"
    dimension, text = asked.get("filter_dimension", ""), asked.get("filter_text", "").strip()
    chosen = [each.partition(":") for each in asked.getlist("filter_value")]
    if not chosen and dimension and (text or operator in WITHOUT_VALUE):
        chosen = [(dimension, ":", text)]
    added = []
    for name, _, value in chosen:
        new = f"{name}:{operator}" if operator in WITHOUT_VALUE else f"{name}:{operator}:{value}"
        if new not in added and _is_one(new):
            added.append(new)
    kept = [each for each in view.query.get("f", []) if each not in added]
    return RedirectResponse(view.here(f=[*kept, *added][-MAX_FILTERS:]), 303, HEADERS)


def _is_one(text: str) -> bool:
    try:
        parsed([text])
    except Refusal:
        return False
    return True
