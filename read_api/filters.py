"""Filters of reports and pages: `f=source:is:google`, as often as there are conditions; all of them hold.

    f=<dimension>:<operator>[:<value>]

`is`, `is_not` and `contains` take a value, `empty` and `set` none. A dimension that is given several times
with the same operator takes any of the values; `is_not` none of them. `contains` ignores case. COLUMNS says
what a mart has of a dimension. Where it has nothing, its rows can't be filtered, and the caller says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from funnelhouse.problems import Refusal
from read_api.reader import Reader
from read_api.slices import PATHS, REACHED_BY, Slice

MAX_FILTERS = 20
MAX_LENGTH = 500
"""Conditions of one request, and characters of a value."""

DIMENSIONS = {
    "source": "Source",
    "medium": "Medium",
    "campaign": "Campaign",
    "term": "Term",
    "content": "Content",
    "channel": "Channel",
    "country": "Country",
    "device": "Device",
    "landing_page": "Landing page",
    "conversion": "Conversion",
    "goal": "Goal",
    "visitor": "New or returning",
}
"""What can be filtered and grouped by, and what pages call it."""

OPERATORS = {"is": "is", "is_not": "is not", "contains": "contains", "empty": "is empty", "set": "is set"}
WITHOUT_VALUE = ("empty", "set")

_ORIGIN = ("source", "medium", "campaign", "term", "content", "channel")
_SESSION = {name: name for name in (*_ORIGIN, "country", "device", "landing_page")} | {
    "visitor": "new_or_returning"
}
_BY_SESSION = {name: f"fct_sessions.{column}" for name, column in _SESSION.items()}
_CONVERSION = {
    "country": "country",
    "conversion": "name",
    "goal": "fct_goal_completions.goal_id",
    "landing_page": "fct_sessions.landing_page",
    "device": "fct_sessions.device",
    "visitor": "fct_sessions.new_or_returning",
} | {name: f"fct_attribution.{name}" for name in _ORIGIN}


def _of_conversion(but: Iterable[str]) -> dict[str, str]:
    return {name: f"fct_conversions.{path}" for name, path in _CONVERSION.items() if name not in but}


_BY_SOURCE = {name: name for name in ("source", "medium", "campaign", "channel")}

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "rpt_traffic": {name: name for name in (*_ORIGIN, "country", "device", "landing_page")},
    "rpt_funnel_stages": {name: name for name in (*_ORIGIN, "country", "device", "landing_page")},
    "rpt_campaigns": _BY_SOURCE,
    "rpt_attribution": _BY_SOURCE,
    "rpt_goal_attribution": _BY_SOURCE | {"goal": "goal_id"},
    "rpt_goals": {"goal": "goal_id", "country": "country"},
    "rpt_funnels": {"source": "source", "channel": "channel"},
    "rpt_landing_pages": {"landing_page": "landing_page"},
    "fct_costs": _BY_SOURCE,
    "fct_sessions": _SESSION,
    "fct_touches": _SESSION | {name: f"fct_sessions.{_SESSION[name]}" for name in ("device", "visitor")},
    "fct_conversions": _CONVERSION,
    # As the session was in which it was completed.
    "fct_goal_completions": _BY_SESSION | {"goal": "goal_id", "conversion": "fct_conversions.name"},
    "fct_link_clicks": _BY_SESSION,
    "rpt_experiments": {"goal": "goal_id"},
    "dim_goals": {"goal": "goal_id"},
    "fct_conversion_ledger": _of_conversion(()),
    PATHS: _of_conversion(()),
    # Where the credited touch landed, and on the device that converted.
    "fct_attribution": _of_conversion((*_ORIGIN, "landing_page"))
    | {name: name for name in _ORIGIN}
    | {"landing_page": "fct_touches.landing_page"},
}
"""By mart and dimension the column, or the path to that of another mart (`read_api/slices.py`)."""


@dataclass(frozen=True)
class Filter:
    """One condition: any of the values, or none of them for `is_not`."""

    dimension: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """As a page says it: `Source is google or bing`."""
        said = f"{DIMENSIONS[self.dimension]} {OPERATORS.get(self.operator, 'contains')}"
        return f"{said} {' or '.join(self.values)}" if self.values else said

    @property
    def of_credit(self) -> bool:
        """Whether conversions are chosen by what they are credited to, which depends on the model."""
        return self.dimension in _ORIGIN

    @property
    def texts(self) -> list[str]:
        """As addresses say it."""
        if self.operator in WITHOUT_VALUE:
            return [f"{self.dimension}:{self.operator}"]
        return [f"{self.dimension}:{self.operator}:{value}" for value in self.values]


def parsed(texts: Sequence[str]) -> tuple[Filter, ...]:
    """The filters of an address; raises Refusal 400 that says what is wrong with the first bad one."""
    given = [text for text in texts if text]
    if len(given) > MAX_FILTERS:
        raise Refusal(400, f"f may be given {MAX_FILTERS} times at most")
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for text in given:
        dimension, _, rest = text.partition(":")
        operator, colon, value = rest.partition(":")
        if dimension not in DIMENSIONS:
            raise Refusal(400, "f must begin with a dimension: " + ", ".join(DIMENSIONS))
        if operator not in OPERATORS:
            raise Refusal(400, f"f={dimension} must be followed by one of " + ", ".join(OPERATORS))
        if bool(colon and value) is (operator in WITHOUT_VALUE):
            takes = "no value" if operator in WITHOUT_VALUE else "a value: f=source:is:google"
            raise Refusal(400, f"f={dimension}:{operator} takes {takes}")
        if len(value) > MAX_LENGTH or not value.isprintable():
            raise Refusal(400, f"a value of f has at most {MAX_LENGTH} printable characters")
        known = found.get((dimension, operator), ())
        found[dimension, operator] = known if value in known or not value else (*known, value)
    return tuple(Filter(*key, values) for key, values in found.items())


def applied(rows: Slice, filters: Iterable[Filter], reader: Reader, model: str) -> Slice:
    """Those of the rows for which the filters hold that their mart knows; credit is that of `model`."""
    of_conversions = False
    for each in filters:
        path = path_to(rows.mart, each.dimension, reader)
        if path is None:
            continue
        rows = rows.where(*_condition(path, each))
        if ".fct_attribution." in f".{path}" and not of_conversions:
            of_conversions = True
            rows = rows.where(f"{path.rpartition('.')[0]}.model", model)
    return rows


def narrowed(rows: Slice, path: str, asked: Filter) -> Slice:
    """Those of the rows whose column at the end of a path, of ours, a filter holds of."""
    return rows.where(*_condition(path, asked))


def refuse_not_applied(mart: str, filters: Iterable[Filter], reader: Reader) -> None:
    """Raises Refusal 400 for a filter that rows of the mart can't be chosen by."""
    for each in not_applied(mart, filters, reader):
        taken = [name for name in DIMENSIONS if path_to(mart, name, reader)]
        raise Refusal(
            400,
            f"this report cannot be filtered by {each.dimension}; f takes here "
            + (", ".join(taken) or "no dimension"),
        )


