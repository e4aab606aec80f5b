"""A home with every model built, for the tests that look at them."""

from pathlib import Path
from typing import Any

import pytest
from dbt_cli import run_dbt
from made_once import made_once

from funnelhouse.settings import Settings
from orchestration.manifest import load_manifest
from record.sealing import seal


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Settings:
    """A home in which nothing landed, with every model built and tried. Not to be changed."""

    def build(folder: Path) -> None:
        settings = Settings(home=folder / "home")
        seal(settings.landing_store, settings.raw_dir)
        built = run_dbt(settings, "build", "--exclude-resource-type", "unit_test")
        assert built.returncode == 0, built.stdout[-8000:]

    return Settings(home=made_once(tmp_path_factory, worker_id, "empty-warehouse", build) / "home")


@pytest.fixture(scope="session")
def manifest(empty_warehouse: Settings) -> Any:
    """What dbt knows of the project."""
    return load_manifest(empty_warehouse)


@pytest.fixture(scope="session")
def compiled_models(empty_warehouse: Settings) -> Path:
    """Folder of the models as dbt compiled them: plain SQL."""
    return empty_warehouse.home_dir / "dbt" / "target" / "compiled" / "funnelhouse" / "models"
