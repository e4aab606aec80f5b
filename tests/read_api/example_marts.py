"""Marts made from their contract, published, and read through a real server."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import httpx
import yaml
from example_outbox import FORWARDINGS
from example_story import STORY
from forks import Fork
from servers import start_read

from funnelhouse.keys import create_key
from funnelhouse.settings import CHECKOUT, Settings
from publication import summing
from publication.layout import new_build_id
from publication.publishing import Publication, publish
from record.landing import open_store

# Examples are small: they are read as large homes are.
summing.LEAST_ROWS = 0

TWO_YEARS = Path(__file__).with_name("two_years.sql").read_text(encoding="utf-8")
"""Two years of a shop with everything in them, as SQL that fills its marts; one of its two currencies has no
rate on three days."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

FACTS: dict[str, Any] = {
    "started_at": "2026-11-01T00:00:00+00:00",
    "run_id": "0b5f9a86-6f0c-4f7e-9d0c-3f1f8a2f4c11",
    "attribution_models": ["first_touch", "last_touch", "linear"],
    "code": {
        "id": "0f5e8c1d2b3a4958",
        "version": "0.1.0",
        "commit": "4810b210e3a9f6d7c5b8a1e2f3d4c5b6a7980123",
        "is_dirty": True,
        "fingerprint": "6162bbf4831c737e159397b792ff725a4fad510118660710b3d6ff260b49d075",
        "deployed_at": "2026-10-31T09:00:00Z",
        "is_tested": True,
    },
    "seconds": {"seal": 0.41, "landed_events": 1.25, "dbt": 31.5, "attribution": 2.1},
    "checks_passed": 640,
    "checks": [
        {
            "of": "landed_events",
            "name": "volume_is_like_the_days_before",
            "severity": "warning",
            "passed": False,
            "description": "1 unexpected rows, e.g. events 31337, usual_events 4242",
        },
    ],
    "newest_received_us": 1_793_491_200_000_000,
    "landed": {
        "to_seq": 31337,
        "suite": "9f2c",
        "newest_received_us": 1_793_491_200_000_000,
        "days": [[20757, 31337, 0]],
    },
    "currency_decimals": {"JPY": 0, "KWD": 3},
}
"""What a build says of itself, of all projects together too; see orchestration.build_record."""


@cache
def described() -> dict[str, list[dict[str, str]]]:
    """Columns of each mart as dbt's YAML has them: `name`, `data_type` and `description`."""
    return {
        model["name"]: model["columns"]
        for path in sorted((CHECKOUT / "dbt_project/models/marts").glob("*/_*_marts.yml"))
        for model in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["models"]
    }


def contract() -> dict[str, dict[str, str]]:
    """Columns and types of each mart, as dbt's YAML promises them."""
    return {
        mart: {column["name"]: column["data_type"] for column in columns}
        for mart, columns in described().items()
    }


_CHANNEL = """
    case
        when source = '(direct)' then 'Direct'
        when source = '(unattributed)' then 'Unassigned'
        when source in ('google', 'bing') then 'Paid Search'
        when source = 'facebook' then 'Paid Social'
        when source = 'newsletter' then 'Email'
        else 'Referral'
    end
"""
"""Of rows that say none: what a model would make of their sources, more or less."""
_COMPLETED = """
    update fct_sessions set new_or_returning = 'new'
    where new_or_returning is null and (person_id, started_at) in (
        select person_id, min(started_at) from fct_sessions where not is_bot group by person_id
    );
    update fct_sessions set new_or_returning = 'returning' where new_or_returning is null;
"""


