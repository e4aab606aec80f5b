"""The path of each conversion as a table of one request, which is read as marts are.

`rpt_paths` counts frequent paths of all time, and says nothing of days. Paths of some days, or of
conversions that are filtered, come from the one that was derived when the build was published
(`publication/derived.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from publication.derived import CONVERSION_PATHS, CREDITS, NET, paths_of
from publication.layout import DERIVED, REPORTING, TWIN
from read_api.filters import Filter
from read_api.opened_build import Column, Mart
from read_api.parameters import ALL_DAYS, FIRST_PAGE, Days, Page
from read_api.reader import Reader
from read_api.reports.conditions import matching
from read_api.slices import PATHS, Slice, slice_of

_COLUMNS = {
    "project_id": "VARCHAR",
    "conversion_id": "VARCHAR",
    "conversion_date": "DATE",
    "currency": "VARCHAR",
    "path": "VARCHAR",
    "touches": "BIGINT",
    "seconds": "BIGINT",
    "days_to_convert": "BIGINT",
    "conversions": "BIGINT",
    "net_amount_minor": "BIGINT",
}


@dataclass(frozen=True)
class Chosen:
    """Which conversions; `model` is that whose credit filters by source and the like mean."""

    days: Days = ALL_DAYS
    currency: str | None = None
    filters: tuple[Filter, ...] = ()
    model: str = ""
    page: Page = FIRST_PAGE

    @property
    def is_everything(self) -> bool:
        """Whether nothing chooses conversions."""
        return self.days == ALL_DAYS and not self.filters


def conversion_paths(reader: Reader, project_id: str, days: Days) -> Slice:
    """The paths of the project's conversions on these days, one row each; rejected ones have none."""
    if CONVERSION_PATHS in reader.prepared:
        twin = TWIN if reader.converted else ""
        amounts = {"currency": f"{twin}currency", "net_amount_minor": f"{twin}net_amount_minor"}
        listed = ", ".join(f"{amounts.get(name, name)} as {name}" for name in _COLUMNS)
        sql, values = f"select {listed} from {DERIVED}.{CONVERSION_PATHS}", list[object]()  # noqa: S608
        return _derived(reader, project_id, days, sql, values)
    return paths_from_facts(reader, project_id, days)


def paths_from_facts(reader: Reader, project_id: str, days: Days, paths: Iterable[str] = ()) -> Slice:
    """The same, put together anew for those who check what was published.

    With `paths` at least those of the conversions that took one of them.
    """
    source = f"{REPORTING if reader.converted else 'main'}.{CREDITS}"
    condition, values = matching(project_id, "conversion_date", days, {})
    sql = paths_of(source, condition, NET)
    # No source has the mark that parts them.
    touches = {len(path.split(" > ")) for path in paths}
    if touches:
        sql += f"\nhaving count(*) in ({', '.join(map(str, sorted(touches)))})"
    return _derived(reader, project_id, days, sql, values)


def _derived(reader: Reader, project_id: str, days: Days, sql: str, values: Sequence[object]) -> Slice:
    columns = tuple(Column(name, kind, None) for name, kind in _COLUMNS.items())
    reader.derive(Mart(PATHS, None, columns), sql, values)
    return slice_of(reader, PATHS, project_id).on("conversion_date", days)
