"""dbt's manifest: what the project consists of, parsed anew whenever its files or the home have changed."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from funnelhouse.settings import CHECKOUT, Settings

DBT_PROJECT = CHECKOUT / "dbt_project"
DBT_EXECUTABLE = Path(sys.executable).parent / "dbt"
"""Beside this interpreter: an environment that isn't activated is not on PATH."""

Manifest = Mapping[str, Any]

# A change of anything else, such as a test, leaves every table as it is.
_MADE_FROM = ("dbt_project.yml", "models", "macros", "seeds")

# dbt writes variables with this prefix into the manifest, which so says what home it was made for.
_HOME_IN_MANIFEST = "FUNNELHOUSE_HOME"


class DbtProjectError(Exception):
    """dbt can't parse the project; the message is dbt's own."""


def parse_dir(settings: Settings) -> Path:
    """Folder of the parsed manifest. Below the home, so that two homes never share dbt's state."""
    return settings.home_dir / "dbt" / "target"


def build_dir(settings: Settings) -> Path:
    """Folder where a build's dbt writes: apart, because others read the parsed manifest meanwhile."""
    return settings.home_dir / "dbt" / "build"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables that dbt and the project's files read. Every path is absolute: dbt changes its folder."""
    home = str(settings.home_dir)
    return {
        "FUNNELHOUSE_HOME": home,
        "FUNNELHOUSE_BUILD_MEMORY": settings.build_memory,
        "FUNNELHOUSE_FINGERPRINT": fingerprint(),
        f"DBT_ENV_CUSTOM_ENV_{_HOME_IN_MANIFEST}": home,
        "DBT_TARGET_PATH": str(parse_dir(settings)),
        "DBT_LOG_PATH": str(settings.home_dir / "dbt" / "logs"),
        # Its debug log would be megabytes per build.
        "DBT_LOG_LEVEL_FILE": "info",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def fingerprint() -> str:
    """SHA-256 of what the tables are made from: SQL, seeds, variables, and the version of the engine."""
    digest = hashlib.sha256(version("duckdb").encode())
    for root in (DBT_PROJECT / name for name in _MADE_FROM):
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                # Lengths, so that no two projects read the same.
                content = path.read_bytes()
                digest.update(f"{path.relative_to(DBT_PROJECT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def load_manifest(settings: Settings) -> Manifest:
    """The project's manifest; parses first (about 5 s) when files of the project are newer.

    Raises DbtProjectError when the project can't be parsed. Processes that ask at once take turns.
    """
    path = parse_dir(settings) / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(path.parent / "parse.lock"):
        manifest = _current(path, settings)
        if manifest is None:
            _parse(settings)
            manifest = json.loads(path.read_bytes())
    return manifest


def model_names(manifest: Manifest, folder: str) -> list[str]:
    """Names of the models in a folder of `models`, sorted: `marts` are published, `attribution` offered."""
    return sorted(
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == folder
    )


def _current(path: Path, settings: Settings) -> Manifest | None:
    """The manifest as it lies there, unless it is missing, older than the project, or another home's."""
    if not path.exists() or path.stat().st_mtime_ns <= _changed_ns():
        return None
    manifest: Manifest = json.loads(path.read_bytes())
    made_for = manifest["metadata"]["env"].get(_HOME_IN_MANIFEST)
    return manifest if made_for == str(settings.home_dir) else None


def _changed_ns() -> int:
    """When the project last changed, in Unix nanoseconds; folders count, since deleting changes only them."""
    paths = [DBT_PROJECT, *DBT_PROJECT.rglob("*")]
    written_by_dbt = {DBT_PROJECT / "target", DBT_PROJECT / "logs"}
    return max(
        path.stat().st_mtime_ns
        for path in paths
        if not written_by_dbt.intersection([path, *path.parents]) and "__pycache__" not in path.parts
    )


def _parse(settings: Settings) -> None:
    command = [str(DBT_EXECUTABLE), "--quiet", "--no-use-colors", "parse"]
    command += ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
    finished = subprocess.run(  # noqa: S603 (our own command)
        command,
        env={**os.environ, **dbt_environment(settings)},
        cwd=DBT_PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()
        raise DbtProjectError(f"dbt can't parse {DBT_PROJECT}:\n{said}")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