def write_warehouse(path: Path, rows: Rows, sql: str = "") -> None:
    """A new warehouse with every mart of the contract; columns that a row leaves out are null.

    Columns have their descriptions as comments, as dbt writes them. `sql` runs at the end, for more rows than
    one wants to write down. Channels, and whether a session is a person's first, are filled in.
    """
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        # Each of these hundreds of statements would wait for the disk by itself.
        connection.begin()
        for mart, columns in described().items():
            declared = ", ".join(f"{column['name']} {column['data_type']}" for column in columns)
            connection.execute(f"create table {mart} ({declared})")
            connection.execute(f"comment on table {mart} is 'Mart''s rows.'")
            for column in columns:
                about = "Tenant." if column["name"] == "project_id" else column["description"]
                text = about.replace("'", "''")
                connection.execute(f"comment on column {mart}.{column['name']} is '{text}'")
            names = {column["name"] for column in columns}
            for row in rows.get(mart, []):
                assert row.keys() <= names
                marks = ", ".join("?" for _ in row)
                connection.execute(f"insert into {mart} ({', '.join(row)}) values ({marks})", [*row.values()])
        connection.execute(sql or "select 1")
        # Not of columns that `sql` has dropped, as builds of older versions lack them.
        standing = connection.execute("select table_name, column_name from duckdb_columns()").fetchall()
        for mart in described():
            if (mart, "channel") in standing and (mart, "source") in standing:
                connection.execute(f"update {mart} set channel = {_CHANNEL} where channel is null")
        if ("fct_sessions", "new_or_returning") in standing:
            connection.execute(_COMPLETED)
        connection.commit()


def publish_rows(settings: Settings, rows: Rows, at: datetime | None = None, sql: str = "") -> Publication:
    """Publish these rows; every mart of the contract is there."""
    at = at or datetime.now(UTC)
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    write_warehouse(settings.warehouse_path, rows, sql)
    return publish(
        settings.warehouse_path, settings.published_dir, list(contract()), new_build_id(at), at, FACTS
    )


def new_key(settings: Settings, project: str = "shop", scopes: Sequence[str] = ("read",), **more: Any) -> str:
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    with closing(open_store(settings.landing_store)) as store:
        return create_key(store, project, scopes, **more)


@dataclass
class ReadServer:
    """A read server in its own process group, and a client with a key of the project `shop`."""

    settings: Settings
    process: Fork
    client: httpx.Client

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(path, params=parameters)


@contextmanager
def read_server(home: Path) -> Iterator[ReadServer]:
    """Serve this home until the block ends."""
    key = new_key(Settings(home=home))
    running = start_read(home)
    try:
        with httpx.Client(
            base_url=running.url, headers={"Authorization": f"Bearer {key}"}, timeout=30
        ) as client:
            yield ReadServer(running.settings, running.process, client)
    finally:
        running.stop()


@contextmanager
def serving_two_years(folder: Path) -> Iterator[ReadServer]:
    """Serve a home in the folder that has published `TWO_YEARS`."""
    home = Settings(home=folder / "home")
    publish_rows(home, {}, sql=TWO_YEARS)
    with read_server(home.home_dir) as server:
        yield server


