"""What became of the last build, whoever started it: a small file in the home, for whoever watches it."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

Outcome = Literal["published", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBuild:
    """A build that came to an end.

    `started_us`, `ended_us`: Unix microseconds. `build_id`: that of the publication, None when it failed.
    `failures`: sentences, none when it was published.
    """

    outcome: Outcome
    build_id: str | None
    started_us: int
    ended_us: int
    failures: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall time from start to end."""
        return (self.ended_us - self.started_us) / 1_000_000


def write_last_build(path: Path, build: LastBuild) -> None:
    """Replace what the file says, in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(asdict(build), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def note_build(path: Path, started_us: int, failed: Sequence[str], build_id: str | None = None) -> None:
    """Write down that a build came to its end, for whoever watches builds.

    A file that cannot be written keeps what it said: the build's own end is not to fail for it.
    """
    with suppress(OSError):
        write_last_build(
            path,
            LastBuild(
                outcome="failed" if build_id is None else "published",
                build_id=build_id,
                started_us=started_us,
                ended_us=time.time_ns() // 1000,
                failures=() if build_id is not None else tuple(failed),
            ),
        )


def read_last_build(path: Path) -> LastBuild | None:
    """What the file says; None while no build has ended, or when the file cannot be read."""
    try:
        said = json.loads(path.read_bytes())
        build = LastBuild(**{**said, "failures": tuple(said["failures"])})
        is_whole = build.outcome in get_args(Outcome) and 0 <= build.seconds < build.ended_us
        return build if is_whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
