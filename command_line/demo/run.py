"""`funnelhouse demo`: servers up, journeys in over HTTP, a build, and the credit that comes out; a shop."""

import asyncio
import shutil
import socket
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
from rich.markup import escape
from rich.table import Table

from command_line.console import console, plain_table, print_build, progress_bar
from command_line.demo.journeys import Journey, data_file, events_of, read_journeys
from command_line.demo.replay import replay
from command_line.demo.shop import definitions as shop
from command_line.processes import (
    Processes,
    ProcessesError,
    sigterm_as_interrupt,
    start_dagster,
    start_forwarding,
)
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.outcome import INTERRUPTED as BUILD_INTERRUPTED
from record.landing import open_store

PROJECT = "shop"
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended before it was done."""

SHOWN = ("last_touch", "first_touch", "linear")
"""Models that the table has room for; all of them are compared with the source file."""

PURCHASE_GOAL = {
    "name": "Purchase",
    "match": {"type": "event_name", "value": "purchase"},
    "stage": "purchase",
}


class DemoError(Exception):
    """The demo's totals differ from those of the source file."""


def run_demo(settings: Settings, once: bool) -> int:
    """Run the demo in `<home>/demo`, made anew; returns the exit code: 0 when all totals are right.

    Leaves the servers running until Ctrl-C, with a shop and builds of what happens there, unless `once`.
    """
    try:
        journeys = list(read_journeys(data_file()))
    except FileNotFoundError as missing:
        console.print(f"[red]{escape(str(missing))}[/]")
        return 1
    settings = settings.isolated(settings.home_dir / "demo")
    with sigterm_as_interrupt(), suppress(KeyboardInterrupt), Processes(settings) as servers:
        try:
            log = settings.home_dir / "servers.log"
            key = _empty_home(settings, once)
            servers.serve(log)
            # Before the build, which is the first of the shop's project, too.
            shop_key = None if once else _prepare_shop(settings)
            _fill(settings, key, journeys)
            _show(settings, key, journeys)
            _print_addresses(settings, key)
            if shop_key is not None:
                _open_shop(settings, servers, log, shop_key)
                console.print("Running until Ctrl-C.")
                # Once more: in a build Dagster lets SIGTERM do what SIGINT does, which a script may ignore.
                with sigterm_as_interrupt(), suppress(KeyboardInterrupt):
                    servers.watch()
        except (DemoError, ProcessesError) as wrong:
            console.print(f"[red]{wrong}[/]")
            return 1
        return 0
    return INTERRUPTED


def _empty_home(settings: Settings, once: bool) -> str:
    """Make the demo's home anew and return a key for it. Raises DemoError while a port is taken."""
    for port in (
        *(settings.ingest_port, settings.read_port),
        *(() if once else (settings.dagster_port, settings.demo_shop_port)),
    ):
        with socket.socket() as probe:
            if probe.connect_ex((settings.host, port)) == 0:
                raise DemoError(f"Port {port} is in use, perhaps by another demo: end that one first.")
    shutil.rmtree(settings.home_dir, ignore_errors=True)
    with closing(open_store(settings.landing_store)) as store:
        return create_key(store, PROJECT, ["ingest", "read", "admin"])


def _prepare_shop(settings: Settings) -> str:
    """Make the shop's project and define it; returns a key for people."""
    url = shop.shop_url(settings)
    with closing(open_store(settings.landing_store)) as store:
        key = shop.open_project(store, [url])
    shop.define(settings.ingest_base_url, key, url)
    return key


def _open_shop(settings: Settings, servers: Processes, log: Path, key: str) -> None:
    """Start the shop, and the scheduler, whose builds show what is bought there."""
    with console.status("Starting the shop and the scheduler"):
        servers.start("shop", [sys.executable, "-m", "command_line.demo.shop"], log)
        ready = f"{settings.address(settings.demo_shop_port)}{shop.FIRST_ASKED}"
        servers.wait_until_ready("shop", ready)
        dagster, _ = start_dagster(servers, settings)
        start_forwarding(servers, log)
    console.print(f"\nShop    [bold]{shop.shop_url(settings)}[/]  (click the ad, buy a lamp, be refunded)")
    console.print(f"Key     [bold]{key}[/]  (sign in to its project, {shop.PROJECT})", soft_wrap=True)
    console.print(f"Builds  {dagster}")


def _fill(settings: Settings, key: str, journeys: list[Journey]) -> None:
    events = sorted((e for journey in journeys for e in events_of(journey)), key=lambda e: e["timestamp"])
    project_url = f"{settings.ingest_base_url}/v1/projects/{PROJECT}"
    httpx.put(
        f"{project_url}/goals/purchase", json=PURCHASE_GOAL, headers=_bearer(key), timeout=30
    ).raise_for_status()
    with progress_bar(f"Sending {len(journeys):,} journeys") as on_progress:
        sent = asyncio.run(replay(f"{project_url}/events", key, events, on_progress))
    console.print(
        f"Sent {sent.events:,} events in {sent.seconds:.1f} s, {sent.acknowledged:,} acknowledged (on disk): "
        f"[bold]{sent.acknowledged / sent.seconds:,.0f} events/s[/]",
        soft_wrap=True,
    )
    if sent.acknowledged != sent.events:
        raise DemoError("Not every event was acknowledged.")
    with progress_bar("Building") as on_progress:
        report = run_build(settings, on_progress=on_progress)
    print_build(report)
    if BUILD_INTERRUPTED in report.failures:
        raise KeyboardInterrupt
    if not report.published:
        raise DemoError("The build was not published.")


