"""What a project's script is told, as `tracker/README.md` lists it: its tracker, goals and landers.

Goals and landers that would make it larger than `CONFIG_BYTES` are left out, and the tracker's definition is
shown with their number.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ingest_api.definitions.kind import Bodies
from ingest_api.definitions.project_settings import SETTINGS
from ingest_api.definitions.traffic_source import click_id_parameters
from record.click_id_types import CLICK_ID_TYPES

CONFIG_BYTES = 8 * 1024
PAGES_BYTES = 2 * 1024
"""Of them for the ids and paths of landers."""
MOST_LANDERS = 200


@dataclass(frozen=True, slots=True)
class Config:
    """What the script is told, as JSON in ASCII that may stand in a script, and how much is missing in it."""

    text: bytes
    left_out_goals: int
    left_out_landers: int


def config_of(tracker: Mapping[str, Any], bodies: Bodies) -> Config:
    """The config of a project's tracker, whose every member is there."""
    said = {name: value for name, value in tracker.items() if value is not None}
    if "session_minutes" not in said:
        settings = SETTINGS.complete(bodies["settings"].get(SETTINGS.kind))
        said["session_minutes"] = settings["session_gap_minutes"]
    said["click_ids"] = [*CLICK_ID_TYPES, *click_id_parameters(bodies["traffic_source"])]
    said["landers"], left_out_landers = _landers(bodies["page"])
    said["goals"], left_out_goals = _goals(bodies["goal"], CONFIG_BYTES - len(_json({**said, "goals": {}})))
    return Config(_json(said), left_out_goals, left_out_landers)


def left_out(tracker: Mapping[str, Any], bodies: Bodies) -> dict[str, Any]:
    """How many goals and landers the script is not told of, since its config would be too large."""
    config = config_of(tracker, bodies)
    return {"left_out_goals": config.left_out_goals, "left_out_landers": config.left_out_landers}


def _landers(pages: Mapping[str, dict[str, Any]]) -> tuple[list[str], int]:
    """Ids and paths of the first landers, and how many there are besides."""
    landers = {key: page for key, page in pages.items() if page["kind"] == "lander"}
    listed: list[str] = []
    room = PAGES_BYTES
    count = 0
    for key, page in landers.items():
        texts = [key, _path(page["path"])] if page["path"] else [key]
        room -= sum(len(_json(text)) + 1 for text in texts)
        if room < 0 or count == MOST_LANDERS:
            break
        listed += texts
        count += 1
    return listed, len(landers) - count


def _path(path: str) -> str:
    """A path as the script compares it: decoded, and without a slash at its end."""
    return unquote(path, errors="replace").rstrip("/") or "/"


def _goals(goals: Mapping[str, dict[str, Any]], room: int) -> tuple[dict[str, str], int]:
    """Id of each goal with a name, by name and by itself, as far as there is room; and how many lack it."""
    labels: dict[str, str] = {}
    named = [(key, goal["name"]) for key, goal in goals.items() if goal["name"]]
    for count, (key, name) in enumerate(named):
        # An id is never another goal's name.
        added = [label for label in dict.fromkeys((key, name)) if label == key or label not in goals]
        added = [label for label in added if label not in labels]
        room -= sum(len(_json({label: key})) for label in added)
        if room < 0:
            return labels, len(named) - count
        labels |= dict.fromkeys(added, key)
    return labels, 0


def _json(value: Any) -> bytes:
    """JSON in ASCII: neither a tag nor a line separator of JavaScript can stand in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode()
