"""Clicks on links: how many there were, of how many visitors, and what they fired."""

from collections.abc import Iterable, Mapping, Sequence

from read_api.parameters import Days
from read_api.reader import Reader
from read_api.slices import Figure, Slice

MART = "fct_link_clicks"
GOALS = "rpt_goals"
_GOAL_OF = "link-"

COLUMNS = {
    "clicks": "count(*)",
    "visitors": "count(distinct visitor_id)",
    "conversions": "count(distinct conversion_id)",
}
_NUMBERS = ", ".join(f"{column} as {name}" for name, column in COLUMNS.items())


def clicked_days(reader: Reader, project_id: str) -> Days:
    """The first and the last day with a click; none in builds of older versions, which know no links."""
    if MART not in reader.marts:
        return Days()
    [(first, last)] = reader.rows(
        f"select min(click_date), max(click_date) from {MART} where project_id = ?",  # noqa: S608
        [project_id],
    )
    return Days(first, last)


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


def unclicked(rows: Slice, link_id: str, number: int | None) -> dict[str, Figure]:
    """Figures of a link without clicks; None where it is not known whether it has some."""
    return _figures(rows.where("link_id", link_id), [number] * len(COLUMNS))


def events_fired(reader: Reader, rows: Slice, link_ids: Iterable[str]) -> dict[str, Figure]:
    """By link the completions, in these rows of `GOALS`, of the goal that is written with what it fires."""
    goals = {f"{_GOAL_OF}{link_id}": link_id for link_id in link_ids}
    if not goals:
        return {}
    condition, values = rows.where("goal_id", tuple(goals)).condition
    found = reader.rows(
        f"select goal_id, sum(completions) from {rows.mart} where {condition} group by goal_id",  # noqa: S608
        values,
    )
    return {
        goals[goal_id]: rows.where("goal_id", goal_id).figure("sum(completions)", number)
        for goal_id, number in found
    }


def all_events(rows: Slice, by_link: Mapping[str, Figure]) -> Figure | None:
    """What these links fired in all, as `events_fired` counts it; None of no link."""
    if not by_link:
        return None
    goals = tuple(f"{_GOAL_OF}{link_id}" for link_id in by_link)
    total = sum(each.total for each in by_link.values())
    return rows.where("goal_id", goals).figure("sum(completions)", total)


def _figures(rows: Slice, numbers: Sequence[int | None]) -> dict[str, Figure]:
    return {
        name: rows.figure(column, number)
        for (name, column), number in zip(COLUMNS.items(), numbers, strict=True)
    }