def _show(settings: Settings, key: str, journeys: list[Journey]) -> None:
    """Print what the read API answers, and compare its totals with the source file's."""
    conversions = sum(journey.value_cents is not None for journey in journeys)
    value_cents = sum(journey.value_cents or 0 for journey in journeys)
    visits = Counter(channel for journey in journeys for channel in journey.channels)
    with httpx.Client(
        base_url=settings.address(settings.read_port), headers=_bearer(key), timeout=60
    ) as client:
        newest = _get(client, f"/v1/projects/{PROJECT}/reports/builds")["builds"][0]
        reports = {
            model: _get(client, f"/v1/projects/{PROJECT}/reports/attribution", model=model)
            for model in newest["facts"]["attribution_models"]
        }
        funnel = _get(
            client, "/v1/funnel", account_id=PROJECT, report_type="Source", date_range="20260501,20260630"
        )
    shown = {model: reports[model] for model in SHOWN}
    console.print(_credit_table(shown, visits, conversions, value_cents))
    console.print(_funnel_table(funnel["data"]))
    for model, report in reports.items():
        total = _totals(report)
        if total != (conversions, value_cents):
            raise DemoError(
                f"{model} credits {total[0]} conversions and {total[1]} cents; "
                f"the source file has {conversions} and {value_cents}."
            )
    clicks = {row["Source"]: row["clicks"] for row in funnel["data"]}
    if clicks != visits:
        raise DemoError("The funnel report's clicks differ from the visits in the source file.")
    console.print(
        f"Every model adds up to the source file's totals: {len(journeys):,} journeys, "
        f"{sum(visits.values()):,} touches, {conversions:,} conversions worth {value_cents / 100:,.2f} USD.",
        soft_wrap=True,
    )


def _totals(report: dict[str, Any]) -> tuple[float, int]:
    totals = report["totals"]
    return sum(t["conversions"] for t in totals), sum(t["net_amount_minor"] for t in totals)


def _credit_table(
    reports: dict[str, dict[str, Any]], visits: Counter[str], conversions: int, value_cents: int
) -> Table:
    table = plain_table("Credited conversions and value by channel and model")
    table.add_column("\nchannel")
    table.add_column("\ntouches", justify="right")
    for model in reports:
        table.add_column(model.replace("_", "\n") if "_" in model else f"\n{model}", justify="right")
        table.add_column("\n     USD", justify="right")
    cells = {model: {row["value"]: row for row in report["rows"]} for model, report in reports.items()}
    for channel, touches in visits.most_common():
        row = [channel, f"{touches:,}"]
        for by_source in cells.values():
            credit = by_source.get(channel, {"conversions": 0, "net_amount_minor": 0})
            row += [f"{credit['conversions']:,.1f}", f"{credit['net_amount_minor'] / 100:,.2f}"]
        table.add_row(*row)
    table.add_section()
    totals = ["total", f"{sum(visits.values()):,}"]
    for report in reports.values():
        credited, cents = _totals(report)
        totals += [f"{credited:,.1f}", f"{cents / 100:,.2f}"]
    table.add_row(*totals, style="bold")
    table.add_row(
        "source file",
        f"{sum(visits.values()):,}",
        *[f"{conversions:,.1f}", f"{value_cents / 100:,.2f}"] * len(reports),
        style="dim",
    )
    return table


def _funnel_table(rows: list[dict[str, Any]]) -> Table:
    table = plain_table("GET /v1/funnel: the same by last touch, in the vendor's shape")
    for name in rows[0] if rows else ():
        table.add_column(name.replace("-", "-\n"), justify="left" if name == "Source" else "right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in row.values()))
    return table


def _print_addresses(settings: Settings, key: str) -> None:
    read = settings.address(settings.read_port)
    console.print(f"\nPages   [bold]{read}/app[/]  (sign in with the key)")
    console.print(f"Ingest  {settings.ingest_base_url}/v1/projects/{PROJECT}/events")
    console.print(f"Read    {read}/v1/projects/{PROJECT}/reports/attribution?model=linear")
    console.print(f"Key     [bold]{key}[/]")
    console.print(
        f"Try     curl -H 'x-api-key: {key}' '{read}/v1/projects/{PROJECT}/marts/rpt_sources?limit=2'",
        soft_wrap=True,
    )


def _get(client: httpx.Client, path: str, **query: str) -> Any:
    answer = client.get(path, params=query)
    answer.raise_for_status()
    return answer.json()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
