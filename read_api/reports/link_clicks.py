"""Clicks on links: how many there were, of how many visitors, and what they fired."""

from read_api.reader import Reader
from read_api.slices import Figure, Slice

MART = "fct_link_clicks"
GOALS = "rpt_goals"

COLUMNS = {
    "clicks": "count(*)",
    "visitors": "count(distinct visitor_id)",
    "conversions": "count(distinct conversion_id)",
}
_NUMBERS = ", ".join(f"{column} as {name}" for name, column in COLUMNS.items())


def by_link(reader: Reader, rows: Slice) -> dict[str, dict[str, Figure]]:
    """Figures of each link in these rows of the mart, the one of most clicks first."""
    condition, values = rows.condition
    found = reader.rows(
        f"select link_id, {_NUMBERS} from {rows.mart} where {condition} group by link_id"  # noqa: S608
        " order by clicks desc, link_id",
        values,
    )
    return {link_id: _figures(rows.where("link_id", link_id), numbers) for link_id, *numbers in found}


def of_all(reader: Reader, rows: Slice) -> dict[str, Figure]:
    """Figures of all links; a visitor of two is one."""
    condition, values = rows.condition
    [numbers] = reader.rows(f"select {_NUMBERS} from {rows.mart} where {condition}", values)  # noqa: S608
    return _figures(rows, numbers)


def none(rows: Slice, link_id: str) -> dict[str, Figure]:
    """Figures of a link without clicks."""
    return _figures(rows.where("link_id", link_id), [0] * len(COLUMNS))


def goal_of(link_id: str) -> str:
    """Id of the goal that is written with a link which fires something."""
    return f"link-{link_id}"


def events_fired(reader: Reader, rows: Slice) -> dict[str, Figure]:
    """Completions by goal id, in these rows of `GOALS`."""
    condition, values = rows.condition
    found = reader.rows(
        f"select goal_id, sum(completions) from {rows.mart} where {condition} group by goal_id",  # noqa: S608
        values,
    )
    return {
        goal_id: rows.where("goal_id", goal_id).figure("sum(completions)", number)
        for goal_id, number in found
    }


def _figures(rows: Slice, numbers: list[int] | tuple[int, ...]) -> dict[str, Figure]:
    return {
        name: rows.figure(column, number)
        for (name, column), number in zip(COLUMNS.items(), numbers, strict=True)
    }
