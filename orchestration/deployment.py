"""What builds use: the dbt project and the expectations as they were deployed, whatever is edited since.

deployed/<id>/dbt_project/     the project, extensions laid over it; the id is of all contents
deployed/<id>/expectations/    the suites, which are Python: a build imports them from here
deployed/<id>/parsed/          dbt's manifest and partial parse of that project
deployed/<id>/models.html.gz   the models as pages to read
deployed/<id>/deployment.json  what it is: fingerprint, commit, when
deployed/current               relative symlink to the one that builds use

Names that begin with a dot are unfinished. A deployment never changes: a build that has begun goes on with
the one that it began with.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from funnelhouse.settings import CHECKOUT, Settings
from orchestration.code_version import CodeVersion, code_version
from orchestration.extensions import Composed, ExtensionError, compose
from orchestration.fingerprint import compiled_digest, of_engine
from orchestration.manifest import (
    DBT_PROJECT,
    MANIFEST,
    PARTIAL_PARSE,
    DbtProjectError,
    Manifest,
    copy_parsed,
    load_manifest,
    one_at_a_time,
    parse,
    parsers,
    read_manifest,
)
from orchestration.model_docs import write_model_docs
from publication.layout import BUILD_FILE, CURRENT, MODEL_DOCS, published_builds
from publication.publishing import sync

CODE = "code"
"""Key in build.json: the deployment that the build used."""

PROJECT = "dbt_project"
EXPECTATIONS = "expectations"
DEPLOYED_PACKAGES = (EXPECTATIONS,)
"""Packages that a build imports from the deployment."""

DEPLOY_LOCK = "deploy.lock"
"""File in the home that a deployment holds with `flock`."""

_SAID = "deployment.json"
_PARSED = "parsed"

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a build is made with. `digest`: SHA-256 of its compiled code, seeds and variables. `code`: where
    its files come from. `is_tested`: whether its unit tests have held. `parsed_by`: what parsed it.
    """

    folder: Path
    digest: str
    code: CodeVersion
    deployed_at: str
    is_tested: bool
    parsed_by: tuple[str, ...]

    @property
    def deployment_id(self) -> str:
        """Hash of its contents: the same ones are the same deployment."""
        return self.folder.name

    @property
    def fingerprint(self) -> str:
        """By which the warehouse knows what made its tables."""
        return of_engine(self.digest)

    @property
    def project(self) -> Path:
        """Folder of the dbt project."""
        return self.folder / PROJECT

    @property
    def partial_parse(self) -> Path:
        """What dbt reads instead of parsing."""
        return self.folder / _PARSED / PARTIAL_PARSE

    @property
    def quarantine(self) -> Path:
        """The seed of reports that are left out."""
        return self.project / "seeds" / "quarantined_events.csv"

    def manifest(self) -> Manifest:
        """What dbt knows of the project. Raises DbtProjectError."""
        manifest = read_manifest(self.folder / _PARSED / MANIFEST)
        if manifest is None:
            raise DbtProjectError(f"{self.folder} is damaged; run `funnelhouse deploy`.")
        return manifest

    def said(self) -> dict[str, object]:
        """What build.json keeps of it."""
        return {
            "id": self.deployment_id,
            "fingerprint": self.fingerprint,
            "deployed_at": self.deployed_at,
            "is_tested": self.is_tested,
            **asdict(self.code),
        }


@dataclass(frozen=True)
class Candidate:
    """What would be deployed now: the working tree, extensions laid over it. `deployment_id` names it."""

    project: Composed
    expectations: Mapping[str, bytes]
    deployment_id: str


def candidate(settings: Settings) -> Candidate:
    """What the working tree holds. Raises ExtensionError, OSError."""
    project = compose(settings.extensions_dir)
    folder = CHECKOUT / EXPECTATIONS
    expectations = {file.name: file.read_bytes() for file in sorted(folder.glob("*.py"))}
    digest = hashlib.sha256()
    for package, files in ((PROJECT, project.files), (EXPECTATIONS, expectations)):
        for name, content in sorted(files.items()):
            digest.update(f"{package}/{name} {len(content)} ".encode() + content)
    return Candidate(project, expectations, digest.hexdigest()[:16])


def deployed(settings: Settings) -> Deployment | None:
    """What builds use now; None where nothing is deployed, or it cannot be read."""
    return read_deployment((settings.deployed_dir / CURRENT).resolve())


