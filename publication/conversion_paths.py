"""The path of each conversion, put together when a build is published: questions of some days read thousands.

Paths come from what the model `linear` credits: it is every touch of a conversion. The table stands in the
schema `derived` of the marts file and is no mart: it says nothing that `fct_attribution` does not.
"""

from collections.abc import Mapping

import duckdb

from publication.layout import DERIVED, TWIN

TABLE = "conversion_paths"
SOURCE = "fct_attribution"

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


def create_conversion_paths(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table anew in the attached file `published`, in the order of marts."""
    connection.execute(f"drop schema if exists published.{DERIVED} cascade")
    found = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'published' "
        "and schema_name = 'main' and table_name = ?",
        [SOURCE],
    ).fetchall()
    if not {name for (name,) in found} >= _READ:
        # It is not published, or somebody took a column away.
        return
    converted = {
        f"{TWIN}currency": f"max({TWIN}currency)",
        f"{TWIN}net_amount_minor": f"cast(sum({TWIN}credited_amount_minor) as bigint)",
    }
    paths = paths_of(f"published.main.{SOURCE}", "true", {**NET, **converted})
    connection.execute(f"create schema published.{DERIVED}")
    connection.execute(
        f"create table published.{DERIVED}.{TABLE} as {paths} "
        "order by project_id, conversion_date, conversion_id"
    )
