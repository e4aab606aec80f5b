"""What Dagster loads (`[tool.dagster]` in pyproject.toml names this module)."""

from funnelhouse.collector import collect_seldom
from funnelhouse.settings import Settings
from orchestration.deployment import deployed, import_deployed

collect_seldom()
settings = Settings()
if (deployment := deployed(settings)) is not None:
    # Each run is a process that loads this: its suites are those that were deployed.
    import_deployed(deployment)

from orchestration.build_job import build_definitions  # noqa: E402 (it imports the suites)

defs = build_definitions(settings)