def read_deployment(folder: Path) -> Deployment | None:
    """The deployment of a folder; None where there is none, or it says nothing that can be read."""
    try:
        said = json.loads((folder / _SAID).read_bytes())
        return Deployment(
            folder=folder,
            digest=str(said["digest"]),
            code=CodeVersion(**said["code"]),
            deployed_at=str(said["deployed_at"]),
            is_tested=bool(said["is_tested"]),
            parsed_by=tuple(said["parsed_by"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def deployed_or_first(settings: Settings) -> Deployment:
    """What builds use. Where nothing is deployed, the working tree is, as it stands, without its unit tests:
    they guard what readers see, and these see nothing yet.

    Raises DbtProjectError, ExtensionError, OSError.
    """
    found = deployed(settings)
    if found is None:
        settings.home_dir.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(settings.home_dir / DEPLOY_LOCK):
            found = deployed(settings)
            if found is None:
                found = prepare(settings)
                use(settings, found)
    elif found.parsed_by != tuple(parsers()):
        # Another version of dbt may read what this one wrote, and misread it.
        found = _parsed_anew(settings, found)
    return found


def prepare(settings: Settings) -> Deployment:
    """Write the working tree into the home, for `use` to let builds use it; dbt has parsed it then.

    Of contents that lie there already, only where they come from is written anew.

    Raises DbtProjectError, ExtensionError, OSError.
    """
    for _ in range(_ATTEMPTS):
        found = candidate(settings)
        folder = settings.deployed_dir / found.deployment_id
        there = read_deployment(folder)
        if there is not None and there.parsed_by == tuple(parsers()):
            return said_anew(replace(there, code=code_version(settings.extensions_dir), deployed_at=_now()))
        unfinished = settings.deployed_dir / f".{found.deployment_id}.{os.getpid()}.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            _write(unfinished / PROJECT, found.project.files)
            _write(unfinished / EXPECTATIONS, found.expectations)
            _parse(settings, unfinished)
            # What was parsed may have been edited meanwhile.
            if candidate(settings).deployment_id != found.deployment_id:
                continue
            manifest = json.loads((unfinished / _PARSED / MANIFEST).read_bytes())
            write_model_docs(unfinished / MODEL_DOCS, manifest)
            deployment = Deployment(
                folder=folder,
                digest=compiled_digest(manifest, unfinished / PROJECT),
                code=code_version(settings.extensions_dir),
                deployed_at=_now(),
                is_tested=False,
                parsed_by=tuple(parsers()),
            )
            _say(deployment, unfinished)
            _sync_tree(unfinished)
            if folder.exists():
                # Damaged, or parsed by another version of dbt.
                leftover = settings.deployed_dir / f".{found.deployment_id}.{os.getpid()}.old"
                folder.rename(leftover)
                shutil.rmtree(leftover, ignore_errors=True)
            unfinished.rename(folder)
            sync(settings.deployed_dir)
            return deployment
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    raise DbtProjectError(f"{DBT_PROJECT} is being edited; nothing was deployed. Try again.")


def said_anew(deployment: Deployment) -> Deployment:
    """Write down what is known of a deployment; it is returned."""
    _say(deployment, deployment.folder)
    return deployment


def use(settings: Settings, deployment: Deployment) -> None:
    """Let builds that begin from now on use this deployment, in one step."""
    link = settings.deployed_dir / f".{CURRENT}.{os.getpid()}.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(deployment.deployment_id, target_is_directory=True)
    link.replace(settings.deployed_dir / CURRENT)
    sync(settings.deployed_dir)


def remove_old(settings: Settings) -> None:
    """Delete deployments that neither builds use nor a kept build was made with, and what killed ones left.

    The caller holds the build lock and that of deployments: nobody reads them, and none is about to be used.
    """
    needed = {(settings.deployed_dir / CURRENT).resolve().name, *_of_kept_builds(settings.published_dir)}
    for path in settings.deployed_dir.iterdir():
        if path.is_symlink():
            if path.name != CURRENT:
                path.unlink()
        elif path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)


def tidy_up(settings: Settings) -> None:
    """`remove_old`, unless somebody is about to deploy: what is tested just then is not in use yet.

    The caller holds the build lock.
    """
    with (settings.home_dir / DEPLOY_LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        remove_old(settings)


def said_difference(settings: Settings) -> str | None:
    """A sentence where what is edited is not what builds use; None where it is, or nothing is deployed."""
    found = deployed(settings)
    if found is None:
        return None
    with suppress(ExtensionError, OSError):
        if candidate(settings).deployment_id == found.deployment_id:
            return None
    return (
        f"What you edit differs from what builds use, deployed {found.deployed_at} ({found.code.shown()}): "
        "`funnelhouse deploy` takes it in."
    )


def import_deployed(deployment: Deployment) -> None:
    """Let this process import expectations from the deployment, unless it has imported them already."""
    folder = str(deployment.folder)
    if EXPECTATIONS not in sys.modules and folder not in sys.path:
        sys.path.insert(0, folder)


def _of_kept_builds(published_dir: Path) -> Iterator[str]:
    if not published_dir.exists():
        return
    for build_id in published_builds(published_dir):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield str(json.loads((published_dir / build_id / BUILD_FILE).read_bytes())[CODE]["id"])


def _parse(settings: Settings, folder: Path) -> None:
    """dbt's parse of a project that was copied; without extensions, it is that of the checkout."""
    if settings.extensions_dir is None:
        load_manifest(settings)
        copy_parsed(settings, folder / _PARSED)
    else:
        parse(folder / PROJECT, folder / _PARSED, settings)


def _parsed_anew(settings: Settings, deployment: Deployment) -> Deployment:
    parsed = deployment.folder / _PARSED
    shutil.rmtree(parsed, ignore_errors=True)
    parse(deployment.project, parsed, settings)
    manifest = json.loads((parsed / MANIFEST).read_bytes())
    write_model_docs(deployment.folder / MODEL_DOCS, manifest)
    digest = compiled_digest(manifest, deployment.project)
    return said_anew(replace(deployment, digest=digest, parsed_by=tuple(parsers())))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _say(deployment: Deployment, folder: Path) -> None:
    said = asdict(deployment)
    del said["folder"]
    unfinished = folder / f".{_SAID}.tmp"
    unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    sync(unfinished)
    unfinished.replace(folder / _SAID)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _sync_tree(folder: Path) -> None:
    for name, _, files in os.walk(folder):
        for each in (*files, ""):
            sync(Path(name) / each)
