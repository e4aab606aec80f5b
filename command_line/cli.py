"""The command line. Commands import their packages when they run: `funnelhouse keys` starts at once."""

import sys
import time
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import click

from command_line import deliveries, destinations, editing, forward, secrets
from command_line.landing import echo_table, landing_store
from funnelhouse.collector import collect_seldom
from funnelhouse.settings import Settings


class _Commands(click.Group):
    """Commands to which what the system refuses (a home that is read-only, a full disk) is a message."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except OSError as refused:
            # Without a file's name it is of no file: a closed pipe, say, which click knows.
            if refused.filename is None:
                raise
            raise click.ClickException(f"{refused.filename}: {refused.strerror}.") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="funnelhouse", message="funnelhouse %(version)s")
def main() -> None:
    """Conversion tracking and attribution in your warehouse."""
    collect_seldom()


@main.group()
def keys() -> None:
    """API keys of projects."""


@keys.command("create")
@click.option("--project", required=True, help="Project of the key; created when it is new.")
@click.option("--scopes", required=True, help="Comma-separated: ingest, read, admin; or page, alone.")
@click.option("--expires-days", default=365, show_default=True, type=click.IntRange(1, 36500))
@click.option("--test", "is_test", is_flag=True, help="A key whose events go to <project>.test.")
@click.option("--name", help="What people call it, such as the system that uses it.")
def create(project: str, scopes: str, expires_days: int, is_test: bool, name: str | None) -> None:
    """Print a new key, once, alone on stdout; only a hash of it is kept.

    page is for web pages, where anybody can read the key: it sends visits, events, identify and conversions.
    ingest is for servers, and sends everything. Neither reads; read does. admin defines, and reports costs.
    """
    from funnelhouse.keys import create_key

    wanted = [scope.strip() for scope in scopes.split(",")]
    with landing_store() as store:
        click.echo(create_key(store, project, wanted, expires_days, is_test, name))


@keys.command("list")
@click.option("--project", help="Only this project's keys, its test keys included.")
def list_(project: str | None) -> None:
    """Show keys: id, name, project, scopes, created, expires, last used at ingest (UTC); never a secret.

    When a key was last used is known to the hour.
    """
    from funnelhouse.keys import in_order, list_keys

    def utc(moment_us: int) -> str:
        return f"{datetime.fromtimestamp(moment_us / 1_000_000, UTC):%Y-%m-%d %H:%M}"

    now_us = time.time_ns() // 1000
    with landing_store() as store:
        rows = [
            (
                key.key_id,
                key.name or "-",
                key.project_id,
                ",".join(in_order(key.scopes)),
                utc(key.created_us),
                utc(key.expires_us) + (" (expired)" if key.expires_us <= now_us else ""),
                "never" if key.last_used_us is None else utc(key.last_used_us),
            )
            for key in list_keys(store, project)
        ]
    if rows:
        echo_table(("id", "name", "project", "scopes", "created", "expires", "last used"), *rows)


@keys.command("rename")
@click.argument("key_id")
@click.argument("name")
def rename(key_id: str, name: str) -> None:
    """Give a key another NAME. KEY_ID as `keys list` shows it."""
    from funnelhouse.keys import rename_key

    with landing_store() as store:
        rename_key(store, key_id, name)


@keys.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key; every process refuses it within a second. KEY_ID is as `keys list` shows it."""
    from funnelhouse.keys import revoke_key

    with landing_store() as store:
        revoke_key(store, key_id)


@keys.command("rotate")
@click.argument("key_id")
@click.option("--overlap-days", default=7, show_default=True, type=click.IntRange(0, 365))
@click.option("--expires-days", default=365, show_default=True, type=click.IntRange(1, 36500))
def rotate(key_id: str, overlap_days: int, expires_days: int) -> None:
    """Print a new key like KEY_ID, which keeps working for the overlap."""
    from funnelhouse.keys import rotate_key

    with landing_store() as store:
        click.echo(rotate_key(store, key_id, overlap_days, expires_days))


@main.group()
def projects() -> None:
    """Settings of projects."""


