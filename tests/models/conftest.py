"""dbt, run as a data team would run it: on a home of its own, parsed anew."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from funnelhouse.settings import Settings
from ingest_api.sealing import seal
from orchestration.manifest import DBT_EXECUTABLE, DBT_PROJECT, dbt_environment, load_manifest


def run_dbt(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a dbt command over the project; the caller looks at its exit code and output."""
    command = [str(DBT_EXECUTABLE), "--no-use-colors", *arguments, "--profiles-dir", str(DBT_PROJECT)]
    return subprocess.run(
        command,
        cwd=DBT_PROJECT,
        env={**os.environ, **dbt_environment(settings)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home in which nothing landed, with every model built and every rule tested."""
    settings = Settings(home=tmp_path_factory.mktemp("models") / "home")
    seal(settings.landing_store, settings.raw_dir)
    # dbt keeps the rows of seeds that unit tests read in its partial parse, and misses their changes.
    built = run_dbt(settings, "--no-partial-parse", "build")
    assert built.returncode == 0, built.stdout[-8000:]
    return settings


@pytest.fixture(scope="session")
def manifest(empty_warehouse: Settings) -> Any:
    """What dbt knows of the project."""
    return load_manifest(empty_warehouse)


@pytest.fixture(scope="session")
def compiled_models(empty_warehouse: Settings) -> Path:
    """Folder of the models as dbt compiled them: plain SQL."""
    return empty_warehouse.home_dir / "dbt" / "target" / "compiled" / "funnelhouse" / "models"
