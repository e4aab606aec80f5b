"""Commands for deliveries: what destinations were told, and what is to be done about it."""

import time
from dataclasses import asdict
from datetime import datetime

import click

from command_line.landing import (
    defined_destinations,
    destination,
    echo_table,
    landing_store,
    outbox,
    project_of_deliveries,
    unix_us,
    utc,
)
from funnelhouse.settings import Settings

PROJECT = click.option("--project", help="Project of the deliveries, where several have destinations.")


@click.group()
def deliveries() -> None:
    """Messages to destinations: one for each time that a conversion is told."""


@deliveries.command("list")
@PROJECT
@click.option("--destination", "destination_id", help="Only of this destination.")
@click.option("--state", help="Only in this state, such as dead, held, skipped, delivered.")
@click.option("--conversion", "conversion_id", help="Only about this conversion.")
@click.option("--since", type=click.DateTime(), help="Only what was planned at this time (UTC) or later.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def list_(
    project: str | None,
    destination_id: str | None,
    state: str | None,
    conversion_id: str | None,
    since: datetime | None,
    limit: int,
) -> None:
    """Show deliveries, the newest first: id, when planned, what of which conversion, what became of it."""
    from forwarding.outbox import reading

    with landing_store() as store:
        if destination_id:
            project = destination(store, destination_id, project).project_id
        project = project_of_deliveries(store, project)
    with outbox() as opened:
        if opened is None:
            return
        found = reading.deliveries(
            opened,
            project,
            destination_id=destination_id,
            state=state,
            conversion_id=conversion_id,
            since_us=unix_us(since),
            limit=limit,
        )
    rows = [
        (
            each.delivery_id,
            utc(each.created_us),
            each.destination_id,
            f"{each.conversion_id} #{each.ordinal}",
            each.kind,
            each.state,
            each.reason or each.error_code or "-",
        )
        for each in found
    ]
    if rows:
        echo_table(("id", "planned", "destination", "conversion", "what", "state", "reason"), *rows)


@deliveries.command("show")
@click.argument("delivery_id")
@PROJECT
def show(delivery_id: str, project: str | None) -> None:
    """Print a delivery: what it tells, its request with *** for secrets, and each attempt."""
    from forwarding.outbox import reading
    from forwarding.platforms import PLATFORMS
    from forwarding.preview import rendered

    with landing_store() as store:
        project = project_of_deliveries(store, project)
        known = {each.destination_id: each for each in defined_destinations(store, project)}
    with outbox() as opened:
        whole = None if opened is None else reading.delivery(opened, project, delivery_id)
    if whole is None:
        raise click.ClickException(f"No delivery {delivery_id} in project {project}.")
    for name, value in asdict(whole.found).items():
        if value is not None:
            click.echo(f"{name.removesuffix('_us')}: {utc(value) if name.endswith('_us') else value}")
    told_to = known.get(whole.found.destination_id)
    if told_to is not None and whole.facts is not None:
        platform = PLATFORMS[told_to.kind](Settings())
        try:
            message = rendered(told_to, platform, whole.delivery(), time.time_ns() // 1000)
            click.echo(f"\n{message.method} {message.shown_url}\n{message.shown}")
        except (KeyError, TypeError, ValueError):
            click.echo("\nThe newest definition of the destination cannot tell it.")
    for attempt in whole.attempts:
        when, said = utc(attempt.started_us), attempt.status or attempt.code
        click.echo(f"\nAttempt {attempt.n}, {when}, {attempt.milliseconds} ms: {said}\n{attempt.answer}")


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
        "since_us": unix_us(since),
        "until_us": unix_us(until),
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
