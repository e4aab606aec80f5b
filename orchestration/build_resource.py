"""What makes a Dagster run a build: it holds the build lock from before its first step to after its last."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from funnelhouse.settings import Settings
from orchestration.build_lock import build_lock
from orchestration.instance import end_lost_runs
from orchestration.publishing import new_build_id


@dataclass(frozen=True, slots=True)
class Build:
    """The build that a run is: its id, when it started (UTC), whether it builds everything from nothing."""

    build_id: str
    started_at: datetime
    is_full_refresh: bool


def build_resource(settings: Settings, is_locked: bool) -> dg.ResourceDefinition:
    """Resource `build`, needed by every step. The in-process executor enters it once, before any of them.

    `is_locked`: this process took the lock already, before it started the run.
    """

    @dg.resource
    @contextmanager
    def build(context: dg.InitResourceContext) -> Iterator[Build]:
        with nullcontext() if is_locked else build_lock(settings.build_lock_path):
            if context.instance is not None and context.run is not None:
                end_lost_runs(context.instance, besides=context.run.run_id)
            started_at = datetime.now(UTC)
            # The one place in which a run is told, by whoever starts it.
            told: Any = context.run.run_config if context.run is not None else {}
            yield Build(
                build_id=new_build_id(started_at),
                started_at=started_at,
                is_full_refresh=bool(
                    told.get("ops", {}).get("dbt", {}).get("config", {}).get("full_refresh", False)
                ),
            )

    return build
