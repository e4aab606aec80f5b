"""What a build says of itself, while it runs and in the end."""

from collections.abc import Callable
from dataclasses import dataclass, field

STEPS = ("seal", "landed_events", "dbt", "attribution", "publication")
"""What a build consists of."""

OnProgress = Callable[[str, int, int], None]
"""Called with what was just done, how many things are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What became of a build.

    `seconds`: wall time by step, in the order they ran (`prepare`, `seal`, `landed_events`, `dbt`,
    `attribution`, `publication`), failed steps included. `model_seconds`: dbt's own time by model and seed.
    `failures` and `warnings` are sentences. `build_id` is None unless it was published; where nothing was new
    (`is_unchanged`), it is that of the publication, which already is what would be built.
    """

    build_id: str | None = None
    is_unchanged: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    model_seconds: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether readers see this build."""
        return self.build_id is not None
