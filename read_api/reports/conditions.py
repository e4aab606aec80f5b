"""Conditions of reports' queries, each with the values that are bound to it."""

from collections.abc import Mapping
from datetime import datetime

from funnelhouse.problems import Refusal
from publication.files import rows_numbered
from publication.layout import LOOKUPS, lookup_key
from read_api.parameters import ALL_DAYS, AsOf, Days
from read_api.reader import Reader

Condition = tuple[str, list[object]]
"""SQL with marks, and the values of the marks."""


def matching(project_id: str, days_column: str, days: Days, columns: Mapping[str, object]) -> Condition:
    """Rows of the project on these days whose columns have these values; None asks nothing of a column.

    Names of columns are ours, never the caller's. `days_column` may say which relation the project is of.
    """
    relation, _, _ = days_column.rpartition(".")
    condition = f"{relation + '.' if relation else ''}project_id = ?"
    values: list[object] = [project_id]
    if days != ALL_DAYS:
        condition += f" and {days_column} between ? and ?"
        values += days.bounds
    for column, value in columns.items():
        if value is not None:
            condition += f" and {column} = ?"
            values.append(value)
    return condition, values


def having(reader: Reader, mart: str, project_id: str, column: str, value: str) -> Condition:
    """Rows of the project with this value, read alone where the build has a look-up of the column."""
    lookup = f"{mart}_by_{column}"
    if lookup not in reader.lookups:
        return f"project_id = ? and {column} = ?", [project_id, value]
    # -1 is no row: DuckDB skips rows by what is found here, and would read all where nothing is. Texts are
    # compared as a pair, which it does last: a single one it would compare with all rows first.
    numbers = f"select row_number from {LOOKUPS}.{lookup} where key = {lookup_key('?')} union all select -1"  # noqa: S608
    among = rows_numbered(numbers) if mart in reader.in_files else f"rowid in ({numbers})"
    return f"{among} and row(project_id, {column}) = row(?, ?)", [value, project_id, value]


def must_have(reader: Reader, mart: str, column: str) -> None:
    """Raises Refusal 400 for a column that a mart of this build lacks, which an older version made."""
    if not any(each.name == column for each in reader.marts[mart].columns):
        raise Refusal(400, f"{column} is not in this build yet; the next build has it")


def known_by(as_of: AsOf | None) -> Condition:
    """Entries of fct_conversion_ledger that had arrived by then."""
    if as_of is None:
        return "true", []
    # A moment is a date too, as far as Python is concerned.
    return ("learnt_at <= ?" if isinstance(as_of, datetime) else "learnt_date <= ?"), [as_of]
