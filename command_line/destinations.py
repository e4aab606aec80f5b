"""Commands for destinations: what they are told, and what is to be done about it.

What is to be done is written into the landing store; `funnelhouse forward` carries it out within seconds.
"""

import json
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from command_line.landing import (
    defined_destinations,
    destination,
    echo_table,
    landing_store,
    outbox,
    unix_us,
    utc,
)
from funnelhouse.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from forwarding.deliveries import Answer, Asking, Delivery, Destination, Facts, Message, Outcome, Platform
    from forwarding.outbox.reading import DestinationFound
    from forwarding.transport import Transport
    from record.landing.store import LandingStore
    from record.wishes import Action

PROJECT = click.option("--project", help="Project of the destination, where several have one of this id.")


@click.group()
def destinations() -> None:
    """Where conversions are told: traffic sources, ad platforms, systems of one's own."""


@destinations.command("list")
@click.option("--project", help="Only this project's.")
def list_(project: str | None) -> None:
    """Show destinations, and how many of their deliveries are in which state."""
    from forwarding.outbox import reading

    with landing_store() as store:
        defined = defined_destinations(store, project)
    with outbox() as opened:
        projects = sorted({each.project_id for each in defined})
        found = {each: {} if opened is None else reading.destinations(opened, each) for each in projects}
    rows = []
    for each in defined:
        state = found[each.project_id].get(each.destination_id)
        counts = {} if state is None else state.counts
        waiting = sum(counts.get(name, 0) for name in reading.WAITING)
        numbers = (counts.get("delivered", 0), waiting, counts.get("held", 0), counts.get("dead", 0))
        rows.append(
            (
                each.destination_id,
                each.project_id,
                each.kind,
                _state(each, state),
                *(f"{number:,}" for number in numbers),
                each.body["name"],
            )
        )
    if rows:
        head = ("id", "project", "kind", "state", "delivered", "waiting", "held", "dead", "name")
        echo_table(head, *rows)


@destinations.command("show")
@click.argument("destination_id")
@PROJECT
def show(destination_id: str, project: str | None) -> None:
    """Print a destination: its definition, which secrets are set, why it is paused or held, what was told."""
    from forwarding.outbox import reading
    from ingest_api.definitions.destination import DESTINATIONS
    from record.secrets import list_secrets

    settings = Settings()
    with landing_store(settings) as store:
        found = destination(store, destination_id, project)
        secrets = list_secrets(store, settings.secret_keys, found.project_id, destination_id)
    with outbox() as opened:
        state = None
        if opened is not None:
            state = reading.destinations(opened, found.project_id).get(destination_id)
    click.echo(json.dumps(DESTINATIONS.shown(dict(found.body)), indent=2, ensure_ascii=False))
    click.echo(f"version: {found.version}")
    click.echo(f"state: {_state(found, state)}")
    for secret in secrets:
        hint = secret.hint or f"unreadable: needs key {secret.key_id}"
        click.echo(f"secret {secret.name}: set {utc(secret.set_us)} ({hint})")
    if state is None:
        click.echo("Nothing was ever planned for it.")
        return
    if state.reason:
        click.echo(f"reason: {state.reason}, since {utc(state.since_us)}")
    for name, count in sorted(state.counts.items()):
        click.echo(f"{name}: {count:,}")
    for reason, count in state.skipped.items():
        click.echo(f"  skipped because {reason}: {count:,}")
    click.echo(f"conversions told: {state.told:,}")
    click.echo(f"  otherwise than they are published: {state.told_differently:,}")


