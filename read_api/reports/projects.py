"""The project as its published figures know it: the settings that they follow."""

from dataclasses import dataclass
from datetime import date, datetime

from funnelhouse.problems import Refusal
from read_api.parameters import Days
from read_api.reader import Reader
from read_api.reports.columns import columns, made
from read_api.slices import Slice
from read_api.summed import relation_of


@dataclass(frozen=True, slots=True)
class Project:
    """Settings of a project; see dim_projects."""

    default_model: str
    time_zone: str = "UTC"
    reporting_currency: str = "USD"
    lookback_days: int = 30
    events: int = 0
    last_received_at: datetime | None = None


def today(reader: Reader, project_id: str, now: datetime) -> date:
    """The day that it is for the project at `now`, an aware time; in UTC for one that nothing is known of."""
    rows = reader.rows(
        "select cast(timezone(coalesce(max(time_zone), 'UTC'), ?) as date) from dim_projects "
        "where project_id = ?",
        [now, project_id],
    )
    found: date = rows[0][0]
    return found


def project(reader: Reader, project_id: str) -> Project:
    """The project's settings; the defaults for one that nothing is known of yet."""

    def read() -> Project:
        found = reader.rows(
            f"select {columns(Project)} from dim_projects where project_id = ?",  # noqa: S608
            [project_id],
        )
        return made(Project, found)[0] if found else Project(_default_model(reader))

    return reader.remembered(("project", project_id), read)


def asked_model(reader: Reader, project_id: str, model: str) -> str:
    """The attribution model asked for, the project's without one; raises Refusal 400."""
    known = reader.facts.get("attribution_models", ())
    if model and model not in known:
        raise Refusal(400, "model must be one of " + ", ".join(known))
    return model or project(reader, project_id).default_model


def known_days(reader: Reader, project_id: str) -> tuple[Days, dict[str, int]]:
    """First and last day of the project with sessions, conversions or refunds; conversions by currency."""
    return reader.remembered(("known days", project_id), lambda: _known_days(reader, project_id))


def _known_days(reader: Reader, project_id: str) -> tuple[Days, dict[str, int]]:
    traffic = relation_of(reader, Slice("rpt_traffic", project_id), ("report_date", "currency"))
    rows = reader.rows(
        f"""
        select currency, min(report_date), max(report_date), sum(credit_nano)
        from {traffic}
        where project_id = ?
        group by currency
        union all
        select null, min(conversion_date), max(conversion_date), 0
        from fct_conversion_ledger
        where project_id = ? and conversion_id is null
        """,  # noqa: S608
        [project_id, project_id],
    )
    firsts = [first for _, first, _, _ in rows if first is not None]
    lasts = [last for _, _, last, _ in rows if last is not None]
    conversions = {currency: nano for currency, _, _, nano in rows if currency is not None}
    return Days(min(firsts, default=None), max(lasts, default=None)), conversions


def _default_model(reader: Reader) -> str:
    """That of every project in the build; dbt's own for a build without any, which credits nothing."""
    rows = reader.rows("select max(default_model) from dim_projects", [])
    return str(rows[0][0] or "last_touch")
