"""Commands for who edits the models: try an edit in a home of one's own, deploy it, go back to a build."""

import getpass
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from funnelhouse.settings import Settings

_OTHERS = re.compile(r"[^a-z0-9_-]+")


@click.command()
def deploy() -> None:
    """Let builds use what you have edited: dbt project, expectations, extensions.

    The models' unit tests, and the tests of seeds, run before, on an empty record. What fails is said with
    its file and line, and builds go on using what was deployed before.
    """
    from orchestration.deploying import DeployError
    from orchestration.deploying import deploy as run

    try:
        deployed = run(Settings())
    except DeployError as refused:
        for line in str(refused).splitlines():
            click.echo(line, err=True)
        raise click.ClickException("Not deployed: builds go on with what was deployed before.") from None
    click.echo(f"Deployed {deployed.deployment_id} ({deployed.code.shown()}). The next build uses it.")


@click.command()
@click.argument("name", required=False)
@click.option("--days", type=click.IntRange(1), help="Of the record, the last days by arrival. Default: 30.")
@click.option("--sample", help="Instead: of all days, a share of the people, such as 10%.")
@click.option("--remove", "is_removed", is_flag=True, help="Delete it.")
def dev(name: str | None, days: int | None, sample: str | None, is_removed: bool) -> None:
    """Make a home to edit in, over the record as it is now, and build it from what you edit.

    NAME is yours by default. Nothing in it changes what others see: keys of scope admin read its figures with
    `build=dev-NAME`. Made again, it takes in what arrived since.
    """
    from orchestration.dev_home import find, make, remove, run_dbt

    name = _name(name)
    if days and sample:
        raise click.UsageError("Give --days or --sample.")
    settings = Settings()
    with _refusals():
        if is_removed:
            remove(find(settings, name))
            click.echo(f"Removed the dev home {name}.")
            return
        home = make(settings, name, days, sample)
        click.echo(f"Building {home.settings.home_dir}, {home.sample or f'the last {home.days} days'}.")
        code, build = run_dbt(home, ["build", "--resource-type", "seed", "--resource-type", "model"], True)
    _say_published(build)
    sys.exit(code)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--dev", "name", help="The dev home; yours by default.")
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def dbt(name: str | None, arguments: tuple[str, ...]) -> None:
    """Run dbt on what you edit, in a dev home: `funnelhouse dbt run -s fct_conversions+`.

    ARGUMENTS are dbt's own. When a run has succeeded, the marts that it made are what `build=dev-NAME` shows.
    """
    from orchestration.dev_home import find, run_dbt

    with _refusals():
        code, build = run_dbt(find(Settings(), _name(name)), arguments)
    _say_published(build)
    sys.exit(code)


@click.command()
@click.argument("name")
def init(name: str) -> None:
    """Write a skeleton of extensions into a new folder NAME: a mart, a seed, a unit test, a CI file."""
    from command_line.skeleton import SkeletonError, write_skeleton

    folder = Path(name)
    try:
        write_skeleton(folder)
    except SkeletonError as refused:
        raise click.ClickException(str(refused)) from None
    click.echo(f"Wrote {folder}. Set FUNNELHOUSE_EXTENSIONS={folder.resolve()}, then `funnelhouse dev`.")


@click.group()
def builds() -> None:
    """Published builds that are kept: look, go back, keep."""


@builds.command("list")
def list_builds() -> None:
    """Show the kept builds, newest first: id, time, the code that made them."""
    from publication.layout import CURRENT, published_builds, read_kept

    published_dir = Settings().published_dir
    if not published_dir.exists():
        return
    kept, shown = read_kept(published_dir), (published_dir / CURRENT).resolve().name
    for build_id in reversed(published_builds(published_dir)):
        said = _said(build_id)
        marks = [("shown", build_id == shown), ("held", build_id == kept.held)]
        marks.append(("pinned", build_id in kept.pinned))
        marked = ", ".join(mark for mark, is_set in marks if is_set)
        code = _code(said.get("code", {})).partition(",")[0]
        click.echo(f"{build_id}  {said.get('published_at', '')[:16]}  {code}  {marked}".rstrip())


