"""What docs/bi.md promises of BI tools that read the published file, tried with their own layers.

The layers are installed below a temporary folder, in versions of their own: none of them is ours.
"""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from publication.publishing import publish

# Of two packages that Superset needs it takes versions that it does not start with, or none.
SUPERSET = [
    *("apache-superset==6.1.0", "duckdb==1.5.5", "duckdb-engine==0.17.0"),
    *("flask-caching==2.3.1", "cachetools"),
]
SUPERSET_CONFIG = """
SECRET_KEY = "only for a test, and long enough for one"
SQLALCHEMY_DATABASE_URI = "sqlite://"
FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache"}
"""


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file, under the name by which tools are told to open it."""
    folder = tmp_path_factory.mktemp("bi")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            """
            create table rpt_sources as
            select 'shop' as project_id, date '2026-03-01' + i::int as report_date, 'google' as source,
                i::bigint as sessions, 0.5::decimal(28, 9) as share, timestamp '2026-03-01 12:00:00' as at
            from range(5000) numbers(i)
            """
        )
        warehouse.execute("comment on column rpt_sources.sessions is 'Sessions of the day.'")
        warehouse.execute(
            """
            create table fct_costs as select * from (values
                ('shop', 'USD', 100::bigint, 'EUR', 90::bigint), ('shop', 'EUR', 5::bigint, 'EUR', 5::bigint)
            ) costs(project_id, currency, amount_minor, reporting_currency, reporting_amount_minor)
            """
        )
    now = datetime(2026, 3, 1, tzinfo=UTC)
    published = folder / "published"
    publish(
        folder / "warehouse.duckdb", published, ["rpt_sources", "fct_costs"], "20260301T000000000000Z", now
    )
    return published / "current" / "marts.duckdb"


def test_duckdb_s_sqlalchemy_layer_lists_and_reads_it(marts: Path) -> None:
    # As Superset connects: the path as `duckdb:///…`, read-only, one connection per query.
    engine = sa.create_engine(
        f"duckdb:///{marts}", connect_args={"read_only": True}, poolclass=sa.pool.NullPool
    )
    inspector = sa.inspect(engine)
    assert "main" in [name.split(".")[-1] for name in inspector.get_schema_names()]
    assert inspector.get_table_names(schema="main") == ["fct_costs", "rpt_sources"]
    assert inspector.get_view_names(schema="reporting") == ["fct_costs"]
    columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("rpt_sources", "main")}
    assert list(columns) == ["project_id", "report_date", "source", "sessions", "share", "at"]
    assert columns["sessions"] == "BIGINT"
    with engine.connect() as connection:
        query = (
            "select date_trunc('month', report_date) as month, sum(sessions) from main.rpt_sources group by 1"
        )
        rows = connection.execute(sa.text(f"{query} order by 1 limit 2")).fetchall()
        costs = connection.execute(
            sa.text("select currency, amount_minor from reporting.fct_costs order by 2")
        )
        assert costs.fetchall() == [("EUR", 5), ("EUR", 90)]
    assert [int(row[1]) for row in rows] == [sum(range(31)), sum(range(31, 61))]


@pytest.mark.slow
def test_an_older_duckdb_opens_it(marts: Path, tmp_path: Path) -> None:
    install(tmp_path, "duckdb==1.2.2")
    said = run(
        tmp_path,
        """
        import duckdb, json, sys
        with duckdb.connect(sys.argv[1], read_only=True) as connection:
            sums = connection.sql("select count(*), sum(sessions)::bigint, max(at)::varchar from rpt_sources")
            comments = "select comment from duckdb_columns() where column_name = 'sessions'"
            said = [duckdb.__version__, sums.fetchone(), connection.sql(comments).fetchall()]
            connection.execute("set search_path = 'reporting,main'")
            said.append(connection.sql("select sum(amount_minor)::int from fct_costs").fetchone())
        with duckdb.connect() as connection:
            # Younger ones find what a view reads without `use`.
            connection.execute(f"attach '{sys.argv[1]}' as ours (read_only); use ours")
            said.append(connection.sql("select sum(amount_minor)::int from reporting.fct_costs").fetchone())
        print(json.dumps(said))
        """,
        marts,
    )
    counted = [5000, sum(range(5000)), "2026-03-01 12:00:00"]
    assert said == ["1.2.2", counted, [["Sessions of the day."]], [95], [95]]


@pytest.mark.slow
def test_superset_lists_and_reads_it(marts: Path, tmp_path: Path) -> None:
    install(tmp_path, *SUPERSET)
    (tmp_path / "superset_config.py").write_text(SUPERSET_CONFIG)
    said = run(
        tmp_path,
        """
        import json, sys
        from superset.app import create_app
        with create_app().app_context():
            from superset.models.core import Database
            from superset.sql.parse import Table
            # Queries are logged to Superset's own tables, which nobody made.
            from superset.extensions import event_logger
            event_logger.log = lambda *arguments, **others: None
            read_only = {"engine_params": {"connect_args": {"read_only": True}}}
            marts = Database(
                database_name="marts", sqlalchemy_uri=f"duckdb:///{sys.argv[1]}", extra=json.dumps(read_only)
            )
            tables = marts.get_all_table_names_in_schema(catalog=None, schema="main")
            columns = marts.get_columns(Table("rpt_sources", "main"))
            grain = marts.db_engine_spec.get_time_grain_expressions()["P1M"].format(col="report_date")
            query = f"select {grain} as month, sum(sessions) as sessions from main.rpt_sources group by 1"
            frame = marts.get_df(f"{query} order by 1 limit 2")
            print(json.dumps({
                "engine": marts.db_engine_spec.__name__,
                "schemas": sorted(marts.get_all_schema_names(catalog=None)),
                "tables": sorted(table[0] for table in tables),
                "columns": {column["column_name"]: str(column["type"]) for column in columns},
                "sessions": [int(sessions) for sessions in frame["sessions"]],
            }))
        """,
        marts,
    )
    assert said["engine"] == "DuckDBEngineSpec"
    assert "marts.main" in said["schemas"]
    assert said["tables"] == ["fct_costs", "rpt_sources"]
    assert said["columns"] == {
        "project_id": "VARCHAR",
        "report_date": "DATE",
        "source": "VARCHAR",
        "sessions": "BIGINT",
        "share": "NUMERIC(28, 9)",
        "at": "TIMESTAMP",
    }
    assert said["sessions"] == [sum(range(31)), sum(range(31, 61))]


def install(folder: Path, *packages: str) -> None:
    """Install packages below a folder, by pip or uv; without either, or an index, the test is skipped."""
    uv = shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command = [uv, "pip", "install", "--python", sys.executable] if uv else pip
    done = subprocess.run(
        [*command, "--quiet", "--target", str(folder), *packages], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        # No index can be reached, perhaps: what this shows is another's software, which ours does without.
        pytest.skip(f"{', '.join(packages)} can't be installed: {done.stderr.strip()[-300:]}")


def run(folder: Path, code: str, marts: Path) -> Any:
    """What a script printed as JSON that sees only the packages of a folder."""
    lines = code.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    script = "\n".join(line[indent:] for line in lines)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, str(marts)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