@projects.command("set")
@click.argument("project")
@click.option(
    "--postbacks",
    type=click.Choice(["open", "secret", "off"]),
    help="Accept conversions without a key: from anybody, with a secret in the address, or not at all.",
)
@click.option("--host", help="Host name at which /pb/ means this project, such as pb.shop.example; or off.")
@click.option("--origins", help="Comma-separated origins of web pages that may read answers (CORS); or off.")
@click.option("--rate-limit", help="Requests per time and ingest process, such as 1000/minute; or off.")
def set_project(
    project: str,
    postbacks: Literal["open", "secret", "off"] | None,
    host: str | None,
    origins: str | None,
    rate_limit: str | None,
) -> None:
    """Change the given settings; every process picks them up within a second.

    Prints the address for postbacks when they are switched on; a secret in it is new, and shown only once.
    """
    from funnelhouse.access import set_access

    if (postbacks, host, origins, rate_limit) == (None,) * 4:
        raise click.UsageError("Give at least one of --postbacks, --host, --origins, --rate-limit.")
    settings = Settings()
    with landing_store() as store:
        path = set_access(
            store,
            project,
            postbacks=postbacks,
            host=host,
            origins=None if origins is None else [origin.strip() for origin in origins.split(",")],
            rate_limit=rate_limit,
        )
    if path is not None:
        parameters = "hit=REPLACE&tx=REPLACE&rev=REPLACE"
        click.echo(f"{settings.address(settings.ingest_port)}{path}?{parameters}")


@projects.command("list")
def list_projects() -> None:
    """List all projects with their settings."""
    from funnelhouse.access import read_access

    with landing_store() as store:
        for project, access in read_access(store).items():
            click.echo("  ".join([project, *(f"{name} {value}" for name, value in access.shown().items())]))


@projects.command("show")
@click.argument("project")
def show_project(project: str) -> None:
    """Show the settings of PROJECT, one per line."""
    from funnelhouse.access import read_access

    with landing_store() as store:
        access = read_access(store).get(project)
    if access is None:
        raise click.ClickException("unknown project; `funnelhouse projects list` shows them")
    for name, value in access.shown().items():
        click.echo(f"{name + ':':12}{value}")


@main.group()
def tracker() -> None:
    """The script that pages load."""


@tracker.command("snippet")
@click.option("--project", required=True, help="Project whose pages they are; <project>.test for trials.")
@click.option(
    "--url", help="Where browsers reach ingest, e.g. https://shop.example. Default: the project's host."
)
def print_snippet(project: str, url: str | None) -> None:
    """Print what to paste into pages: the tag, and each vendor's own calls.

    Says on stderr what is missing for the script to be served.
    """
    from funnelhouse.access import AccessRules
    from funnelhouse.keys import TEST_SUFFIX
    from funnelhouse.snippet import built_stub, script_url, snippet

    settings = Settings()
    with landing_store() as store:
        access = AccessRules(store).of(project)
    base = (url or access.address(settings.ingest_base_url)).rstrip("/")
    click.echo(snippet(script_url(base, settings.tracker_prefix, project), built_stub()), nl=False)
    if not access.origins:
        live = project.removesuffix(TEST_SUFFIX)
        click.echo(
            f"The script is not served yet: `funnelhouse projects set {live} --origins https://shop.example`"
            " lists the origins of the pages that may load it.",
            err=True,
        )


@main.group()
def rejected() -> None:
    """Reports of senders with a key that could not be accepted; kept for 30 days."""