@builds.command("show")
@click.argument("build_id", required=False)
def show_build(build_id: str | None) -> None:
    """Show what a build says of itself, by default the one that readers see."""
    from publication.layout import CURRENT

    published_dir = Settings().published_dir
    build_id = build_id or (published_dir / CURRENT).resolve().name
    said = _said(build_id)
    if not said:
        raise click.ClickException(
            f"build {build_id} is not kept; `funnelhouse builds list` shows those that are."
        )
    click.echo(f"build:      {build_id}")
    click.echo(f"published:  {said['published_at']}")
    click.echo(f"code:       {_code(said.get('code', {}))}")
    click.echo(f"checks:     {said.get('checks_passed', 'unknown')} held")
    for check in said.get("checks", []):
        click.echo(f"            {check['severity']} {check['name']}: {check['description']}")
    click.echo("rows:")
    for mart, rows in said["marts"].items():
        click.echo(f"            {mart}  {rows:,}")


@builds.command("use")
@click.argument("build_id")
def use_build(build_id: str) -> None:
    """Let readers go back to BUILD_ID, and stay there; `latest` lets them see each new build again.

    Meanwhile builds go on, and are published beside it.
    """
    from orchestration.build_lock import build_lock
    from publication.publishing import hold, release

    settings = Settings()
    with _refusals(), build_lock(settings.build_lock_path):
        if build_id == "latest":
            shown = release(settings.published_dir)
            click.echo(f"Readers see {shown}, and each new build.")
        else:
            hold(settings.published_dir, build_id)
            click.echo(f"Readers see {build_id} until `funnelhouse builds use latest`.")
    if settings.publish_postgres:
        click.echo("PostgreSQL follows with `funnelhouse publish postgres`, else with the next build.")


@builds.command("pin")
@click.argument("build_id")
@click.option("--release", "is_released", is_flag=True, help="Let it go when its time is over.")
def pin_build(build_id: str, is_released: bool) -> None:
    """Keep a build for good: it is not deleted after its 14 days."""
    from orchestration.build_lock import build_lock
    from publication.publishing import pin

    settings = Settings()
    with _refusals(), build_lock(settings.build_lock_path):
        pin(settings.published_dir, build_id, not is_released)
    click.echo(f"{build_id} is {'not pinned any more' if is_released else 'kept for good'}.")


def _said(build_id: str) -> dict[str, Any]:
    """What a kept build says of itself; nothing of one that isn't there."""
    from publication.layout import BUILD_FILE, is_build_id

    if not is_build_id(build_id):
        return {}
    try:
        said: dict[str, Any] = json.loads((Settings().published_dir / build_id / BUILD_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return said


def _code(code: dict[str, Any]) -> str:
    """What a build was made with."""
    if not code:
        return "unknown"
    commit = f"commit {code['commit'][:10]}" if code.get("commit") else f"version {code['version']}"
    edited = " with changes" if code.get("is_dirty") or code.get("are_extensions_dirty") else ""
    return f"{commit}{edited}, fingerprint {str(code.get('fingerprint'))[:10]}"


def _name(name: str | None) -> str:
    """The name of a dev home: as given, else of whoever asks."""
    from publication.layout import DEV_NAME

    if name is None:
        try:
            name = _OTHERS.sub("-", getpass.getuser().lower()).strip("-_")[:63] or "mine"
        except (KeyError, OSError):
            # A container may know nobody of this number.
            name = "mine"
    if not re.fullmatch(DEV_NAME, name):
        raise click.UsageError(
            "A name has small letters, digits, - and _, and begins with a letter or digit."
        )
    return name


def _say_published(build: str | None) -> None:
    if build is not None:
        click.echo(f"Keys of scope admin read it with `build={build.partition('.')[0]}`.", err=True)


@contextmanager
def _refusals() -> Iterator[None]:
    """What a dev home refuses is a message."""
    from orchestration.build_lock import BuildRunningError
    from orchestration.dev_home import DevHomeError
    from orchestration.extensions import ExtensionError
    from publication.publishing import PublishError

    try:
        yield
    except (BuildRunningError, DevHomeError, ExtensionError, PublishError) as refused:
        raise click.ClickException(str(refused)) from None
