"""What commands share: the landing store, tables on stdout, and a destination by the id that was typed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from funnelhouse.settings import Settings

if TYPE_CHECKING:
    from forwarding.deliveries import Destination
    from forwarding.outbox.store import OutboxStore
    from record.landing.store import LandingStore


@contextmanager
def landing_store(settings: Settings | None = None) -> Iterator["LandingStore"]:
    """The landing store; what it or a command refuses becomes a message."""
    from record.landing import open_store
    from record.landing.store import LandingError

    try:
        with closing(open_store((settings or Settings()).landing_store)) as store:
            yield store
    except (ValueError, LandingError) as refused:
        raise click.ClickException(str(refused)) from None


def echo_table(*rows: tuple[str, ...]) -> None:
    """Print rows in columns that are as wide as need be, whatever the terminal's width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def defined_destinations(store: "LandingStore", project: str | None = None) -> list["Destination"]:
    """The destinations that are defined, by project and id."""
    from forwarding.defined import read_defined

    found = read_defined(store, ()).destinations
    return [found[key] for key in sorted(found) if project is None or key[0] == project]


def destination(store: "LandingStore", destination_id: str, project: str | None) -> "Destination":
    """The destination that is called so, in the project where one is named; says when there are several."""
    found = [each for each in defined_destinations(store, project) if each.destination_id == destination_id]
    if not found:
        where = f" in project {project}" if project else ""
        raise click.ClickException(
            f"No destination {destination_id}{where}; `funnelhouse destinations list` shows those that exist."
        )
    if len(found) > 1:
        projects = ", ".join(each.project_id for each in found)
        raise click.UsageError(f"Several projects have {destination_id}; add --project, of: {projects}.")
    return found[0]


def project_of_deliveries(store: "LandingStore", project: str | None) -> str:
    """The project that is named, else the only one that has destinations."""
    projects = sorted({each.project_id for each in defined_destinations(store)})
    if project is not None:
        return project
    if len(projects) != 1:
        raise click.UsageError(f"Add --project, of: {', '.join(projects) or 'none has destinations yet'}.")
    return projects[0]


@contextmanager
def outbox() -> Iterator["OutboxStore | None"]:
    """The outbox, to be read; None while nothing was ever planned. What it refuses becomes a message."""
    from forwarding.outbox.store import open_existing_outbox
    from record.landing.store import LandingError

    settings = Settings()
    try:
        store = open_existing_outbox(settings.landing or settings.outbox_path)
        if store is None:
            yield None
            return
        with closing(store):
            yield store
    except LandingError as refused:
        raise click.ClickException(str(refused)) from None


def utc(moment_us: int | None) -> str:
    """A time as people read it, UTC; - for none."""
    if moment_us is None:
        return "-"
    return f"{datetime.fromtimestamp(moment_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def unix_us(moment: datetime | None) -> int | None:
    """Unix microseconds of a time that was typed, which is UTC."""
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000
