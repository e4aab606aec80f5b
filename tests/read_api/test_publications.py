"""Open builds inside one process: limits, locked configuration, and a build pruned at the wrong moment."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from example_marts import EXAMPLE_ROWS, publish_rows

from funnelhouse.settings import Settings
from read_api.opened_build import BuildGoneError
from read_api.publications import NotPublishedError, Publications
from read_api.query_limits import QueryLimitError

SLOW = "select sum(hash(a.range + b.range)) from range(1000000) a, range(1000000) b where a.range > ?"


def test_a_query_is_given_up_after_its_time(home: Settings) -> None:
    publish_rows(home, EXAMPLE_ROWS)
    publications = Publications(home.published_dir, query_seconds=0.3)
    with publications.current() as reader:
        with pytest.raises(QueryLimitError):
            reader.rows(SLOW, [1])
        assert reader.rows("select ?", [1]) == [(1,)]
        with pytest.raises(QueryLimitError):
            list(reader.batches(SLOW.replace("a.range > ?", "hash(a.range + b.range) < ?"), [1])[1])


def test_a_query_is_given_up_when_it_needs_too_much_memory(home: Settings) -> None:
    publish_rows(home, EXAMPLE_ROWS)
    publications = Publications(home.published_dir, memory="50MB")
    with publications.current() as reader, pytest.raises(QueryLimitError):
        reader.rows("select list(range::text) from range(?)", [10_000_000])


@pytest.mark.parametrize(
    "statement",
    [
        "set memory_limit = '8GB'",
        "copy rpt_sources to 'x.csv'",
        "attach 'x.duckdb'",
        "select * from read_text('/etc/hostname')",
        "delete from rpt_attribution",
        "install httpfs",
    ],
)
def test_a_reader_can_only_read(home: Settings, statement: str) -> None:
    publish_rows(home, EXAMPLE_ROWS)
    with Publications(home.published_dir).current() as reader, pytest.raises(duckdb.Error):
        reader.rows(statement, [])


def test_a_build_pruned_after_the_link_was_followed_is_looked_up_again(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish_rows(home, {})
    publications = Publications(home.published_dir)
    follow = publications._current_id
    followed: list[str] = []

    def follow_then_lose_the_first() -> str:
        build_id = follow()
        if not followed:
            publish_rows(home, {}, datetime.now(UTC) + timedelta(seconds=1))
            shutil.rmtree(old.folder)
        followed.append(build_id)
        return build_id

    monkeypatch.setattr(publications, "_current_id", follow_then_lose_the_first)
    with publications.current() as reader:
        assert reader.build_id == followed[1] != old.build_id


def test_what_is_not_there(home: Settings) -> None:
    publications = Publications(home.published_dir)
    with pytest.raises(NotPublishedError):
        publications.current()
    build = publish_rows(home, {})
    with pytest.raises(BuildGoneError):
        publications.build("20200101T000000000000Z")
    shutil.rmtree(build.folder)
    with pytest.raises(NotPublishedError):
        publications.current()


def test_a_table_without_projects_is_not_shown(home: Settings, tmp_path: Path) -> None:
    from publication.layout import new_build_id
    from publication.publishing import publish

    now = datetime.now(UTC)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create table secrets (a int)")
        connection.execute("create table rpt_things (project_id text)")
    publish(
        tmp_path / "warehouse.duckdb", home.published_dir, ["secrets", "rpt_things"], new_build_id(now), now
    )
    with Publications(home.published_dir).current() as reader:
        assert list(reader.marts) == ["rpt_things"]
