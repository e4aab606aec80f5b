"""What a publication looks like to its readers.

published/<build_id>/marts.duckdb   the marts, schema `main`; which rows have a value, schema `lookup`;
                                    amounts in the reporting currency, schema `reporting`; reports that are
                                    summed further, schema `summed`; paths of conversions, schema `derived`
published/<build_id>/<mart>.parquet the same, one file each, where a setting asks for them; of a mart that
                                    marts.duckdb shows as a view, a folder with the files that it reads
published/<build_id>/build.json     {build_id, published_at, marts: {name: rows}, copies} and more facts
                                    of the caller, see orchestration.build_record
published/current                   relative symlink to the build that readers see
published/kept.json                 {held, pinned}: the build that readers stay at, and those never pruned
dev/<name>/published/…              the same of a home to edit in, see orchestration.dev_home
deployed/current/models.html.gz     the models that builds use, as pages to read
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

CURRENT = "current"
MARTS_FILE = "marts.duckdb"
BUILD_FILE = "build.json"
KEPT_FILE = "kept.json"
MODEL_DOCS = "models.html.gz"

LOOKUPS = "lookup"
"""Schema of the look-ups: `<mart>_by_<column>` has `key` and `row_number` of every row, sorted by key but
for those that came in copies. Of a mart that is a view, it has one more of the same name, in which rows have
numbers; see publication.files."""

FILES = "files"
"""Key in build.json: of marts that are views over Parquet files, the bytes of each file, in their order."""

REPORTING = "reporting"
"""Schema of views: each mart with amounts, in the reporting currency. Builds of older versions lack it, and a
mart whose amounts aren't converted has no view there."""

SUMMED = "summed"
"""Schema of reports that are summed further: `<mart>_<number>` has the mart's columns but some, see
publication.summing. Builds of older versions lack it."""

DERIVED = "derived"
"""Schema of what the read API would put together for each question; see publication.derived. Builds
of older versions lack it."""

TWIN = "reporting_"
"""A mart's column of this name and another's is that one in the reporting currency."""

BUILD_ID = r"[0-9]{8}T[0-9]{12}Z"
"""Pattern of a build's id."""

_BUILD_ID = re.compile(BUILD_ID)
_BUILD_ID_FORMAT = "%Y%m%dT%H%M%S%fZ"


def new_build_id(now: datetime) -> str:
    """Id of a build that starts at `now` (an aware time): UTC to the microsecond, sorts by time."""
    return now.astimezone(UTC).strftime(_BUILD_ID_FORMAT)


def is_build_id(name: str) -> bool:
    """Whether a name has the form of a build's id."""
    return _BUILD_ID.fullmatch(name) is not None


DEV_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
"""Pattern of the name of a home to edit in."""

DEV_BUILD = rf"dev-({DEV_NAME})(?:[.]({BUILD_ID}))?"
"""Pattern of what its builds are called: `dev-<name>` is the newest, `dev-<name>.<build id>` any kept one."""

_DEV_BUILD = re.compile(DEV_BUILD)


def dev_build(name: str, build_id: str) -> str:
    """What a build of a home to edit in is called."""
    return f"dev-{name}.{build_id}"


def dev_folder(published_dir: Path, build: str) -> Path | None:
    """Folder of a build that is called so, of the home of these publications; it may be gone.

    None where this is no name of one.
    """
    named = _DEV_BUILD.fullmatch(build)
    if named is None:
        return None
    return published_dir.parent / "dev" / named[1] / published_dir.name / (named[2] or CURRENT)


def published_builds(published_dir: Path) -> list[str]:
    """Ids of the complete builds, oldest first."""
    return sorted(path.name for path in published_dir.iterdir() if is_build_id(path.name))


def lookup_key(value: str) -> str:
    """The key of a text, as SQL: 32 bits that are the same in every version. Two texts may share it."""
    return f"(md5_number_lower({value}) >> 32)::uinteger"


@dataclass(frozen=True, slots=True)
class Published:
    """A published build.

    `published_at`: an aware time. `to_seq`: the last event in it, None where it does not say.
    `newest_received_us`: when its newest event arrived, Unix microseconds, None without events.
    """

    build_id: str
    published_at: datetime
    to_seq: int | None
    newest_received_us: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Builds that somebody asked to be kept. `held`: readers stay at it, and new builds are published beside
    it; None where they see each new one. `pinned`: never pruned.
    """

    held: str | None = None
    pinned: tuple[str, ...] = ()


def read_kept(published_dir: Path) -> Kept:
    """What is kept; nothing where the file is missing or damaged."""
    try:
        said = json.loads((published_dir / KEPT_FILE).read_bytes())
        return Kept(said["held"], tuple(said["pinned"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Kept()


def latest_folder(published_dir: Path) -> Path:
    """The publication that the next build follows: what readers see, or the newest while they are held."""
    if read_kept(published_dir).held is not None and (builds := published_builds(published_dir)):
        return published_dir / builds[-1]
    return published_dir / CURRENT


def read_published(published_dir: Path) -> Published | None:
    """What readers see; None when nothing is published, or what it says of itself cannot be read."""
    return read_build(published_dir / CURRENT)


def read_build(folder: Path) -> Published | None:
    """What a published build says of itself; None where there is none, or it cannot be read."""
    try:
        said = json.loads((folder / BUILD_FILE).read_bytes())
        return Published(
            str(said["build_id"]),
            datetime.fromisoformat(said["published_at"]),
            (said.get("landed") or {}).get("to_seq"),
            said.get("newest_received_us"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
