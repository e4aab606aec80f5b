"""Homes to edit in: the record of a home, read-only, and a warehouse and publications of one's own.

<home>/dev/<name>/raw            links to the sealed files of the record, as it was when this was made; of a
                                 sample, a copy of its rows
<home>/dev/<name>/dbt/project    the project as it is edited, extensions laid over it
<home>/dev/<name>/published      as in a home; the read API shows it as `build=dev-<name>`
<home>/dev/<name>/dev.json       what it was made of, and which marts are built and not published

Every run of dbt works on whole tables. When it has succeeded, the marts that it made are published beside the
others of the last publication. So readers see no half run, and none keeps dbt from its warehouse.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from funnelhouse.settings import CHECKOUT, Settings
from orchestration.build_lock import build_lock
from orchestration.code_version import code_version
from orchestration.deployment import CODE
from orchestration.extensions import Composed, compose
from orchestration.manifest import PARTIAL_PARSE, dbt_environment
from orchestration.warehouse import currency_decimals
from publication.layout import dev_build, new_build_id, read_published
from publication.publishing import Changes, Publication, publish
from record.contract import RAW_TABLES
from record.sealed_files import EMPTY_FILE, file_name, files_of, name_of, received_on, span_of
from record.sealing import write_empty

DEFAULT_DAYS = 30

SAMPLE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)%")

_DBT = (sys.executable, "-m", "orchestration.dbt_console")

_SAID = "dev.json"
_RESULTS = "run_results.json"
_EVENTS = "events"
_PARTS = 10_000

_BUILT = ("success",)


class DevHomeError(Exception):
    """A home to edit in can't be made or used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevHome:
    """`settings` are those of the dev home. `days` or `sample` say how much of the record it has.

    `unpublished`: marts that were built since the last publication.
    """

    name: str
    settings: Settings
    days: int | None
    sample: str | None
    made_at: str
    unpublished: tuple[str, ...] = ()

    @property
    def project(self) -> Path:
        """Folder of the dbt project, written anew before each run."""
        return self.settings.home_dir / "dbt" / "project"

    @property
    def target(self) -> Path:
        """Folder where dbt writes."""
        return self.settings.home_dir / "dbt" / "target"