def not_applied(mart: str, filters: Iterable[Filter], reader: Reader) -> list[Filter]:
    """The filters that rows of the mart can't be chosen by."""
    return [each for each in filters if path_to(mart, each.dimension, reader) is None]


def path_to(mart: str, dimension: str, reader: Reader) -> str | None:
    """The column of a mart, or the path to another mart's; None where this build has none."""
    path = COLUMNS.get(mart, {}).get(dimension)
    if path is None:
        return None
    *marts, column = path.split(".")
    of = marts[-1] if marts else mart
    if of not in reader.marts or any(each not in reader.marts or each not in REACHED_BY for each in marts):
        return None
    return path if column in {each.name for each in reader.marts[of].columns} else None


def _condition(path: str, asked: Filter) -> tuple[str, object]:
    value: object = asked.values[0] if len(asked.values) == 1 else asked.values
    match asked.operator:
        case "is":
            return path, value
        case "is_not":
            return f"{path}.not", value
        case "contains" | "search":
            return f"{path}.{asked.operator}", value
        case "empty":
            return f"{path}.is", "null"
        case _:
            return f"{path}.is", "set"


async def _filters(
    f: Annotated[
        list[str] | None,
        Query(
            description="A condition, `dimension:operator:value`; all hold, values of the same dimension and "
            "operator are alternatives. Dimensions: "
            + ", ".join(DIMENSIONS)
            + ". Operators: is, is_not, contains; empty and set take no value."
        ),
    ] = None,
) -> tuple[Filter, ...]:
    return parsed(f or ())


async def _model(
    model: Annotated[
        str | None,
        Query(
            description="The attribution model whose credit filters by source, medium, campaign, term, "
            "content and channel mean; default the project's default model."
        ),
    ] = None,
) -> str:
    return model or ""


AskedModel = Annotated[str, Depends(_model)]
AskedFilters = Annotated[tuple[Filter, ...], Depends(_filters)]
