"""Homes with a little data landed, and one of them built, which tests copy instead of building their own."""

import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from made_once import made_once
from small_project import write_small_project

from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.build_report import BuildReport
from record.contract import DAY_US, Event, row_values
from record.landing import open_store
from record.landing.store import Answer

HOUR_US = 3_600_000_000
START_US = 1_750_000_000_000_000

VISIT = Event(
    event_id="visit-1",
    project_id="shop",
    dialect="openanalytics",
    dialect_version="1",
    sender="browser",
    kind="visit",
    received_us=START_US,
    occurred_us=START_US,
    payload="{}",
    visitor_id="ann's browser",
    url="https://shop.example/?utm_source=google&utm_medium=cpc",
    utm_source="google",
    utm_medium="cpc",
)
SALE = replace(
    VISIT,
    event_id="sale-1",
    sender="server",
    kind="conversion",
    name="purchase",
    received_us=START_US + HOUR_US,
    occurred_us=START_US + HOUR_US,
    url=None,
    utm_source=None,
    utm_medium=None,
    amount_text="12.50",
    amount_unit="major",
    currency="EUR",
    transaction_id="order-1",
)


def land(settings: Settings, *events: Event) -> None:
    """Put reports into the landing store as they are, past everything that ingest would refuse."""
    with closing(open_store(settings.landing_store)) as store:
        store.append([("events", [row_values(Event)(event) for event in events])])


@dataclass(frozen=True)
class BuiltHome:
    """A home with one visit, one sale and two answers to old requests, built; that build's report, and the
    progress it gave."""

    settings: Settings
    report: BuildReport
    progress: list[tuple[str, int, int]]


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> BuiltHome:
    """Not to be changed: `home_copy` is."""

    def build(folder: Path) -> None:
        said = build_home(Settings(home=folder / "home"))
        (folder / "said.pickle").write_bytes(pickle.dumps(said))

    folder = made_once(tmp_path_factory, worker_id, "built-home", build)
    return BuiltHome(Settings(home=folder / "home"), *pickle.loads((folder / "said.pickle").read_bytes()))


def build_home(settings: Settings) -> tuple[BuildReport, list[tuple[str, int, int]]]:
    """Its report, and the progress it gave."""
    land(settings, VISIT, SALE)
    with closing(open_store(settings.landing_store)) as store:
        now_us = time.time_ns() // 1000
        for key, days in (("old", 31), ("new", 29)):
            answered_us = now_us - days * DAY_US
            answer = Answer("shop", "/v1/conversions", key, b"hash", answered_us, 200, {}, b"{}")
            store.append([("events", [])], {0: answer})
    progress: list[tuple[str, int, int]] = []
    report = run_build(settings, on_progress=lambda *step: progress.append(step))
    return report, progress


@pytest.fixture
def home_copy(built_home: BuiltHome, tmp_path: Path) -> Settings:
    """A built home to do harm to."""
    shutil.copytree(built_home.settings.home_dir, tmp_path / "home", symlinks=True)
    return Settings(home=tmp_path / "home")


@pytest.fixture
def empty_home(tmp_path: Path) -> Settings:
    """A home in which nothing has landed."""
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def land_events() -> Callable[..., None]:
    """`land_events(settings, VISIT, …)`."""
    return land


@pytest.fixture(scope="session")
def visit() -> Event:
    """A visit from google."""
    return VISIT


@pytest.fixture(scope="session")
def sale() -> Event:
    """The sale that followed an hour later."""
    return SALE


@pytest.fixture
def small_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project of one model and one seed, in the place of ours."""
    project = tmp_path / "project"
    write_small_project(project)
    for module in ("manifest", "extensions", "deployment"):
        monkeypatch.setattr(f"orchestration.{module}.DBT_PROJECT", project)
    return project
