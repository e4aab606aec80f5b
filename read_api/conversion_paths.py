"""The path of each conversion, put together for one request: a table as marts are, which is not published.

`rpt_paths` counts frequent paths of all time, and says nothing of days. Paths of some days, or of
conversions that are filtered, come from what the model `linear` credits: it is every touch of a conversion.
"""

from dataclasses import dataclass

from publication.layout import REPORTING
from read_api.filters import Filter
from read_api.opened_build import Column, Mart
from read_api.parameters import ALL_DAYS, FIRST_PAGE, Days, Page
from read_api.reader import Reader
from read_api.slices import PATHS, Slice, slice_of

MODEL = "linear"

_LETTERS = 250
"""Of a source's name in a path, as in `rpt_paths`."""

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


# A list that is sorted afterwards: an aggregate with an order of its own takes three times as long.
_SQL = f"""
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
    cast(sum(credited_amount_minor) as bigint) as net_amount_minor
from {{schema}}.fct_attribution
where project_id = ? and model = '{MODEL}' and touch_id is not null{{days}}
group by project_id, conversion_id, conversion_date, currency"""  # noqa: S608


def conversion_paths(reader: Reader, project_id: str, days: Days) -> Slice:
    """The paths of the project's conversions on these days, one row each; rejected ones have none."""
    condition, values = "", list[object]([project_id])
    for sign, day in ((">=", days.first), ("<=", days.last)):
        if day is not None:
            condition += f" and conversion_date {sign} ?"
            values.append(day)
    mart = Mart(PATHS, None, tuple(Column(name, kind, None) for name, kind in _COLUMNS.items()))
    sql = _SQL.format(schema=REPORTING if reader.converted else "main", days=condition)
    reader.derive(mart, sql, values)
    return slice_of(reader, PATHS, project_id).on("conversion_date", days)
