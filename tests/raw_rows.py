"""A row of each raw table, for tests to which only its time matters."""

from collections.abc import Callable

from record.contract import Cost, Definition, Event, RawRow, Rejected, UnreadField, UnrecordedClick

ROWS: dict[str, Callable[[int], RawRow]] = {
    "events": lambda us: Event(
        event_id=str(us),
        project_id="shop",
        dialect="openanalytics",
        dialect_version="1",
        sender="server",
        kind="event",
        received_us=us,
        occurred_us=us,
        payload="{}",
    ),
    "definitions": lambda us: Definition(
        project_id="shop", kind="goal", key=str(us), received_us=us, body="{}"
    ),
    "costs": lambda us: Cost(
        project_id="shop",
        received_us=us,
        day="2024-10-04",
        source="google",
        medium=None,
        campaign=None,
        amount_text="1",
        currency="USD",
    ),
    "rejected": lambda us: Rejected(
        project_id="shop", path="/v1/batch", received_us=us, reason="why", body="e30="
    ),
    "unread_fields": lambda us: UnreadField(project_id="shop", received_us=us, name="amount", occurrences=1),
    "unrecorded_clicks": lambda us: UnrecordedClick(
        project_id="shop", received_us=us, link_id="spring", reason="store", occurrences=1
    ),
}
"""By table: makes the row that was received at a time, in Unix microseconds."""
