"""The order in which workers take files: what takes long is begun first, so that all end together."""

from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

LONGEST = (
    "orchestration/test_build.py",
    "models/test_rules.py",
    "dashboard/test_pages.py",
    "journeys/test_journeys.py",
    "read_api/test_odd_addresses.py",
    "ingest/test_corpus.py",
    "read_api/test_reports.py",
    "models/test_ledger_properties.py",
    "ingest/test_links.py",
    "read_api/test_publishing.py",
    "forwarding/test_outbox_states.py",
    "read_api/test_marts_in_files.py",
    "tracker/test_delivery.py",
    "orchestration/test_definitions.py",
    "read_api/test_true_figures.py",
    "ingest/test_http.py",
    "ingest/test_disk_faults.py",
    "read_api/test_shared_places.py",
    "models/test_people.py",
    "orchestration/test_deployment.py",
    "ingest/test_postgres.py",
    "read_api/test_marts.py",
    "ingest/test_idempotency.py",
    "ingest/test_tracker.py",
    "command_line/test_processes.py",
)
"""Files that hold a worker for a quarter of a minute and more, the longest first; of the others, those with
most tests come first. The first two make the homes that most others want, each in a worker of its own."""


def order(items: list[pytest.Item]) -> None:
    """Sort the items of a run by their files; a file's own order stays."""
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    missing = [str(path) for path in ranks if not path.exists()]
    assert not missing, f"LONGEST names what is no file: {missing}"
    numbers = Counter(item.path for item in items)
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), -numbers[item.path], item.path))
