"""Commands for destinations: what they are told, and what is to be done about it.

What is to be done is written into the landing store; `funnelhouse forward` carries it out within seconds.
"""

from typing import TYPE_CHECKING

import click

from command_line.landing import defined_destinations, destination, landing_store

if TYPE_CHECKING:
    from record.landing.store import LandingStore
    from record.wishes import Action

PROJECT = click.option("--project", help="Project of the destination, where several have one of this id.")


@click.group()
def destinations() -> None:
    """Where conversions are told: traffic sources, ad platforms, systems of one's own."""


@destinations.command("pause")
@click.argument("destination_id", required=False)
@PROJECT
@click.option("--all", "is_all", is_flag=True, help="Every destination, of the project where one is named.")
@click.option("--note", help="Why, for who looks later.")
def pause(destination_id: str | None, project: str | None, is_all: bool, note: str | None) -> None:
    """Send a destination nothing until it is resumed; what is planned waits."""
    if is_all == bool(destination_id):
        raise click.UsageError("Name a destination, or --all.")
    with landing_store() as store:
        if destination_id:
            _wish(store, "pause", destination_id, project, note)
            return
        found = defined_destinations(store, project)
        for each in found:
            _wish(store, "pause", each.destination_id, each.project_id, note)
        if not found:
            click.echo("No destination is defined.")


@destinations.command("resume")
@click.argument("destination_id")
@PROJECT
def resume(destination_id: str, project: str | None) -> None:
    """Send to a destination again, what waits first."""
    with landing_store() as store:
        _wish(store, "resume", destination_id, project)


@destinations.command("release")
@click.argument("destination_id")
@PROJECT
def release(destination_id: str, project: str | None) -> None:
    """Send what is held: after a surge, or by a copy or a restored backup.

    Look at it before: `funnelhouse destinations show` says why it is held, and how much.
    """
    with landing_store() as store:
        _wish(store, "release", destination_id, project)


@destinations.command("test")
@click.argument("destination_id")
@PROJECT
def test(destination_id: str, project: str | None) -> None:
    """Send one delivery that says that it is a test; `deliveries list` shows what became of it."""
    with landing_store() as store:
        _wish(store, "test", destination_id, project)


def _wish(
    store: "LandingStore",
    action: "Action",
    destination_id: str,
    project: str | None,
    note: str | None = None,
) -> None:
    from record.wishes import append_wish

    found = destination(store, destination_id, project)
    wish = append_wish(store, found.project_id, destination_id, action, {"note": note})
    click.echo(f"Wish {wish.id}: {action} {found.project_id}/{destination_id}.")
