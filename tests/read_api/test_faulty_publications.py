"""A publication that cannot be read: 503 in a sentence that names the file and what helps, never a 500."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, publish_rows, read_server

from funnelhouse.last_build import LastBuild, write_last_build
from funnelhouse.settings import Settings

PATHS = (
    "/read/ready",
    "/v1/projects/shop/marts",
    "/v1/projects/shop/marts/fct_conversions",
    "/v1/projects/shop/marts/fct_conversions?format=csv",
    "/v1/projects/shop/reports/summary",
    "/v1/projects/shop/reports/builds",
    "/v1/funnel?account_id=shop&report_type=Source&date_range=today",
)


def half(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def spoilt(path: Path) -> None:
    """As long as before, with other bytes in its middle."""
    path.chmod(0o644)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(12_288)
        file.write(b"\x5a" * (size - 12_288))


def as_folder(path: Path) -> None:
    target = path.parent / path.readlink()
    path.unlink()
    shutil.copytree(target, path)


FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a folder instead of the link": (
        "current",
        as_folder,
        "current cannot be used: it is not a link; remove it",
    ),
    "no build.json": ("current/build.json", Path.unlink, "build.json cannot be used"),
    "broken build.json": (
        "current/build.json",
        lambda path: path.write_text('{"a'),
        "build.json cannot be used",
    ),
    "another build.json": (
        "current/build.json",
        lambda path: path.write_text("[1]"),
        "build.json cannot be used",
    ),
    "no marts": ("current/marts.duckdb", Path.unlink, "marts.duckdb cannot be used"),
    "half of the marts": ("current/marts.duckdb", half, "marts.duckdb cannot be used"),
    "spoilt marts": ("current/marts.duckdb", spoilt, "marts.duckdb cannot be used"),
    "empty marts": (
        "current/marts.duckdb",
        lambda path: (path.chmod(0o644), path.write_bytes(b"")),
        "marts.duckdb",
    ),
    "a link to nothing": (
        "current",
        lambda path: (path.unlink(), path.symlink_to("nothing")),
        "Nothing is published",
    ),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound publication, to be copied."""
    home = tmp_path_factory.mktemp("sound") / "home"
    publish_rows(Settings(home=home), EXAMPLE_ROWS)
    return home / "published"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    with read_server(tmp_path_factory.mktemp("faulty") / "home") as running:
        yield running


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_sentence(fault: str, is_open: bool, published: Path, server: ReadServer) -> None:
    folder = server.settings.published_dir
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(published, folder, symlinks=True)
    # Another id, as every publication has, so that nothing of it is open.
    old = next(path for path in folder.iterdir() if not path.is_symlink())
    new = f"20261129T{2 * [*FAULTS].index(fault) + is_open:012d}Z"
    old.rename(folder / new)
    (folder / "current").unlink()
    (folder / "current").symlink_to(new)
    file, plant, sentence = FAULTS[fault]
    if is_open:
        assert server.get("/read/ready").status_code == 200
    plant(folder / file)
    for path in PATHS:
        answer = server.client.get(path)
        if is_open and answer.status_code == 200:
            # What is open can be read on.
            continue
        body = answer.json()
        assert answer.status_code == 503, (path, answer.text[:300])
        assert sentence in (body.get("detail") or body["message"]), path
        assert "funnelhouse build" in (body.get("detail") or body["message"]), path
    assert server.client.get("/read/metrics").status_code == 200


@pytest.mark.long
def test_an_older_build_that_is_damaged_is_not_listed(home: Settings) -> None:
    start = datetime.now(UTC)
    old = publish_rows(home, {}, start)
    (old.folder / "build.json").write_text("{")
    new = publish_rows(home, EXAMPLE_ROWS, start + timedelta(seconds=1))
    with read_server(home.home_dir) as server:
        body = server.get("/v1/projects/shop/reports/builds").json()
        assert [each["build"] for each in body["builds"]] == [new.build_id]
        answer = server.get("/v1/projects/shop/reports/summary", build=old.build_id)
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith(f"published/{old.build_id}/build.json cannot be used")


@pytest.mark.long
def test_how_old_figures_are_and_that_a_build_failed(home: Settings) -> None:
    published = publish_rows(home, EXAMPLE_ROWS, datetime.now(UTC) - timedelta(hours=1))
    with read_server(home.home_dir) as server:
        assert server.get("/read/ready", max_age=7200).status_code == 200
        old = server.get("/read/ready", max_age=600)
        assert old.status_code == 503
        assert "max_age is 600 s" in old.json()["detail"]
        assert server.get("/read/ready", max_age="x").status_code == 400
        builds = "/v1/projects/shop/reports/builds"
        before = server.get(builds)
        assert before.json()["last_build"] is None
        ended_us = 1_800_000_000_000_000
        failed = LastBuild(
            outcome="failed",
            build_id=None,
            started_us=ended_us - 12_500_000,
            ended_us=ended_us,
            failures=("seq 17 of the project rival has no kind",),
        )
        write_last_build(home.last_build_path, failed)
        after = server.get(builds)
        last = after.json()["last_build"]
        assert (last["outcome"], last["seconds"], last["build"]) == ("failed", 12.5, None)
        assert last["ended_at"] == "2027-01-15T08:00:00Z"
        assert "rival" not in after.text
        assert after.headers["etag"] != before.headers["etag"]
        for text in (
            "{",
            json.dumps({"outcome": "odd"}),
            '{"outcome": "failed", "failures": [], "ended_us": "x"}',
        ):
            home.last_build_path.write_text(text)
            assert server.get(builds).json()["last_build"] is None
            assert server.get("/read/metrics").status_code == 200
        assert server.get(builds).json()["build"] == published.build_id
