"""dbt as a child of a build: imports itself and reads the parsed project before it is needed, then waits.

Started as `python -m orchestration.dbt_process PARTIAL_PARSE PROJECT DESCRIPTOR`. It begins when a line of
JSON arrives at the descriptor, `{"arguments": […], "environment": {…}, "results": PATH}`, and ends without
doing anything when that is closed. It prints lines of JSON: `{"done": NAME}` for each node, `{"error":
MESSAGE}`.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from funnelhouse.collector import collect_seldom, pass_over_what_is_loaded

collect_seldom()

# ruff: noqa: E402 (what follows is imported sooner so)
import dbt.adapters.duckdb  # noqa: F401 (now, not when it is needed; so are those of the model in Python)
import numpy  # noqa: F401
import pyarrow  # noqa: F401
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import SeedNode
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

REPORTED_TYPES = frozenset({"model", "seed", "test", "unit_test"})
"""What is said to be done. Unit tests check the rules, not the data: they run at deployment, in no build."""


class Undebugged(EventManager):
    """Drops what is there to debug by, before it costs anything.

    A build of 400 nodes fires 11,000 such events. dbt would make a message of each, and a line for each of
    its loggers, before it looks whether anybody wants it.
    """

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        """As dbt calls it."""
        level = level or e.level_tag()
        if level is not EventLevel.DEBUG or force_warn_or_error_handling:
            super().fire_event(e, level, node, force_warn_or_error_handling)


class _Reporter(Undebugged):
    """Hands on what a build reads of dbt's events."""

    def __init__(self) -> None:
        super().__init__()
        self._printing = threading.Lock()

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        if type(e).__name__ == "NodeFinished" and e.node_info.resource_type in REPORTED_TYPES:
            self._say("done", e.node_info.node_name)
        level = level or e.level_tag()
        if level is EventLevel.ERROR and (message := e.message()).strip():
            self._say("error", message)
        super().fire_event(e, level, node, force_warn_or_error_handling)

    def _say(self, what: str, text: str) -> None:
        # Whoever listened may have been killed: then this goes on alone.
        with self._printing, suppress(BrokenPipeError):
            print(json.dumps({what: text}), flush=True)


def main(partial_parse: Path, project: Path, descriptor: int) -> int:
    """Run one command of dbt when told to; returns its exit code.

    `project` may be a copy of what was parsed.
    """
    manifest = read_parsed(partial_parse, project)
    try:
        with os.fdopen(descriptor) as told:
            line = told.readline()
    except KeyboardInterrupt:
        return 1
    if not line:
        return 0
    command = json.loads(line)
    os.environ.update(command["environment"])
    is_on_spark = "FUNNELHOUSE_SPARK_WAREHOUSE" in command["environment"]
    if is_on_spark:
        _end_with_parent()
        # Its packages are an extra.
        from orchestration.dbt_on_spark import prepare

        prepare()
    ctx_set_event_manager(_Reporter())
    # No logger on standard output: `_Reporter` says what is read. `results` are all that is written as JSON.
    quiet = ["--log-level", "none", "--no-use-colors", "--no-write-json"]
    ended = dbtRunner(manifest=None if is_on_spark else manifest).invoke([*quiet, *command["arguments"]])
    if ended.success and is_on_spark:
        from orchestration.sorting_on_spark import sort_large_marts

        sort_large_marts(command["environment"])
    if ended.result is not None and hasattr(ended.result, "write"):
        ended.result.write(command["results"])
    return 0 if ended.success else 1


def _end_with_parent() -> None:
    """End when the build was killed: a cluster would go on for long, for nobody, and the next build wait."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        # Spark's driver ends with the pipe that this process has to it.
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def read_parsed(partial_parse: Path, project: Path) -> Manifest | None:
    """What was parsed; None where it can't be read: dbt then parses by itself."""
    try:
        manifest = Manifest.from_msgpack(partial_parse.read_bytes())
        for node in manifest.nodes.values():
            # Of seeds alone dbt remembers where the project lies.
            if isinstance(node, SeedNode):
                node.root_path = str(project)
        manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    except Exception:
        return None
    pass_over_what_is_loaded()
    return manifest


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