def make(settings: Settings, name: str, days: int | None = None, sample: str | None = None) -> DevHome:
    """Make a dev home, or make one of this name anew, over the record as it is now; nothing is built in it.

    It has the last `days` of the record by arrival; or of all days the given share of the clusters (people
    with all that hangs together with them), as `10%`. Raises DevHomeError, BuildRunningError.
    """
    share = _share(sample) if sample else None
    dev = DevHome(
        name=name,
        settings=settings.isolated(settings.dev_dir / name),
        days=None if sample else days or DEFAULT_DAYS,
        sample=sample,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if not files_of(settings.raw_dir / _EVENTS):
        raise DevHomeError(f"{settings.raw_dir} holds nothing yet: run `funnelhouse build` first.")
    raw = dev.settings.raw_dir
    with build_lock(dev.settings.build_lock_path):
        shutil.rmtree(raw, ignore_errors=True)
        for table in RAW_TABLES:
            write_empty(raw / table / EMPTY_FILE, table, raw)
            files = [file for file in files_of(settings.raw_dir / table) if name_of(file) != EMPTY_FILE]
            if table == _EVENTS and share is not None:
                with build_lock(settings.build_lock_path):
                    _sample(settings, files, share, raw)
            else:
                _link(_last_days(files, dev.days) if table == _EVENTS and dev.days else files, raw / table)
        _say(dev)
    return dev


def find(settings: Settings, name: str) -> DevHome:
    """The dev home of this name. Raises DevHomeError."""
    folder = settings.dev_dir / name
    try:
        said = json.loads((folder / _SAID).read_bytes())
        return DevHome(
            name=name,
            settings=settings.isolated(folder),
            **{**said, "unpublished": tuple(said["unpublished"])},
        )
    except (OSError, ValueError, KeyError, TypeError):
        there = ", ".join(names(settings)) or "none"
        raise DevHomeError(
            f"There is no dev home {name} (there is: {there}); `funnelhouse dev {name}` makes it."
        ) from None


def names(settings: Settings) -> list[str]:
    """Names of the dev homes."""
    return sorted(file.parent.name for file in settings.dev_dir.glob(f"*/{_SAID}"))


def remove(dev: DevHome) -> None:
    """Delete a dev home. Raises BuildRunningError while dbt runs in it."""
    with build_lock(dev.settings.build_lock_path):
        shutil.rmtree(dev.settings.home_dir)


def run_dbt(dev: DevHome, arguments: Sequence[str], is_quiet: bool = False) -> tuple[int, str | None]:
    """Run dbt with the project as it is edited; returns its exit code, and the published build or None.

    `arguments` are dbt's. Raises ExtensionError, PublishError, BuildRunningError.
    """
    with build_lock(dev.settings.build_lock_path):
        project = compose(dev.settings.extensions_dir)
        _write_project(dev, project)
        results = dev.target / _RESULTS
        results.unlink(missing_ok=True)
        paths = ["--project-dir", str(dev.project), "--profiles-dir", str(dev.project)]
        finished = subprocess.run(  # noqa: S603 (our own command)
            [*_DBT, str(results), *(["--quiet"] * is_quiet), *arguments, *paths],
            env={**os.environ, **dbt_environment(dev.settings, ""), "PYTHONPATH": _python_path()},
            cwd=dev.project,
            check=False,
        )
        made = sorted({*dev.unpublished, *(set(_made(results)) & set(project.models("marts")))})
        dev = replace(dev, unpublished=tuple(made))
        _say(dev)
        if finished.returncode != 0 or not dev.unpublished:
            return finished.returncode, None
        published = _publish(dev, project)
        _say(replace(dev, unpublished=()))
        return 0, dev_build(dev.name, published.build_id)


def _publish(dev: DevHome, project: Composed) -> Publication:
    now = datetime.now(UTC)
    with duckdb.connect(str(dev.settings.warehouse_path), read_only=True) as warehouse:
        found = warehouse.execute("select table_name from information_schema.tables").fetchall()
        tables = {name for (name,) in found}
        newest = warehouse.execute("select max(received_us) from int_events").fetchone()
    # One that was added and not run yet is missing.
    marts = [name for name in project.models("marts") if name in tables]
    before = read_published(dev.settings.published_dir)
    unchanged = {mart: "false" for mart in marts if mart not in dev.unpublished}
    return publish(
        dev.settings.warehouse_path,
        dev.settings.published_dir,
        marts,
        new_build_id(now),
        now,
        {
            "attribution_models": project.models("attribution"),
            "newest_received_us": newest and newest[0],
            "currency_decimals": currency_decimals(dev.settings.warehouse_path),
            CODE: asdict(code_version(dev.settings.extensions_dir)),
        },
        changes=Changes(before.build_id, unchanged) if before is not None else None,
    )


def _python_path() -> str:
    """Where the child finds our packages, whatever its folder is."""
    return os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _made(results: Path) -> list[str]:
    """Names of the models that dbt's last run made anew, whatever became of others."""
    try:
        found = json.loads(results.read_bytes())["results"]
    except (OSError, ValueError, KeyError):
        return []
    made = [node["unique_id"].split(".") for node in found if node["status"] in _BUILT]
    return [name for kind, _, name, *_ in made if kind == "model"]


def _write_project(dev: DevHome, project: Composed) -> None:
    """Only what differs: dbt parses again what has another time and content."""
    there = {
        file.relative_to(dev.project).as_posix(): file for file in dev.project.rglob("*") if file.is_file()
    }
    for name in there.keys() - project.files.keys():
        there[name].unlink()
    are_seeds_changed = False
    for name, content in project.files.items():
        path = dev.project / name
        if name not in there or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            are_seeds_changed = are_seeds_changed or name.endswith(".csv")
    if are_seeds_changed:
        # dbt keeps the rows of seeds that unit tests read, and misses their changes.
        (dev.target / PARTIAL_PARSE).unlink(missing_ok=True)


def _link(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        link = folder / name_of(file)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)


def _last_days(files: Sequence[Path], days: int) -> list[Path]:
    newest = max((received_on(file) for file in files), default=date.min)
    return [file for file in files if received_on(file) > newest - timedelta(days=days)]


def _share(sample: str) -> Decimal:
    matched = SAMPLE.fullmatch(sample)
    if matched is None or not Decimal(matched[1]):
        raise DevHomeError("A sample is a share below 100%, such as 10% or 0.5%.")
    return Decimal(matched[1]) / 100


def _sample(settings: Settings, files: Sequence[Path], share: Decimal, raw: Path) -> None:
    """Copy the reports of a share of the clusters, as the last build has found them, into one file."""
    if not settings.warehouse_path.exists():
        raise DevHomeError("A sample needs a build: run `funnelhouse build` first.")
    first, last = min(span_of(file)[0] for file in files), max(span_of(file)[1] for file in files)
    path = raw / _EVENTS / file_name(max(received_on(file) for file in files), (first, last))
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{_quoted(settings.warehouse_path)}' as warehouse (read_only)")
        connection.execute(
            "create table sampled as select seq from warehouse.int_event_clusters "
            "where md5_number_lower(cluster_id::varchar) % ? < ?",
            [_PARTS, int(share * _PARTS)],
        )
        listed = ", ".join(f"'{_quoted(file)}'" for file in files)
        connection.execute(
            f"copy (from read_parquet([{listed}], union_by_name = true, hive_partitioning = false) "
            f"semi join sampled using (seq) order by seq) to '{_quoted(path)}' (compression zstd)"
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _say(dev: DevHome) -> None:
    said = {"days": dev.days, "sample": dev.sample, "made_at": dev.made_at, "unpublished": dev.unpublished}
    path = dev.settings.home_dir / _SAID
    unfinished = path.with_name(f".{_SAID}.tmp")
    unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