@destinations.command("dry-run")
@click.argument("destination_id")
@PROJECT
@click.option("--since", type=click.DateTime(), help="Conversions from this time (UTC) on. Default: 7 days.")
@click.option("--limit", default=3, show_default=True, type=click.IntRange(0, 10), help="Requests to print.")
@click.option(
    "--ask",
    "is_asked",
    is_flag=True,
    help="Have Google (validateOnly) or Meta (test_event_code) judge ten conversions at most.",
)
def dry_run(
    destination_id: str, project: str | None, since: datetime | None, limit: int, is_asked: bool
) -> None:
    """Count what a destination would be told by the published marts, and print requests; sends nothing.

    As if it had been told nothing yet. *** stands for secrets. With --ask up to ten are sent to be judged,
    and count nowhere.
    """
    import duckdb

    from forwarding.deliveries import Asking
    from forwarding.platforms import PLATFORMS
    from forwarding.preview import preview
    from forwarding.publications import opened
    from publication.layout import CURRENT

    settings = Settings()
    now_us = time.time_ns() // 1000
    since_us = unix_us(since)
    if since_us is None:
        since_us = now_us - 7 * 86_400_000_000
    with landing_store(settings) as store:
        found = destination(store, destination_id, project)
    platform = PLATFORMS[found.kind](settings)
    if is_asked and not isinstance(platform, Asking):
        raise click.UsageError("--ask is for Meta and Google; `destinations test` sends others a test.")
    current = settings.published_dir / CURRENT
    if not current.exists():
        raise click.ClickException("nothing is published yet; run `funnelhouse build`")
    folder = current.resolve()
    key = (found.project_id, destination_id)
    try:
        with opened(folder) as forwardings:
            if forwardings is None:
                raise click.ClickException("The publication has no forwardings; run `funnelhouse build`.")
            seen = preview(found, platform, forwardings.since(key, since_us), folder.name, now_us, limit)
            rows = forwardings.since(key, since_us) if is_asked else iter(())
            asked = _to_be_asked(found, platform, rows, now_us)
    except duckdb.Error as error:
        raise click.ClickException(f"The publication cannot be read: {str(error).splitlines()[0]}") from None
    click.echo(f"Build {folder.name}, conversions since {utc(since_us)}:")
    click.echo(f"would be told: {seen.sent:,}")
    for reason, count in seen.skipped.items():
        click.echo(f"not told because {reason}: {count:,}")
    if seen.is_cut:
        click.echo("Only the newest were looked at.")
    for example in seen.examples:
        click.echo(f"\n{example.conversion_id}\n{example.method} {example.url}\n{example.body}")
    if is_asked:
        assert isinstance(platform, Asking)
        for conversion_id, said in _asked(settings, platform, found, asked):
            click.echo(f"\nasked about {conversion_id}: {said}")


MOST_ASKED = 10


def _to_be_asked(
    told_to: "Destination", platform: "Platform", rows: "Iterable[Facts]", now_us: int
) -> "list[Delivery]":
    """The newest that would be told, each under an id of its own."""
    from forwarding.preview import first_delivery

    chosen: list[Delivery] = []
    for facts in rows:
        if facts["is_wanted"]:
            delivery = first_delivery(told_to, facts, "", now_us)
            if platform.skip_reason(told_to, delivery, now_us) is None:
                chosen.append(replace(delivery, delivery_id=f"msg_asked{len(chosen)}"))
        if len(chosen) == MOST_ASKED:
            break
    return chosen


class _Exchange:
    """What a platform is asked over: nothing is written down."""

    def __init__(self, transport: "Transport", secret: "Callable[[str], str | None]") -> None:
        self._transport = transport
        self.secret = secret

    async def send(self, message: "Message", _delivery_ids: "Sequence[str]") -> "Answer":
        return await self._transport.send(message)

    def now_us(self) -> int:
        return time.time_ns() // 1000


def _asked(
    settings: Settings, platform: "Asking", told_to: "Destination", deliveries: "list[Delivery]"
) -> "list[tuple[str, str]]":
    """What the platform says of each, by conversion."""
    import asyncio

    from forwarding.transport import Transport
    from record.secrets import SecretError, read_secret

    with landing_store(settings) as store:

        def secret(name: str) -> str | None:
            place = (told_to.project_id, told_to.destination_id, name)
            found = read_secret(store, settings.secret_keys, place)
            return None if found is None else found.value

        async def ask() -> "Mapping[str, Outcome]":
            async with Transport(settings) as transport:
                return await platform.ask(told_to, deliveries, _Exchange(transport, secret))

        try:
            outcomes = asyncio.run(ask()) if deliveries else {}
        except SecretError as refused:
            raise click.ClickException(str(refused)) from None
    said = []
    for each in deliveries:
        outcome = outcomes[each.delivery_id]
        is_taken = outcome.result in ("delivered", "accepted")
        refusal = f"refused: {outcome.code} {outcome.text}".rstrip()
        said.append((each.conversion_id, "taken" if is_taken else refusal))
    return said


def _state(told_to: "Destination", found: "DestinationFound | None") -> str:
    if not told_to.body["is_active"]:
        return "inactive"
    if found is not None and found.is_paused:
        return "paused"
    if found is not None and found.is_held:
        return "held"
    return "active, failing" if found is not None and found.is_breaker_open else "active"


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