@rejected.command("list")
@click.option("--project", help="Only this project's. A test key writes to <project>.test.")
@click.option("--since", type=click.DateTime(), help="Only what was received at this time (UTC) or later.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
def list_rejected(project: str | None, since: datetime | None, limit: int) -> None:
    """List id, time, project, route, size and reason of each; newest first."""
    from record.rejected import kept

    since_us = int(since.replace(tzinfo=UTC).timestamp()) * 1_000_000 if since else 0
    with landing_store() as store:
        for each in islice(kept(store, Settings().raw_dir, project, since_us), limit):
            received = datetime.fromtimestamp(each.row.received_us / 1_000_000, UTC)
            size = f"{len(each.body)} B{', cut' if each.is_cut else ''}"
            click.echo(
                f"{each.rejected_id}  {received:%Y-%m-%d %H:%M:%S}  {each.row.project_id}"
                f"  {each.row.path}  {size}  {each.row.reason}"
            )


@rejected.command("show")
@click.argument("rejected_id")
def show_rejected(rejected_id: str) -> None:
    """Print the reason and what was sent. REJECTED_ID as `rejected list` shows it."""
    from record.rejected import kept, printable

    with landing_store() as store:
        for each in kept(store, Settings().raw_dir):
            if each.rejected_id == rejected_id:
                click.echo(f"{each.row.reason}\n")
                click.echo(printable(each.body))
                if each.is_cut:
                    click.echo("\nOnly the beginning was kept.", err=True)
                return
    raise click.ClickException(_UNKNOWN)


@rejected.command("replay")
@click.argument("rejected_ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All rejected reports of the project.")
@click.option("--project", help="Project whose rejected reports to replay, with --all.")
@click.option("--reason-contains", default="", help="With --all: only those whose reason holds this text.")
def replay_rejected(
    rejected_ids: tuple[str, ...], is_all: bool, project: str | None, reason_contains: str
) -> None:
    """Read reports again after a fix, and store what is accepted now. Exits 1 when any is still refused.

    Safe to repeat, and next to a running server: an event that was replayed before counts once.
    """
    from ingest_api.replay import replay
    from record.rejected import kept

    if is_all == bool(rejected_ids) or is_all != bool(project):
        raise click.UsageError("Name ids, or --all and --project.")
    missing = set(rejected_ids)
    is_refused = False
    with landing_store() as store:
        for each in kept(store, Settings().raw_dir, project):
            if each.rejected_id not in missing if rejected_ids else reason_contains not in each.row.reason:
                continue
            missing.discard(each.rejected_id)
            outcome = replay(store, each, time.time_ns() // 1000)
            is_refused = is_refused or bool(outcome.reasons)
            said = [f"accepted {outcome.accepted}"] if outcome.accepted or not outcome.reasons else []
            said += [f"still refused: {reason}" for reason in dict.fromkeys(outcome.reasons)]
            click.echo(f"{each.rejected_id}  {'; '.join(said)}")
            if rejected_ids and not missing:
                break
    for rejected_id in sorted(missing):
        click.echo(f"{rejected_id}  {_UNKNOWN}")
    sys.exit(1 if is_refused or missing else 0)


_UNKNOWN = (
    "No such rejected report, or it has expired; `funnelhouse rejected list` shows those that are kept."
)


@main.command()
@click.argument("seqs", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--reason", required=True, help="Why these reports are left out; stored with them.")
def quarantine(seqs: tuple[int, ...], reason: str) -> None:
    """Print the lines of dbt_project/seeds/quarantined_events.csv that leave reports out of every model.

    SEQS as a failed build names them. `funnelhouse deploy` lets builds use the seed. The reports stay in the
    permanent record.
    """
    from orchestration.quarantine import NotInTheRecordError, quarantine_lines

    try:
        click.echo(quarantine_lines(Settings().raw_dir, seqs, reason), nl=False)
    except NotInTheRecordError as unknown:
        raise click.ClickException(str(unknown)) from None


@main.command()
@click.option(
    "--repair",
    "is_repair",
    is_flag=True,
    help="Rewrite missing and damaged files from the landing store.",
)
def verify(is_repair: bool) -> None:
    """Check that every sealed report is in the permanent record, unchanged.

    Prints a sentence for each fault, and exits 1 if there is any. --repair rewrites the files whose rows are
    all still in the landing store; no build may run at the same time.
    """
    from orchestration.build_lock import BuildRunningError, build_lock
    from record.landing.store import LandingError
    from record.verifying import REMEDY, repair
    from record.verifying import verify as read_record

    settings = Settings()
    location, raw_dir = settings.landing_store, settings.raw_dir
    if not settings.home_dir.exists():
        raise click.ClickException(f"{settings.home_dir} does not exist; set FUNNELHOUSE_HOME.")
    try:
        verified = read_record(location, raw_dir, time.time_ns() // 1000)
        if is_repair and verified.faults:
            with build_lock(settings.build_lock_path):
                for table, (first, last) in repair(location, raw_dir, verified.faults):
                    click.echo(f"{table}: positions {first} to {last} were rewritten.")
            verified = read_record(location, raw_dir, time.time_ns() // 1000)
    except (LandingError, BuildRunningError) as refused:
        raise click.ClickException(str(refused)) from None
    for fault in verified.faults:
        click.echo(fault.sentence)
    click.echo(f"{verified.files:,} files with {verified.rows:,} rows are unchanged.")
    if verified.faults:
        click.echo(REMEDY)
    sys.exit(1 if verified.faults else 0)


@main.group()
def serve() -> None:
    """Run one of the HTTP servers."""


@serve.command("ingest")
@click.option("--port", type=int, help="Default: FUNNELHOUSE_INGEST_PORT or 8001.")
def serve_ingest(port: int | None) -> None:
    """Accept reports over HTTP."""
    from ingest_api.server import serve as run

    settings = Settings()
    run(settings.model_copy(update={"ingest_port": port}) if port else settings)


@serve.command("read")
@click.option("--port", type=int, help="Default: FUNNELHOUSE_READ_PORT or 8002.")
def serve_read(port: int | None) -> None:
    """Serve reports, exports and the dashboard from the published marts."""
    from read_api.server import serve as run

    settings = Settings()
    run(settings.model_copy(update={"read_port": port}) if port else settings)


@main.command()
@click.option(
    "--full-refresh", is_flag=True, help="Rebuild every model from scratch, even if nothing is new."
)
def build(full_refresh: bool) -> None:
    """Seal, build, check and publish, unless nothing is new. Exits 0 only when all is published."""
    from command_line.console import print_build, progress_bar
    from orchestration.build import run_build
    from orchestration.deployment import said_difference

    settings = Settings()
    with progress_bar("Building") as on_progress:
        report = run_build(settings, full_refresh=full_refresh, on_progress=on_progress)
    print_build(report)
    if (differs := said_difference(settings)) is not None:
        click.echo(differs)
    sys.exit(0 if report.published else 1)


for command in (
    *(editing.deploy, editing.dev, editing.dbt, editing.init, editing.builds),
    *(forward.forward, destinations.destinations, deliveries.deliveries, secrets.secrets),
):
    main.add_command(command)


@main.group()
def publish() -> None:
    """Copy the published marts elsewhere."""


@publish.command("postgres")
@click.option("--url", help="postgresql://user@host:5432/database. Default: FUNNELHOUSE_PUBLISH_POSTGRES.")
@click.option("--schema", help="Default: FUNNELHOUSE_PUBLISH_POSTGRES_SCHEMA or funnelhouse.")
def publish_postgres(url: str | None, schema: str | None) -> None:
    """Replace the marts in a PostgreSQL schema with those of the current publication, all at once."""
    from publication.layout import CURRENT
    from publication.postgres import PostgresPublishError, publish_to_postgres

    settings = Settings()
    url = url or settings.publish_postgres
    schema = schema or settings.publish_postgres_schema
    if not url:
        raise click.UsageError("Give --url, or set FUNNELHOUSE_PUBLISH_POSTGRES.")
    current = settings.published_dir / CURRENT
    if not current.exists():
        raise click.ClickException("nothing is published yet; run `funnelhouse build`")
    folder = current.resolve()
    try:
        rows = publish_to_postgres(folder, url, schema)
    except PostgresPublishError as failed:
        raise click.ClickException(str(failed)) from None
    click.echo(f"Build {folder.name}: {len(rows)} marts, {sum(rows.values()):,} rows in schema {schema}.")


@main.command()
def up() -> None:
    """Run everything: ingest, read, Dagster's scheduler, its web page, and forwarding."""
    from command_line.processes import up as run

    run(Settings())


@main.command()
@click.option("--once", is_flag=True, help="Exit after the tables instead of leaving the servers running.")
@click.option(
    "--data",
    type=click.Choice(["shop", "journeys"]),
    default="shop",
    show_default=True,
    help="A made-up shop's last 90 days, or 88,387 real journeys (needs the package mta).",
)
def demo(once: bool, data: Literal["shop", "journeys"]) -> None:
    """Fill a running system with a shop's days or with real journeys, and show their attribution."""
    from command_line.demo.run import run_demo

    sys.exit(run_demo(Settings(), once=once, data_name=data))
