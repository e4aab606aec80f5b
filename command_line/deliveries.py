"""Commands for deliveries: what destinations were told, and what is to be done about it."""

from datetime import UTC, datetime

import click

from command_line.landing import destination, landing_store, project_of_deliveries

PROJECT = click.option("--project", help="Project of the deliveries, where several have destinations.")


@click.group()
def deliveries() -> None:
    """Messages to destinations: one for each time that a conversion is told."""


@deliveries.command("replay")
@click.argument("delivery_ids", nargs=-1)
@PROJECT
@click.option("--destination", "destination_id", help="Instead of ids: those of this destination.")
@click.option("--state", "states", multiple=True, help="Of these: dead (default), skipped, delivered.")
@click.option("--since", type=click.DateTime(), help="Of these: made at this time (UTC) or later.")
@click.option("--until", type=click.DateTime(), help="Of these: made before this time (UTC).")
@click.option("--fresh", is_flag=True, help="As the newest publication has it, not as it was planned.")
def replay(
    delivery_ids: tuple[str, ...],
    project: str | None,
    destination_id: str | None,
    states: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    fresh: bool,
) -> None:
    """Send deliveries again, under the ids that they had: who deduplicates by id sees no second one."""
    from record.wishes import MOST_IDS, REPLAYED_STATES, append_wish

    if bool(delivery_ids) == bool(destination_id or since or until) or (delivery_ids and states):
        raise click.UsageError("Name ids; or --destination, --since or --until, with --state if need be.")
    if unknown := set(states) - set(REPLAYED_STATES):
        raise click.UsageError(f"--state is one of {', '.join(REPLAYED_STATES)}, not {min(unknown)}.")
    if len(delivery_ids) > MOST_IDS:
        raise click.UsageError(f"Name at most {MOST_IDS} ids.")
    body = {
        "delivery_ids": list(delivery_ids),
        "states": list(states) or ([] if delivery_ids else ["dead"]),
        "since_us": _us(since),
        "until_us": _us(until),
        "fresh": fresh,
    }
    with landing_store() as store:
        if destination_id:
            project = destination(store, destination_id, project).project_id
        project = project_of_deliveries(store, project)
        wish = append_wish(store, project, destination_id, "replay", body)
    click.echo(f"Wish {wish.id}: replay deliveries of {project}.")


@deliveries.command("dismiss")
@click.argument("delivery_ids", nargs=-1)
@PROJECT
@click.option("--destination", "destination_id", help="Instead of ids: all dead ones of this destination.")
def dismiss(delivery_ids: tuple[str, ...], project: str | None, destination_id: str | None) -> None:
    """Let dead deliveries be: they are listed no more. By id, what waits or is held is cancelled, too."""
    from record.wishes import MOST_IDS, append_wish

    if bool(delivery_ids) == bool(destination_id):
        raise click.UsageError("Name ids, or --destination.")
    if len(delivery_ids) > MOST_IDS:
        raise click.UsageError(f"Name at most {MOST_IDS} ids.")
    with landing_store() as store:
        if destination_id:
            project = destination(store, destination_id, project).project_id
        project = project_of_deliveries(store, project)
        wish = append_wish(store, project, destination_id, "dismiss", {"delivery_ids": list(delivery_ids)})
    click.echo(f"Wish {wish.id}: dismiss deliveries of {project}.")


@deliveries.command("split")
@click.argument("batch_id")
@PROJECT
def split(batch_id: str, project: str | None) -> None:
    """Send a batch again in halves, of which Google took only some: so the guilty ones are found.

    BATCH_ID as `deliveries show` says it. Transaction ids stay, so Google counts nothing twice.
    """
    from record.wishes import append_wish

    with landing_store() as store:
        project = project_of_deliveries(store, project)
        wish = append_wish(store, project, None, "split", {"batch_id": batch_id})
    click.echo(f"Wish {wish.id}: split batch {batch_id} of {project}.")


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000
