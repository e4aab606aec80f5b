"""`funnelhouse builds`: go back to a kept build, stay there, and keep one for good."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from click.testing import CliRunner
from example_marts import contract, publish_rows, write_warehouse

from command_line.cli import main
from funnelhouse.settings import Settings
from orchestration.build_lock import build_lock
from publication.layout import latest_folder, new_build_id, published_builds
from publication.publishing import KEPT_DAYS, Changes, publish

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def typed(home: Settings) -> Callable[..., str]:
    """What a command says; it must not fail, unless it `fails`."""

    def run(*arguments: str, fails: bool = False) -> str:
        done = CliRunner().invoke(main, ["builds", *arguments])
        assert (done.exit_code != 0) == fails, done.output
        return done.output

    return run


def shown(home: Settings) -> str:
    return (home.published_dir / "current").resolve().name


def test_readers_go_back_and_stay_until_they_are_released(home: Settings, typed: Callable[..., str]) -> None:
    first, second = (publish_rows(home, {}, START + timedelta(hours=n)).build_id for n in (0, 1))
    assert typed("use", first) == f"Readers see {first} until `funnelhouse builds use latest`.\n"
    assert shown(home) == first

    # Builds go on from what was built last, as copies with what changed, and readers stay.
    rows = {"fct_touches": [{"project_id": "shop", "person_id": "ann"}]}
    home.warehouse_path.unlink()
    write_warehouse(home.warehouse_path, rows)
    assert latest_folder(home.published_dir).name == second
    at = START + timedelta(hours=2)
    third = publish(
        home.warehouse_path, home.published_dir, sorted(contract()), new_build_id(at), at,
        changes=Changes(second, {"fct_sessions": "false"}),
    )  # fmt: skip
    assert shown(home) == first
    assert latest_folder(home.published_dir) == third.folder
    with duckdb.connect(str(third.folder / "marts.duckdb"), read_only=True) as marts:
        # The file of the second, with what changed since.
        assert marts.execute("select person_id from fct_touches").fetchall() == [("ann",)]
        assert marts.execute("select count(*) from fct_sessions").fetchall() == [(0,)]
    assert json.loads((third.folder / "build.json").read_text())["copies"] == 1

    lines = typed("list").splitlines()
    assert [line.split()[0] for line in lines] == [third.build_id, second, first]
    assert lines[2].endswith("commit 4810b210e3 with changes  shown, held")
    assert typed("use", "latest") == f"Readers see {third.build_id}, and each new build.\n"
    assert shown(home) == third.build_id
    fourth = publish_rows(home, {}, START + timedelta(hours=3)).build_id
    assert shown(home) == fourth


@pytest.mark.long
def test_a_pinned_build_is_never_deleted(home: Settings, typed: Callable[..., str]) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {})

    def build(at: datetime) -> str:
        publish(home.warehouse_path, home.published_dir, ["rpt_sources"], new_build_id(at), at)
        return new_build_id(at)

    first, other = build(START), build(START + timedelta(minutes=1))
    assert typed("pin", first) == f"{first} is kept for good.\n"
    for day in range(KEPT_DAYS + 2):
        build(START + timedelta(days=1 + day))
    there = published_builds(home.published_dir)
    assert (first in there, other in there) == (True, False)
    assert typed("pin", first, "--release") == f"{first} is not pinned any more.\n"
    build(START + timedelta(days=20))
    assert first not in published_builds(home.published_dir)


def test_what_a_build_says_of_itself_is_shown(home: Settings, typed: Callable[..., str]) -> None:
    assert typed("list") == ""
    first = publish_rows(home, {}, START).build_id
    said = typed("show")
    assert said == typed("show", first)
    assert said.startswith(f"build:      {first}\n")
    assert "code:       commit 4810b210e3 with changes, fingerprint 6162bbf483\n" in said
    assert "rpt_sources  0" in said


def test_what_is_not_there_is_refused(home: Settings, typed: Callable[..., str]) -> None:
    assert "nothing is published yet" in typed("use", "latest", fails=True)
    first = publish_rows(home, {}, START).build_id
    for command in ("use", "pin", "show"):
        for name in ("20200101T000000000000Z", "../published"):
            assert name in typed(command, name, fails=True)
    with build_lock(home.build_lock_path, is_inherited=False):
        assert "A build is running" in typed("use", first, fails=True)
    assert shown(home) == first
