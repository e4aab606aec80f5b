"""Homes to edit in, as they are typed: over a small project, which dbt parses in a moment."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from command_line.cli import main
from funnelhouse.settings import Settings
from record.contract import DAY_US, Event
from record.landing import open_store
from record.sealing import seal

EVENTS = (
    "select seq, project_id, received_us from "
    "read_parquet('{{ env_var('FUNNELHOUSE_HOME') }}/raw/events/*/*.parquet')"
)


@pytest.fixture
def record(home: Settings, land_events: Callable[..., None], visit: Event) -> Settings:
    """A home whose record has events of 60 days, ten days apart, sealed day by day."""
    for day in range(7):
        received_us = visit.received_us + 10 * day * DAY_US
        land_events(home, replace(visit, event_id=f"visit-{day}", received_us=received_us))
        seal(home.landing_store, home.raw_dir)
    return home


@pytest.fixture
def project(small_project: Path) -> Path:
    """With a mart, and with what a publication asks of any project."""
    (small_project / "models" / "marts").mkdir()
    (small_project / "models" / "marts" / "fct_events.sql").write_text(
        "select * from {{ ref('int_events') }}"
    )
    (small_project / "models" / "int_events.sql").write_text(EVENTS)
    (small_project / "seeds" / "currencies.csv").write_text("currency,minor_per_major\nJPY,1\n")
    return small_project


def typed(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output


def published(home: Settings, name: str, sql: str) -> list[tuple[object, ...]]:
    marts = (home.dev_dir / name / "published" / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(marts), read_only=True) as opened:
        return opened.execute(sql).fetchall()


@pytest.mark.long
def test_an_edit_is_tried_in_a_home_of_one_s_own(record: Settings, project: Path) -> None:
    files = sorted(record.raw_dir.rglob("*"))
    typed("dev", "ann", "--days", "25")
    assert published(record, "ann", "select seq from fct_events order by seq") == [(5,), (6,), (7,)]

    mart = project / "models" / "marts" / "fct_events.sql"
    mart.write_text("select *, seq * 2 as twice from {{ ref('int_events') }}")
    assert "build=dev-ann" in typed("dbt", "--dev", "ann", "run", "-s", "fct_events")
    assert published(record, "ann", "select sum(twice) from fct_events") == [(36,)]

    # What fails is not shown, and the next that succeeds is.
    mart.write_text("select no_such_column from {{ ref('int_events') }}")
    typed("dbt", "--dev", "ann", "run", "-s", "fct_events", code=1)
    assert published(record, "ann", "select sum(twice) from fct_events") == [(36,)]
    mart.write_text("select *, seq * 3 as thrice from {{ ref('int_events') }}")
    typed("dbt", "--dev", "ann", "run", "-s", "fct_events")
    assert published(record, "ann", "select sum(thrice) from fct_events") == [(54,)]

    # So is a mart that is new, and one that is gone no more.
    (project / "models" / "marts" / "fct_days.sql").write_text("select * from {{ ref('int_events') }}")
    mart.unlink()
    typed("dbt", "--dev", "ann", "run", "-s", "fct_days")
    assert published(record, "ann", "show tables") == [("fct_days",)]

    # The record is only read, and what others see is nowhere touched.
    assert sorted(record.raw_dir.rglob("*")) == files
    assert not record.published_dir.exists()
    assert not record.warehouse_path.exists()
    assert typed("dev", "ann", "--remove") == "Removed the dev home ann.\n"
    assert not (record.dev_dir / "ann").exists()
    assert sorted(record.raw_dir.rglob("*")) == files
    said = typed("dbt", "--dev", "ann", "run", code=1)
    assert "There is no dev home ann (there is: none); `funnelhouse dev ann` makes it." in said


@pytest.mark.long
def test_a_sample_has_whole_clusters(record: Settings, project: Path) -> None:
    with duckdb.connect(str(record.warehouse_path)) as warehouse:
        # Every second event is of one cluster.
        warehouse.execute(
            "create table int_event_clusters as select range as seq, range % 2 as cluster_id from range(1, 8)"
        )
    rows = set()
    for share in ("1%", "50%", "99%"):
        typed("dev", "bob", "--sample", share)
        rows.add(tuple(seq for (seq,) in published(record, "bob", "select seq from fct_events order by seq")))
    assert rows <= {(), (1, 3, 5, 7), (2, 4, 6), (1, 2, 3, 4, 5, 6, 7)}
    assert (1, 2, 3, 4, 5, 6, 7) in rows
    for wrong in ("10", "0%", "100%", "x%"):
        assert "A sample is a share below 100%" in typed("dev", "bob", "--sample", wrong, code=1)


@pytest.mark.usefixtures("project")
def test_what_cannot_be_made_is_said(home: Settings) -> None:
    assert "holds nothing yet: run `funnelhouse build` first" in typed("dev", "ann", code=1)
    with closing(open_store(home.landing_store)):
        pass
    for name in ("Ann", "../ann", "-"):
        typed("dev", "--", name, code=2)
    typed("dev", "ann", "--days", "3", "--sample", "10%", code=2)
    typed("dbt", code=2)
