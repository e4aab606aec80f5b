"""dbt, run as a data team would run it, on a home of its own.

It is handed the checkout's project as it was parsed, once for all homes. dbt's own memory of a parse is of
one home, and parsing takes longer than most of what tests ask of it.
"""

import os
import subprocess
import sys

from funnelhouse.settings import Settings
from orchestration.fingerprint import compiled_digest, of_engine
from orchestration.manifest import DBT_PROJECT, PARTIAL_PARSE, dbt_environment, load_manifest, parse_dir

_DBT = """
import os
import sys
from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt_common.events.event_manager_client import ctx_set_event_manager

from orchestration.dbt_process import Undebugged, read_parsed

manifest = read_parsed(Path(sys.argv[1]), Path.cwd())
assert manifest is not None
ctx_set_event_manager(Undebugged())
# Of all that it writes as JSON, the manifest would be the same again, twice.
ended = dbtRunner(manifest=manifest).invoke(["--no-write-json", *sys.argv[2:]])
if ended.exception is not None:
    print(ended.exception)
if hasattr(ended.result, "write"):
    ended.result.write(os.environ["DBT_TARGET_PATH"] + "/run_results.json")
sys.exit(0 if ended.success else 1)
"""


def environment(settings: Settings) -> dict[str, str]:
    """Variables for a dbt that works on a home as its builds do, with the checkout's project."""
    fingerprint = of_engine(compiled_digest(load_manifest(settings), DBT_PROJECT))
    return {**os.environ, **dbt_environment(settings, fingerprint)}


def dbt_command(settings: Settings, *arguments: str) -> list[str]:
    """A dbt command over the project, to be run in its folder once the environment is made."""
    parsed = parse_dir(settings) / PARTIAL_PARSE
    options = ("--profiles-dir", str(DBT_PROJECT))
    return [sys.executable, "-P", "-c", _DBT, str(parsed), "--no-use-colors", *arguments, *options]


def run_dbt(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a dbt command over the project; the caller looks at its exit code and output."""
    # It parses the project if that has changed.
    variables = environment(settings)
    return subprocess.run(
        dbt_command(settings, *arguments),
        cwd=DBT_PROJECT,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
