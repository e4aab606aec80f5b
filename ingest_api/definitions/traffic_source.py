"""Traffic sources: what reports call a source, and whether its traffic is paid for.

Stored: `name`, `source`, `medium`, `is_paid`.
"""

from typing import Any

from ingest_api.definitions.kind import Kind, check_slug
from ingest_api.native import NonEmpty, OwnShape


class TrafficSource(OwnShape):
    """A source, or one medium of it, as visits carry them. Without `is_paid` the medium decides."""

    name: NonEmpty
    source: NonEmpty
    medium: NonEmpty | None = None
    is_paid: bool | None = None


def _stored(source: TrafficSource) -> dict[str, Any]:
    return source.model_dump()


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return stored


TRAFFIC_SOURCES = Kind(
    kind="traffic_source",
    path="traffic-sources",
    plural="traffic_sources",
    noun="traffic source",
    id_name="traffic_source_id",
    check_id=check_slug,
    shape=TrafficSource,
    stored=_stored,
    shown=_shown,
    example={"name": "Google Ads", "source": "google", "medium": "cpc", "is_paid": True},
)
