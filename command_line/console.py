"""What the commands show on a terminal: progress, tables, and what became of a build."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from orchestration.build_report import BuildReport

console = Console(highlight=False)

SLOWEST_MODELS = 5


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on the terminal; yields what moves it: `(what was just done, how many are done, of how many)`."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[last]}"),
        console=console,
        transient=not console.is_terminal,
    ) as progress:
        task = progress.add_task(title, total=None, last="")

        def move(last: str, done: int, total: int) -> None:
            progress.update(task, last=last, completed=done, total=total)

        yield move
        progress.update(task, last="")


def plain_table(title: str) -> Table:
    """A table narrow enough for 80 columns."""
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=0)


def print_build(report: BuildReport) -> None:
    """Seconds by step and by the slowest models, then warnings, failures and the outcome in one line."""
    table = plain_table("Build time by step")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    slowest = sorted(report.model_seconds.items(), key=lambda item: -item[1])[:SLOWEST_MODELS]
    for step, seconds in report.seconds.items():
        table.add_row(step, f"{seconds:.1f}")
        if step == "dbt":
            for model, model_seconds in slowest:
                table.add_row(f"  of it {model}", f"{model_seconds:.1f}", style="dim")
    table.add_row("total", f"{sum(report.seconds.values()):.1f}", style="bold")
    if report.seconds:
        console.print(table)
    for warning in report.warnings:
        console.print(f"[yellow]Warning:[/] {warning}", soft_wrap=True)
    for failure in report.failures:
        console.print(f"[red]Failed:[/] {failure}", soft_wrap=True)
    if report.is_unchanged:
        console.print(
            f"Nothing is new since [bold]{report.build_id}[/], which stays published. "
            "`--full-refresh` builds regardless."
        )
    elif report.published:
        console.print(f"Published as [bold]{report.build_id}[/].")
    else:
        console.print("[red]Not published;[/] readers still see the last publication.")
