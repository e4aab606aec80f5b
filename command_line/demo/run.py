"""`funnelhouse demo`: its data in over HTTP, a build, and the credit that comes out; then a shop to visit."""

import asyncio
import shutil
import socket
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.markup import escape
from rich.table import Table

from command_line.console import console, plain_table, print_build, progress_bar
from command_line.demo.data import Data, DataName, read_data
from command_line.demo.past.reports import Totals
from command_line.demo.past.shop_world import PROJECT
from command_line.demo.replay import Request, replay
from command_line.demo.shop import definitions as shop
from command_line.processes import (
    Processes,
    ProcessesError,
    sigterm_as_interrupt,
    start_dagster,
    start_forwarding,
)
from funnelhouse.access import OFF, set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.outcome import INTERRUPTED as BUILD_INTERRUPTED
from record.landing import open_store

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended before it was done."""

SHOWN = ("last_touch", "first_touch", "linear")
"""Models that the table has room for; all of them are compared with what was sent."""


class DemoError(Exception):
    """The demo's totals differ from those of what was sent."""


def run_demo(settings: Settings, once: bool, data_name: DataName = "shop") -> int:
    """Run the demo in `<home>/demo`, made anew; returns the exit code: 0 when all totals are right.

    Leaves the servers running until Ctrl-C, with a shop and builds of what happens there, unless `once`.
    """
    try:
        data = read_data(data_name, datetime.now(UTC))
    except FileNotFoundError as missing:
        console.print(f"[red]{escape(str(missing))}[/]")
        return 1
    settings = settings.isolated(settings.home_dir / "demo")
    with sigterm_as_interrupt(), suppress(KeyboardInterrupt), Processes(settings) as servers:
        try:
            log = settings.home_dir / "servers.log"
            key = _empty_home(settings, once)
            if data.is_past:
                _send_past(settings, log, key, data)
            servers.serve(log)
            # Before the build, which is the first of the shop's project, too.
            shop_key = None if once else _prepare_shop(settings)
            if not data.is_past:
                _send(settings, key, data.requests(""))
            _build(settings)
            _show(settings, key, data)
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


def _send_past(settings: Settings, log: Path, key: str, data: Data) -> None:
    """Send what arrived on days that are over to a server that can be told so, and end that server."""
    with closing(open_store(settings.landing_store)) as store:
        postbacks = set_access(store, PROJECT, postbacks="secret") or ""
    unlimited = settings.model_copy(update={"postback_rate_limit": OFF, "link_rate_limit": OFF})
    with Processes(unlimited) as past:
        past.start("ingest of the past", [sys.executable, "-m", "command_line.demo.backdated"], log)
        past.wait_until_ready("ingest", f"{settings.address(settings.ingest_port)}/ingest/ready")
        _send(settings, key, data.requests(postbacks))


def _send(settings: Settings, key: str, requests: Sequence[Request]) -> None:
    with progress_bar("Sending") as on_progress:
        sent = asyncio.run(replay(settings.ingest_base_url, key, requests, on_progress))
    console.print(
        f"Sent {sent.events:,} events in {sent.seconds:.1f} s, {sent.acknowledged:,} acknowledged (on disk): "
        f"[bold]{sent.acknowledged / sent.seconds:,.0f} events/s[/]",
        soft_wrap=True,
    )
    if sent.acknowledged != sent.events:
        raise DemoError("Not every event was acknowledged.")


def _build(settings: Settings) -> None:
    with progress_bar("Building") as on_progress:
        report = run_build(settings, on_progress=on_progress)
    print_build(report)
    if BUILD_INTERRUPTED in report.failures:
        raise KeyboardInterrupt
    if not report.published:
        raise DemoError("The build was not published.")


def _show(settings: Settings, key: str, data: Data) -> None:
    """Print what the read API answers, and compare its totals with what was sent."""
    with httpx.Client(
        base_url=settings.address(settings.read_port), headers=_bearer(key), timeout=60
    ) as client:
        newest = _get(client, f"/v1/projects/{PROJECT}/reports/builds")["builds"][0]
        reports = {
            model: _get(client, f"/v1/projects/{PROJECT}/reports/attribution", model=model)
            for model in newest["facts"]["attribution_models"]
        }
        funnel = _get(
            client, "/v1/funnel", account_id=PROJECT, report_type="Source", date_range=data.date_range
        )
    console.print(_credit_table({model: reports[model] for model in SHOWN}, data))
    console.print(_funnel_table(funnel["data"]))
    for model, report in reports.items():
        found = {
            total["currency"]: Totals(total["conversions"], total["net_amount_minor"])
            for total in report["totals"]
        }
        if found != data.totals:
            raise DemoError(f"{model} credits {found}; {data.origin} has {data.totals}.")
    clicks = {row["Source"]: row["clicks"] for row in funnel["data"]}
    if data.touches is not None and clicks != data.touches:
        raise DemoError(f"The funnel report's clicks differ from the visits in {data.origin}.")
    console.print(data.adds_up, soft_wrap=True)


def _credit_table(reports: dict[str, dict[str, Any]], data: Data) -> Table:
    """Of the main currency: amounts of others would need a table each."""
    touches = data.touches
    table = plain_table(
        f"Credited conversions and value by {'channel' if touches else 'source'} and model"
        + ("" if len(data.totals) == 1 else f", in {data.currency}")
    )
    table.add_column("\nchannel" if touches else "\nsource")
    if touches:
        table.add_column("\ntouches", justify="right")
    for model in reports:
        table.add_column(model.replace("_", "\n") if "_" in model else f"\n{model}", justify="right")
        table.add_column(f"\n     {data.currency}", justify="right")

    def line(name: str, cells: list[tuple[float, int]], style: str = "", visits: int = 0) -> None:
        figures = [figure for credit in cells for figure in (f"{credit[0]:,.1f}", f"{credit[1] / 100:,.2f}")]
        table.add_row(name, *([f"{visits:,}"] if touches else []), *figures, style=style)

    def credit(of: dict[str, Any]) -> tuple[float, int]:
        return of["conversions"], of["net_amount_minor"]

    by_model = [
        {
            row["value"] or "(unattributed)": credit(row)
            for row in report["rows"]
            if row["currency"] == data.currency
        }
        for report in reports.values()
    ]
    for value in [value for value, _ in touches.most_common()] if touches else by_model[0]:
        line(value, [rows.get(value, (0, 0)) for rows in by_model], visits=touches[value] if touches else 0)
    table.add_section()
    found = [
        credit(total)
        for report in reports.values()
        for total in report["totals"]
        if total["currency"] == data.currency
    ]
    visits = touches.total() if touches else 0
    line("total", found, "bold", visits)
    sent = data.totals[data.currency]
    line(data.origin.removeprefix("the "), [(sent.conversions, sent.net_cents)] * len(reports), "dim", visits)
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
