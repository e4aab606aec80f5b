"""What the ingest API counts beside its requests."""

from prometheus_client import Counter, Gauge, Histogram

from funnelhouse.metrics import REGISTRY

ACKNOWLEDGED = Counter(
    "funnelhouse_events_acknowledged",
    "Events that are on stable storage and were answered so.",
    ("dialect",),
    registry=REGISTRY,
)
REJECTED = Counter(
    "funnelhouse_rejected",
    "Bodies and items of known senders that could not be accepted, kept or not.",
    registry=REGISTRY,
)
CLICKS_UNRECORDED = Counter(
    "funnelhouse_clicks_unrecorded",
    "Clicks on links that led on and were not recorded: the store took none, or an address sent too many.",
    ("why",),
    registry=REGISTRY,
)
SHORTENED = Counter(
    "funnelhouse_shortened_fields",
    "Fields of reports that were too long for their column, and were cut or left out.",
    ("how",),
    registry=REGISTRY,
)
MOST_LOST = 1000
"""Of one batch, so that nobody makes the number grow without end."""

LOST_IN_BROWSERS = Counter(
    "funnelhouse_events_lost_in_browsers",
    "Events that the tracker's script had to drop before it could send them, by its own count.",
    registry=REGISTRY,
)
GROUP_ROWS = Histogram(
    "funnelhouse_commit_group_rows",
    "Rows of a commit to the landing store.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384),
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "funnelhouse_commit_seconds",
    "Time that a commit to the landing store took, its rows included.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
    registry=REGISTRY,
)
FAILED_COMMITS = Counter(
    "funnelhouse_commits_failed", "Commits whose requests were answered 503.", registry=REGISTRY
)
QUEUE_BYTES = Gauge(
    "funnelhouse_commit_queue_bytes", "Bytes of requests that wait for their commit.", registry=REGISTRY
)
STREAMS = Gauge("funnelhouse_event_streams", "Event streams that are open.", registry=REGISTRY)
