"""What many questions would put together again, made when a build is published: paths, and some sessions.

The tables stand in the schema `derived` of the marts file and are no marts: they say nothing that those do
not. Paths come from what the model `linear` credits: it is every touch of a conversion.
"""

from collections.abc import Mapping

import duckdb

from publication.difference import Difference
from publication.layout import DERIVED, TWIN
from publication.prepared import Prepared

CONVERSION_PATHS = "conversion_paths"
CONVERTING_SESSIONS = "converting_sessions"
"""The sessions in which somebody converted: few, of those that conversions are filtered by."""

CREDITS = "fct_attribution"

_LETTERS = 250
"""Of a source's name in a path, as in `rpt_paths`."""

_READ = {"project_id", "conversion_id", "conversion_date", "currency", "model", "touch_id"} | {
    *("source", "touched_at", "converted_at", "credited_amount_minor"),
    *("reporting_currency", "reporting_credited_amount_minor"),
}

NET = {"net_amount_minor": "cast(sum(credited_amount_minor) as bigint)"}
"""What a path brought, as another column of it."""


def paths_of(source: str, condition: str, others: Mapping[str, str]) -> str:
    """SQL of the paths of conversions, of those rows of `fct_attribution`, or a view of it, with a condition.

    `others`: further columns of a path by name, as sums of its rows. Rejected conversions have no credit, so
    no path.
    """
    more = ", ".join(f"{sql} as {name}" for name, sql in others.items())
    # A list that is sorted afterwards: an aggregate with an order of its own takes three times as long.
    return f"""
select
    project_id, conversion_id, conversion_date, currency,
    array_to_string(
        list_transform(
            list_sort(
                list(struct_pack(
                    at := touched_at, source := replace(left(source, {_LETTERS}), '>', '\u203a')
                ))
            ),
            lambda touch: touch.source
        ),
        ' > '
    ) as path,
    count(*) as touches,
    (epoch_us(min(converted_at)) - epoch_us(min(touched_at))) // 1000000 as seconds,
    (epoch_us(min(converted_at)) - epoch_us(min(touched_at))) // 86400000000 as days_to_convert,
    cast(1 as bigint) as conversions,
    {more}
from {source}
where model = 'linear' and touch_id is not null and {condition}
group by project_id, conversion_id, conversion_date, currency"""  # noqa: S608


def make_derived(
    connection: duckdb.DuckDBPyConnection, prepared: Prepared, differences: Mapping[str, Difference]
) -> None:
    """Make the tables in the attached file `published`, each where there is what it needs."""
    columns: dict[str, set[str]] = {}
    for mart, name in connection.execute(
        "select table_name, column_name from duckdb_columns() "
        "where database_name = 'published' and schema_name = 'main'"
    ).fetchall():
        columns.setdefault(mart, set()).add(name)
    if columns.get(CREDITS, set()) >= _READ:
        converted = {
            f"{TWIN}currency": f"max({TWIN}currency)",
            f"{TWIN}net_amount_minor": f"cast(sum({TWIN}credited_amount_minor) as bigint)",
        }
        changed = differences.get(CREDITS)
        is_by_day = changed is not None and changed.keys == ("project_id", "conversion_date", "model")
        days = changed.on_changed_days(model="'linear'") if changed and is_by_day else None
        prepared.make(
            f"{DERIVED}.{CONVERSION_PATHS}",
            lambda where: (
                paths_of(f"published.main.{CREDITS}", where, {**NET, **converted})
                + " order by project_id, conversion_date, conversion_id"
            ),
            days,
            days,
        )
    sessions, conversions = (columns.get(mart, set()) for mart in ("fct_sessions", "fct_conversions"))
    if sessions >= {"project_id", "session_date", "session_id"} and "session_id" in conversions:
        prepared.make(
            f"{DERIVED}.{CONVERTING_SESSIONS}",
            lambda where: (
                f"select * from published.main.fct_sessions where {where} and session_id in "  # noqa: S608
                "(select session_id from published.main.fct_conversions) "
                "order by project_id, session_date, session_id"
            ),
        )
