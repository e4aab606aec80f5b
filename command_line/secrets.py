"""Commands for secrets of destinations: they are read from stdin or a prompt, never from an argument."""

import sys
from datetime import UTC, datetime

import click

from command_line.landing import destination, echo_table, landing_store
from funnelhouse.settings import Settings

_PROJECT = click.option("--project", help="Project of the destination, where several have one of this id.")


@click.group()
def secrets() -> None:
    """Secrets of destinations: access tokens, passwords of postbacks, signing secrets."""


@secrets.command("set")
@click.argument("destination_id")
@click.argument("name")
@_PROJECT
@click.option("--generate", is_flag=True, help="Make a webhook's signing secret, and print it once.")
def set_(destination_id: str, name: str, project: str | None, generate: bool) -> None:
    """Set a secret of a destination, from stdin or a prompt. It is encrypted, and never shown again.

    NAME is access_token for Meta; client_id, client_secret and refresh_token, or service_account_json, for
    Google; signing_secret for a webhook, of which the one before stays valid for 24 hours; and for a postback
    what its template calls {secret:NAME}.
    """
    from funnelhouse.problems import Refusal
    from ingest_api.forwarding.secrets import check_name, read_value
    from record.secrets import SIGNING_SECRET, SecretError, set_secret

    settings = Settings()
    with landing_store(settings) as store:
        found = destination(store, destination_id, project)
        try:
            check_name(found.kind, name)
            value, is_made = read_value(
                found.kind, name, {"generate": True} if generate else {"value": _typed(name)}
            )
            place = (found.project_id, destination_id, name)
            shown = set_secret(
                store, settings.secret_keys, place, value, keeps_previous=name == SIGNING_SECRET
            )
        except Refusal as refused:
            raise click.ClickException(refused.detail) from None
        except SecretError as refused:
            raise click.ClickException(str(refused)) from None
    if is_made:
        click.echo(value)
    click.echo(f"Set {name} of {found.project_id}/{destination_id} ({shown.hint}).", err=True)


@secrets.command("list")
@click.argument("destination_id")
@_PROJECT
def list_(destination_id: str, project: str | None) -> None:
    """Show which secrets a destination has: name, when set, a hint of each; never what they are."""
    from record.secrets import list_secrets

    settings = Settings()
    with landing_store(settings) as store:
        found = destination(store, destination_id, project)
        rows = [
            (
                each.name,
                f"{datetime.fromtimestamp(each.set_us / 1_000_000, UTC):%Y-%m-%d %H:%M}",
                each.hint or f"unreadable: needs key {each.key_id}",
                each.key_id,
            )
            for each in list_secrets(store, settings.secret_keys, found.project_id, destination_id)
        ]
    if rows:
        echo_table(("name", "set", "hint", "key"), *rows)


@secrets.command("rotate")
def rotate() -> None:
    """Encrypt all secrets with the first key of FUNNELHOUSE_SECRET_KEYS.

    Then the others can be taken out of the setting.
    """
    from record.secrets import SecretError, rotate_secrets

    settings = Settings()
    with landing_store(settings) as store:
        try:
            changed = rotate_secrets(store, settings.secret_keys)
        except SecretError as refused:
            raise click.ClickException(str(refused)) from None
    click.echo(f"{changed} secrets are encrypted anew with key {settings.secret_keys[0].key_id}.")


@secrets.command("new-key")
@click.argument("key_id", required=False)
def new_key(key_id: str | None) -> None:
    """Print a new key for FUNNELHOUSE_SECRET_KEYS, once, alone on stdout. KEY_ID is the day by default."""
    from record.secrets import new_secret_key

    try:
        click.echo(new_secret_key(key_id or f"{datetime.now(UTC):%Y%m%d}"))
    except ValueError as refused:
        raise click.UsageError(str(refused)) from None
    click.echo(
        "Put it first into FUNNELHOUSE_SECRET_KEYS, before those that are there, and start again. Then"
        " `funnelhouse secrets rotate` encrypts all secrets with it.",
        err=True,
    )


def _typed(name: str) -> str:
    """What is typed at a prompt that does not show it, or stdin whole where that is no terminal."""
    if sys.stdin.isatty():
        typed: str = click.prompt(name, hide_input=True, err=True)
        return typed
    return click.get_text_stream("stdin").read()
