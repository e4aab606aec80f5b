"""dbt, run as a data team would run it, on a home of its own."""

import os
import subprocess

from funnelhouse.settings import Settings
from orchestration.fingerprint import compiled_digest, of_engine
from orchestration.manifest import DBT_EXECUTABLE, DBT_PROJECT, dbt_environment, load_manifest


def environment(settings: Settings) -> dict[str, str]:
    """Variables for a dbt that works on a home as its builds do, with the checkout's project."""
    fingerprint = of_engine(compiled_digest(load_manifest(settings), DBT_PROJECT))
    return {**os.environ, **dbt_environment(settings, fingerprint)}


def run_dbt(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a dbt command over the project; the caller looks at its exit code and output."""
    command = [str(DBT_EXECUTABLE), "--no-use-colors", *arguments, "--profiles-dir", str(DBT_PROJECT)]
    return subprocess.run(
        command,
        cwd=DBT_PROJECT,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
