"""dbt's manifest: what the checkout's project consists of, parsed anew whenever its content has changed."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from funnelhouse.settings import CHECKOUT, IS_CHECKOUT, Settings

DBT_PROJECT = CHECKOUT / "dbt_project"
DBT_EXECUTABLE = Path(sys.executable).parent / "dbt"
"""Beside this interpreter: an environment that isn't activated is not on PATH."""

Manifest = Mapping[str, Any]

# What parsing depends on besides the project and the environment.
_PARSERS = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb", "duckdb")

MANIFEST = "manifest.json"

PARTIAL_PARSE = "partial_parse.msgpack"
"""The same as dbt keeps it for itself."""

_PARSE_LOCK = "parse.lock"


class DbtProjectError(Exception):
    """dbt can't parse the project; the message is dbt's own."""


def parse_dir(settings: Settings) -> Path:
    """Folder of the parsed manifest: a checkout's own, because a parse is of no home, else the home's."""
    folder = DBT_PROJECT if IS_CHECKOUT and os.access(DBT_PROJECT, os.W_OK) else settings.home_dir / "dbt"
    return folder / "target" / "parsed"


def build_dir(settings: Settings) -> Path:
    """Folder where a build's dbt writes: apart, because others read the parsed manifest meanwhile."""
    return settings.home_dir / "dbt" / "build"


def dbt_environment(settings: Settings, fingerprint: str) -> dict[str, str]:
    """Variables that dbt and the project's files read. Every path is absolute: dbt changes its folder.

    `fingerprint` is that of the project; without one, every build is a full one.
    """
    home = str(settings.home_dir)
    return {
        "FUNNELHOUSE_HOME": home,
        # By it the project knows that it is us who run it.
        "FUNNELHOUSE_WAREHOUSE": str(settings.warehouse_path),
        "FUNNELHOUSE_BUILD_MEMORY": settings.build_memory,
        "FUNNELHOUSE_FINGERPRINT": fingerprint,
        "DBT_TARGET_PATH": f"{home}/dbt/target",
        "DBT_LOG_PATH": f"{home}/dbt/logs",
        # Its debug log would be megabytes per build.
        "DBT_LOG_LEVEL_FILE": "info",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def project_files(folder: Path) -> Iterator[Path]:
    """Files of a dbt project, without those that dbt writes there where it is told nothing else."""
    written = (folder / "target", folder / "logs")
    # Followed, because dbt links packages that lie on this machine.
    for name, folders, files in os.walk(folder, followlinks=True):
        here = Path(name)
        folders[:] = [each for each in folders if each != "__pycache__" and here / each not in written]
        yield from (here / file for file in files)


def load_manifest(settings: Settings) -> Manifest:
    """The project's manifest; parses first (about 12 s) when it is of another content.

    Contents are compared, never times: a checkout, an archive and a copy come with times of their own. Raises
    DbtProjectError when the project can't be parsed. Processes that ask at once take turns.
    """
    folder = parse_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    made_from = folder / "made_from"
    with one_at_a_time(folder / _PARSE_LOCK):
        wanted = _made_from()
        manifest = read_manifest(folder / MANIFEST) if _said(made_from) == wanted else None
        if manifest is None or not (folder / PARTIAL_PARSE).exists():
            # dbt's own memory compares times too.
            for stale in (made_from, folder / PARTIAL_PARSE):
                stale.unlink(missing_ok=True)
            parse(DBT_PROJECT, folder, settings)
            manifest = json.loads((folder / MANIFEST).read_bytes())
            # Of files that were edited meanwhile nobody knows which content was parsed.
            if _made_from() == wanted:
                made_from.write_text(wanted)
    return manifest


def copy_parsed(settings: Settings, folder: Path) -> None:
    """Copy what `load_manifest` has loaded to where nobody parses anew."""
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(parse_dir(settings) / _PARSE_LOCK):
        for name in (MANIFEST, PARTIAL_PARSE):
            shutil.copyfile(parse_dir(settings) / name, folder / name)


def model_names(manifest: Manifest, folder: str) -> list[str]:
    """Names of the models in a folder of `models`, sorted: `marts` are published, `attribution` offered."""
    return sorted(
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == folder
    )


def parsers() -> list[str]:
    """What parses: the versions of dbt, of its adapter, and of Python."""
    return [sys.version, *(f"{name} {version(name)}" for name in _PARSERS)]


def _made_from() -> str:
    """SHA-256 of all that a parse depends on."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("DBT_")}
    digest = hashlib.sha256(json.dumps([str(DBT_PROJECT), parsers(), sorted(environment.items())]).encode())
    for file in sorted(project_files(DBT_PROJECT)):
        content = file.read_bytes()
        # With lengths: no two trees read the same.
        digest.update(f"{file.relative_to(DBT_PROJECT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _said(file: Path) -> str | None:
    return file.read_text(errors="replace") if file.exists() else None


def read_manifest(path: Path) -> Manifest | None:
    """The manifest as it lies there; None where it is missing or no JSON."""
    try:
        manifest: Manifest = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return manifest


def parse(project: Path, folder: Path, settings: Settings) -> None:
    """Parse a project into a folder. Raises DbtProjectError."""
    command = [str(DBT_EXECUTABLE), "--quiet", "--no-use-colors", "parse"]
    command += ["--project-dir", str(project), "--profiles-dir", str(project)]
    finished = subprocess.run(  # noqa: S603 (our own command)
        command,
        env={**os.environ, **dbt_environment(settings, ""), "DBT_TARGET_PATH": str(folder)},
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()
        raise DbtProjectError(f"dbt can't parse {project}:\n{said}")


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a file, waiting for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
