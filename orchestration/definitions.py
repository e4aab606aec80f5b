"""What Dagster loads (`[tool.dagster]` in pyproject.toml names this module)."""

from funnelhouse.settings import Settings
from orchestration.build_job import build_definitions

defs = build_definitions(Settings())
