"""Incremental equals full: however the record came in, and whatever became of the builds meanwhile, the marts
are, row for row, those of one build from nothing."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import duckdb
import pytest
from dbt_cli import dbt_command, environment, run_dbt
from histories import Batch, batches
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from seeds import a_seed

from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.incremental import changes_of_build, mark_published
from orchestration.manifest import DBT_PROJECT, load_manifest
from publication.layout import MARTS_FILE, new_build_id, published_builds
from publication.publishing import point_current_at, publish
from record.contract import RAW_TABLES, row_values
from record.landing import open_store
from record.sealing import seal

PROJECTS = 20
"""Histories of a house: all of them share its builds."""

SHOWN_ROWS = 3

# An example is several builds: making a failing one smaller would take longer than reading it.
few = partial(
    settings,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)

# What becomes of each batch after it landed. A build that is stopped has all its models, but no publication.
fates = st.sampled_from(
    ["published", "published", "stopped", "killed", "killed", "none", "whole", "rolled back"]
)
# Hypothesis begins with the least example, which would be the same history in every run.
seeds = st.just(a_seed()) | st.integers(0, 2**32 - 1)


@pytest.mark.long
@few(max_examples=1)
@given(seeds)
def test_after_builds_that_failed_every_mart_is_that_of_one_build(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    incremental = _check(tmp_path_factory, seed, ["published", "stopped", "rolled back", "killed", "stopped"])
    assert any(incremental)
    assert not incremental[0]


@pytest.mark.slow
@few(max_examples=10)
@given(seeds, st.lists(fates, min_size=3, max_size=6), st.sampled_from(["published", "stopped"]))
def test_after_whatever_became_of_builds_every_mart_is_that_of_one_build(
    tmp_path_factory: pytest.TempPathFactory, seed: int, earlier: list[str], last: str
) -> None:
    _check(tmp_path_factory, seed, [*earlier, last])


def _check(tmp_path_factory: pytest.TempPathFactory, seed: int, fates: Sequence[str]) -> list[bool]:
    """Build a house of this seed batch by batch, and compare it with what one build makes of its record.

    Returns, of each build that came to its end, whether it was incremental.
    """
    incremental = []
    home = Settings(home=tmp_path_factory.mktemp("batches") / "home")
    kills = Random(seed)
    for batch, fate in zip(batches(seed, PROJECTS, len(fates)), fates, strict=True):
        _land(home, batch)
        if fate == "killed":
            _build_killed(home, nodes=kills.randrange(MOST_NODES), delay_s=kills.uniform(0, 0.3))
        elif fate == "stopped":
            _build_models(home)
        elif fate == "whole":
            report = run_build(home, full_refresh=True)
            assert report.failures == ()
        elif fate != "none":
            _publish(home)
        if fate == "rolled back":
            point_current_at(home.published_dir, published_builds(home.published_dir)[0])
        if fate not in ("killed", "none"):
            with duckdb.connect(str(home.warehouse_path), read_only=True) as warehouse:
                incremental += [found for (found,) in warehouse.execute(_IS_INCREMENTAL).fetchall()]
    whole = Settings(home=tmp_path_factory.mktemp("whole") / "home")
    shutil.copytree(home.raw_dir, whole.raw_dir)
    _build_models(whole)
    assert _joined_across_clusters(whole.warehouse_path) == []
    differences = _differences(home.warehouse_path, whole.warehouse_path)
    assert not differences, "\n".join([f"seed {seed}, {' → '.join(fates)}, {home.home_dir}:", *differences])
    return incremental


_JOINED_BY = {
    "a visit found": """
        select seq as key, seq from int_visits_found union all
        select seq, page_view_seq from int_visits_found where page_view_seq is not null""",
    "a person": "select person_id, seq from int_event_people",
    "a visitor": """
        select project_id || '/' || visitor_id, seq from int_event_people where visitor_id is not null""",
    "a hashed id": """
        select project_id || '/' || id_type || ':' || id_value, seq from int_hashed_ids
        where conflict is distinct from 'junk' and conflict is distinct from 'not_a_hash'""",
    "a pair of ids": """
        select project_id || '/' || least(user_id, previous_id) || '/' || greatest(user_id, previous_id), seq
        from int_events_in_work where kind in ('alias', 'unalias')""",
    "a session": "select first_page_view_seq, seq from int_activities_sessionized",
    "a conversion": "select conversion_id, seq from int_conversion_reports",
    "an order's event": "select conversion_id, seq from int_order_events",
    "a sale and its refunds": """
        select story_id, seq from int_refunds_matched union all
        select conversion_id, seq from int_conversion_reports""",
    "an ad click": """
        select project_id || '/' || click_id_type || ':' || click_id, seq from int_events_in_work
        where click_id is not null and (project_id, click_id_type, click_id) in (
            select (project_id, click_id_type, click_id) from int_events_in_work
            where kind <> 'visit' and click_id is not null)""",
    "a touch and a conversion": """
        select conversion_id, touch_seq as seq from int_conversion_touches union all
        select conversion_id, seq from int_conversion_reports""",
    "a first touch and a conversion": """
        select conversion_id, touch_seq as seq from int_conversion_first_touches union all
        select conversion_id, seq from int_conversion_reports""",
    "a funnel's unit": """
        select unit_id, seq from int_funnel_events union all
        select unit_id, entry_seq from int_funnel_counts""",
}
"""Each rule by which models join events, as rows (what they share, event)."""


def _joined_across_clusters(warehouse_path: Path) -> list[str]:
    """Rules that join events of different clusters in a house built in full, with what joins them."""
    found = []
    with duckdb.connect(str(warehouse_path), read_only=True) as warehouse:
        for rule, sql in _JOINED_BY.items():
            rows = warehouse.execute(
                f"select key, list(distinct cluster_id) from ({sql}) as joined (key, seq) "
                "inner join int_event_clusters using (seq) group by key having count(distinct cluster_id) > 1"
            ).fetchall()
            found += [f"{rule}: {row}" for row in rows[:SHOWN_ROWS]]
        loose = "select count(*) from int_events_in_work anti join int_event_clusters using (seq)"
        assert warehouse.execute(loose).fetchone() == (0,)
    return found


_IS_INCREMENTAL = "select is_incremental from this_build"


MOST_NODES = 350
"""About as many seeds, models and tests as a build has; past its end, a kill comes too late."""


def _land(home: Settings, batch: Batch) -> None:
    with closing(open_store(home.landing_store)) as store:
        store.append(
            [(table, [row_values(RAW_TABLES[table])(row) for row in batch[table]]) for table in batch]
        )


def _publish(home: Settings) -> None:
    """A build with dbt's tests and publication. Dagster's record of it alone would take as long again."""
    seal(home.landing_store, home.raw_dir)
    built = run_dbt(home, "build", "--exclude", "test_type:unit")
    assert built.returncode == 0, built.stdout[-8000:]
    with duckdb.connect(str(home.warehouse_path), read_only=True) as warehouse:
        marts = _marts(warehouse, "warehouse")
    now = datetime.now(UTC)
    build_id, changes = new_build_id(now), changes_of_build(home.warehouse_path, load_manifest(home))
    published = publish(home.warehouse_path, home.published_dir, marts, build_id, now, changes=changes).folder
    mark_published(home.warehouse_path, build_id)
    differences = _differences(published / MARTS_FILE, home.warehouse_path)
    assert not differences, "\n".join([f"published with {changes}:", *differences])


def _build_models(home: Settings) -> None:
    """Everything of a build before its checks and its publication."""
    seal(home.landing_store, home.raw_dir)
    built = run_dbt(home, "build", "--resource-type", "model", "--resource-type", "seed")
    assert built.returncode == 0, built.stdout[-8000:]


def _build_killed(home: Settings, nodes: int, delay_s: float) -> None:
    """A build whose dbt is killed a moment after it has finished so many seeds, models and tests."""
    seal(home.landing_store, home.raw_dir)
    build = subprocess.Popen(
        dbt_command(home, "build", "--exclude", "test_type:unit"),
        cwd=DBT_PROJECT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert build.stdout is not None
    with build, build.stdout:
        finished = 0
        for line in build.stdout:
            finished += " OK " in line or " PASS " in line
            if finished > nodes:
                time.sleep(delay_s)
                break
        os.killpg(build.pid, signal.SIGKILL)


def _differences(built: Path, whole: Path) -> list[str]:
    """For each mart that differs: the projects, and some rows that only one side has."""
    found = []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{built}' as built (read_only)")
        connection.execute(f"attach '{whole}' as whole (read_only)")
        names = [_marts(connection, side) for side in ("built", "whole")]
        assert names[0] == names[1]
        for mart in names[0]:
            columns = [
                # A publication is bound by no constraint.
                [column[:2] for column in connection.execute(f"describe {side}.{mart}").fetchall()]
                for side in ("built", "whole")
            ]
            assert columns[0] == columns[1], mart
            at = [column[0] for column in columns[0]].index("project_id")
            only = [_only(connection, mart, *sides) for sides in (("built", "whole"), ("whole", "built"))]
            if any(only):
                projects = Counter(row[at] for rows in only for row in rows)
                found.append(f"{mart}: rows that differ by project: {dict(projects)}")
                # Of one project, so that what belongs together is seen together.
                [(first, _)] = projects.most_common()[-1:]
                for side, rows in zip(("batches", "one build"), only, strict=True):
                    shown = sorted((row for row in rows if row[at] == first), key=repr)[:SHOWN_ROWS]
                    found += [f"  {side}: {row}" for row in shown]
    return found


def _marts(connection: duckdb.DuckDBPyConnection, side: str) -> list[str]:
    sql = (
        "select table_name from information_schema.tables "
        "where table_catalog = ? and table_schema = 'main' order by table_name"
    )
    names = [name for (name,) in connection.execute(sql, [side]).fetchall()]
    marts = [name for name in names if name.startswith(("dim_", "fct_", "rpt_"))]
    assert len(marts) >= 25
    return marts


def _only(connection: duckdb.DuckDBPyConnection, mart: str, one: str, other: str) -> list[tuple[object, ...]]:
    sql = f"select * from {one}.{mart} except all select * from {other}.{mart}"
    return connection.execute(sql).fetchall()