@contextmanager
def copied_marts(server: ReadServer) -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts that a server reads, to be asked in SQL beside it."""
    path = server.settings.published_dir / "current" / "marts.duckdb"
    copy = shutil.copy(path, server.settings.home_dir / "copy.duckdb")
    with duckdb.connect(copy, read_only=True) as connection:
        yield connection


def stage(
    stage_name: str, completions: int, day: str = "2026-11-02", project: str = "shop", **columns: Any
) -> dict[str, Any]:
    """A row of rpt_funnel_stages, of google / cpc in Spain unless said otherwise."""
    return {
        "project_id": project,
        "report_date": date.fromisoformat(day),
        "source": "google",
        "source_label": "Google",
        "medium": "cpc",
        "country": "ES",
        "stage": stage_name,
        "completions": completions,
        **columns,
    }


def credit(
    source: str, credit_nano: int, minor: int, day: str = "2026-11-02", project: str = "shop", **columns: Any
) -> dict[str, Any]:
    """A row of rpt_attribution, last touch and USD unless said otherwise."""
    return {
        "project_id": project,
        "report_date": date.fromisoformat(day),
        "model": "last_touch",
        "source": source,
        "medium": "cpc",
        "currency": "USD",
        "credit_nano": credit_nano,
        "conversions": f"{credit_nano // 10**9}.{credit_nano % 10**9:09d}",
        "net_amount_minor": minor,
        **columns,
    }


def goal(
    goal_id: str,
    completions: int,
    sessions: int,
    conversions: int,
    day: str = "2026-11-02",
    project: str = "shop",
    **columns: Any,
) -> dict[str, Any]:
    """A row of rpt_goals."""
    return {
        "project_id": project,
        "report_date": date.fromisoformat(day),
        "goal_id": goal_id,
        "is_micro": False,
        "completions": completions,
        "sessions": sessions,
        "conversions": conversions,
        **columns,
    }


FACEBOOK = {"source": "facebook", "source_label": "Facebook", "medium": "social", "country": "FR"}
DIRECT = {"source": "(direct)", "source_label": "Direct", "medium": "(none)"}

EXAMPLE_ROWS: Rows = {
    "rpt_funnel_stages": [
        stage("clicks", 7),
        stage("clicks", 3, day="2026-11-03", source="google.ads"),
        stage("conversions", 2),
        stage("microconversions", 4),
        stage("add-to-cart", 5),
        stage("trial", 1),
        stage("clicks", 12, **FACEBOOK, campaign="spring", landing_page="/sale", device="mobile"),
        stage("checkout", 6, **FACEBOOK, campaign="spring"),
        stage("clicks", 10, **DIRECT),
        stage("book-a-call", 9, day="2025-01-01"),
        stage("clicks", 99, project="other"),
        stage("secret-stage", 99, project="other"),
        stage("clicks", 1, project="shop.test"),
    ],
    "rpt_attribution": [
        credit("google", 1_333_333_333, 1_000),
        credit("google", 1_000_000_000, 500, day="2026-11-03"),
        credit("google", 333_333_334, 200, day="2026-11-05", campaign="spring"),
        credit("facebook", 666_666_667, 9_000, medium="social"),
        credit("facebook", 2_000_000_000, 40, medium="social", currency="JPY"),
        credit("facebook", 3_000_000_000, 9_500, medium="social", model="first_touch"),
        credit("google", 99_000_000_000, 99, project="other"),
        credit("google", 10**20, 3 * 10**20 + 1, project="vast"),
    ],
    "dim_projects": [
        {
            "project_id": "shop",
            "time_zone": "Pacific/Kiritimati",
            "reporting_currency": "USD",
            "lookback_days": 30,
            "default_model": "last_touch",
            "events": 40,
        },
        {
            "project_id": "other",
            "time_zone": "UTC",
            "reporting_currency": "EUR",
            "lookback_days": 30,
            "default_model": "last_touch",
            "events": 1,
        },
    ],
    "dim_goals": [
        {
            "project_id": project,
            "goal_id": goal_id,
            "name": name,
            "defined_by": "api",
            "match_type": "event_name",
            "match_value": goal_id,
            "counts_as_conversion": False,
            "is_micro": is_micro,
            "stage": stage_name,
        }
        for project, goal_id, name, is_micro, stage_name in [
            ("shop", "cart", "Added to cart", True, None),
            ("shop", "buy", "Same", False, "checkout"),
            ("shop", "lead", "Same", False, None),
            ("other", "cart", "Same", False, None),
        ]
    ],
    "rpt_goals": [
        goal("cart", 9, 5, 0, is_micro=True, country="ES"),
        goal("buy", 3, 2, 3, stage="checkout", country="FR"),
        goal("lead", 2, 2, 1, day="2026-11-03"),
        goal("cart", 77, 77, 77, project="other"),
    ],
    "fct_conversions": [
        {
            "conversion_id": f"shop/openanalytics:{number:03d}",
            "project_id": "shop",
            "person_id": "shop/user:u1",
            "name": ["purchase", "=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", 'say "hi", ok', "", None][
                number % 10
            ],
            "occurred_at": datetime(2026, 11, 2, 10, 0, 0, number),
            "conversion_date": date(2026, 11, 2 + number % 3),
            "state": "approved",
            "currency": "USD",
            "amount_minor": -number,
            "session_id": "shop/s2" if number == 1 else None,
            "matched_by": "visitor" if number == 1 else "none",
            "is_status_unknown": number == 2,
            "is_suspected_double": False,
            "is_default_payout": False,
            "dialect": "openanalytics",
            "refunded_minor": 0,
            "net_amount_minor": number,
            "reporting_currency": "USD",
            "reports": 1,
            "event_id": f"e-{number}",
        }
        for number in range(25)
    ]
    + [{"conversion_id": "other/x:1", "project_id": "other", "conversion_date": date(2026, 11, 2)}],
    "fct_forwardings": FORWARDINGS,
    **STORY,
}
