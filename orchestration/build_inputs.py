"""What a build is made from. A publication keeps it, which tells whether another build would differ."""

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from funnelhouse.settings import CHECKOUT, Settings
from orchestration.deployment import DEPLOYED_PACKAGES, Deployment, deployed
from publication.layout import BUILD_FILE, latest_folder
from record.contract import RAW_TABLES
from record.landing import open_existing
from record.sealed_files import highest_seq

MADE_FROM = "made_from"
"""Key in build.json."""

SEALED = "sealed"
"""Key in build.json."""

CODE_OF_A_BUILD = ("funnelhouse", "orchestration", "publication", "record", *DEPLOYED_PACKAGES)
"""Packages that a build runs. The APIs and the command line change nothing of what it makes."""


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """`landed`: per raw table the last position that could be sealed, as the landing store says it; tables in
    which nothing ever landed are left out. `made_with`: SHA-256 of the deployed code and of the settings that
    change a publication.
    """

    landed: dict[str, tuple[int, ...]]
    made_with: str

    def as_json(self) -> dict[str, Any]:
        """For build.json."""
        return {"landed": self.landed, "made_with": self.made_with}

    @staticmethod
    def from_json(said: dict[str, Any]) -> "BuildInputs":
        """What `as_json` gave. Raises KeyError, TypeError or AttributeError for anything else."""
        landed = {table: tuple(position) for table, position in said["landed"].items()}
        return BuildInputs(landed, str(said["made_with"]))


def inputs_now(settings: Settings, deployment: Deployment | None = None) -> BuildInputs:
    """What a build would be made from that began now, of what is deployed or of `deployment`.

    Raises LandingError.
    """
    store = open_existing(settings.landing_store)
    landed: dict[str, tuple[int, ...]] = {}
    if store is not None:
        with closing(store):
            landed = {table: tuple(last) for table, last in store.sealable().items() if last > (0, 0)}
    return BuildInputs(landed, _made_with(settings, deployment or deployed(settings)))


def inputs_published(settings: Settings) -> BuildInputs | None:
    """What the last publication was made from; None while there is none that says it."""
    try:
        said = json.loads((latest_folder(settings.published_dir) / BUILD_FILE).read_bytes())
        return BuildInputs.from_json(said[MADE_FROM])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sealed_now(settings: Settings) -> dict[str, int]:
    """Per raw table its last position: the record may have been put back, or come from elsewhere."""
    return {table: highest_seq(settings.raw_dir / table) for table in RAW_TABLES}


def is_unchanged(settings: Settings) -> bool:
    """Whether the last publication is made from what a build would be made from that began now.

    Raises LandingError.
    """
    published = inputs_published(settings)
    if published is None or published != inputs_now(settings):
        return False
    said = json.loads((latest_folder(settings.published_dir) / BUILD_FILE).read_bytes())
    return bool(said.get(SEALED) == sealed_now(settings))


def _made_with(settings: Settings, deployment: Deployment | None) -> str:
    url = urlsplit(settings.publish_postgres)
    # Its password changes nothing, and a hash of it would be a hint.
    copied_to = [url.hostname, url.port, url.path, settings.publish_postgres_schema] if url.netloc else []
    engine = version("duckdb")
    made_with = [deployment and deployment.deployment_id, engine, settings.publish_parquet, copied_to]
    # Its figures are the same; what a publication consists of is not.
    made_with.append(settings.engine)
    digest = hashlib.sha256(json.dumps(made_with).encode())
    for package in CODE_OF_A_BUILD:
        # The deployment's id is of the others' contents, too.
        for file in () if package in DEPLOYED_PACKAGES else sorted((CHECKOUT / package).rglob("*.py")):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(CHECKOUT)} {len(content)} ".encode() + content)
    return digest.hexdigest()
