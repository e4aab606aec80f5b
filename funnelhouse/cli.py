"""The command line. Each command imports its room when it runs, so that `funnelhouse keys` starts at once."""

import sys
from typing import Literal

import click

from funnelhouse.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Conversion tracking and attribution in your warehouse."""


@main.group()
def keys() -> None:
    """API keys of projects."""


@keys.command("create")
@click.option("--project", required=True, help="Project of the key; made when it is new.")
@click.option("--scopes", required=True, help="Comma-separated: ingest, read, admin.")
@click.option("--expires-days", default=365, show_default=True, type=click.IntRange(1, 36500))
@click.option("--test", "is_test", is_flag=True, help="A key whose events go to <project>.test.")
def create(project: str, scopes: str, expires_days: int, is_test: bool) -> None:
    """Print a new key, once, alone on stdout; only a hash of it is kept."""
    from funnelhouse.keys import create_key
    from funnelhouse.landing import open_landing

    connection = open_landing(Settings().landing_path)
    try:
        key = create_key(connection, project, [s.strip() for s in scopes.split(",")], expires_days, is_test)
    except ValueError as refused:
        raise click.ClickException(str(refused)) from None
    finally:
        connection.close()
    click.echo(key)


@main.group()
def projects() -> None:
    """Settings of projects."""


@projects.command("set")
@click.argument("project")
@click.option(
    "--postbacks",
    required=True,
    type=click.Choice(["open", "secret", "off"]),
    help="Conversions without a key: from everybody, with a secret in the address, or not at all.",
)
def set_project(project: str, postbacks: Literal["open", "secret", "off"]) -> None:
    """Change a project. Prints the address for postbacks; a secret in it is new, and shown only this once."""
    from funnelhouse.landing import open_landing
    from funnelhouse.postbacks import set_postbacks

    settings = Settings()
    connection = open_landing(settings.landing_path)
    try:
        path = set_postbacks(connection, project, postbacks)
    except ValueError as refused:
        raise click.ClickException(str(refused)) from None
    finally:
        connection.close()
    if path is not None:
        parameters = "hit=REPLACE&tx=REPLACE&rev=REPLACE"
        click.echo(f"http://{settings.host}:{settings.ingest_port}{path}?{parameters}")


@main.group()
def serve() -> None:
    """Run one of the HTTP servers."""


@serve.command("ingest")
@click.option("--port", type=int, help="Default: FUNNELHOUSE_INGEST_PORT or 8001.")
def serve_ingest(port: int | None) -> None:
    """Take in reports over HTTP."""
    from ingest_api.server import serve as run

    settings = Settings()
    run(settings.model_copy(update={"ingest_port": port}) if port else settings)


@serve.command("read")
@click.option("--port", type=int, help="Default: FUNNELHOUSE_READ_PORT or 8002.")
def serve_read(port: int | None) -> None:
    """Answer reports from the published marts."""
    from read_api.server import serve as run

    settings = Settings()
    run(settings.model_copy(update={"read_port": port}) if port else settings)


@main.command()
@click.option("--full-refresh", is_flag=True, help="Build every model from nothing.")
def build(full_refresh: bool) -> None:
    """Seal, build, check and publish. Exits 0 only when published."""
    from funnelhouse.console import print_build, progress_bar
    from orchestration.build import run_build

    with progress_bar("Building") as on_progress:
        report = run_build(Settings(), full_refresh=full_refresh, on_progress=on_progress)
    print_build(report)
    sys.exit(0 if report.published else 1)


@main.command()
def up() -> None:
    """Run everything: ingest, read, Dagster's scheduler and its web page."""
    from orchestration.processes import up as run

    run(Settings())


@main.command()
@click.option("--once", is_flag=True, help="End after the tables instead of leaving the servers running.")
def demo(once: bool) -> None:
    """Fill a running system with real customer journeys and show what they earn."""
    from funnelhouse.demo.run import run_demo

    sys.exit(run_demo(Settings(), once=once))
