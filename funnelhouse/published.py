"""What readers are shown now, as its own small file says it: how old it is, and up to where it reaches."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

CURRENT = "current"
"""Below the folder of publications: the link to the one that readers see."""

BUILD_FILE = "build.json"
"""What a publication says of itself."""


@dataclass(frozen=True, slots=True)
class Published:
    """The publication that readers see.

    `published_at`: an aware time. `to_seq`: the last event in it, None where it does not say.
    `newest_received_us`: when its newest event arrived, Unix microseconds, None without events.
    """

    build_id: str
    published_at: datetime
    to_seq: int | None
    newest_received_us: int | None


def read_published(published_dir: Path) -> Published | None:
    """What is published; None when nothing is, or what it says of itself cannot be read."""
    try:
        said = json.loads((published_dir / CURRENT / BUILD_FILE).read_bytes())
        return Published(
            str(said["build_id"]),
            datetime.fromisoformat(said["published_at"]),
            (said.get("landed") or {}).get("to_seq"),
            said.get("newest_received_us"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
