"""A real shop's year of invoices through the whole house: sales, cancellations, and the totals, to the penny.

Run it with `python -m benchmarks.invoices PATH`; PATH is a gzipped CSV with the columns `invoice_no`, `ts`,
`customer_id`, `country`, `amount` (GBP). Invoices whose number begins with C are cancellations: they name no
sale, so they are refunds of their own. All are sent over HTTP, in an order that a seed shuffles, into a home
made for it, and built; then the published marts must say what the file says, whatever the order of arrival.
"""

import argparse
import asyncio
import csv
import gzip
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from command_line.demo.replay import in_arrays, replay
from command_line.processes import Processes
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from orchestration.build import run_build
from record.landing import open_store

PROJECT = "shop"
SEEDS = (1, 2)


@dataclass(frozen=True)
class Totals:
    """Money in pence."""

    gross: int
    refunds: int

    def __str__(self) -> str:
        net = self.gross - self.refunds
        return f"gross {self.gross / 100:,.2f}, refunds {self.refunds / 100:,.2f}, net {net / 100:,.2f} GBP"


def read_invoices(path: Path) -> list[dict[str, str]]:
    """Rows of the file that name a customer."""
    with gzip.open(path, "rt", newline="") as file:
        return [row for row in csv.DictReader(file) if row["customer_id"]]


def totals_of(invoices: Sequence[dict[str, str]]) -> Totals:
    """What the file says. Raises ValueError where an amount is no whole number of pence."""
    gross = refunds = 0
    for invoice in invoices:
        pence = Decimal(invoice["amount"]) * 100
        if pence != int(pence):
            raise ValueError(f"invoice {invoice['invoice_no']} has parts of a penny")
        if invoice["invoice_no"].startswith("C"):
            refunds -= int(pence)
        else:
            gross += int(pence)
    return Totals(gross, refunds)


def event_of(invoice: dict[str, str]) -> dict[str, Any]:
    """OpenAnalytics event of an invoice: a conversion, of a cancellation a refund."""
    is_refund = invoice["invoice_no"].startswith("C")
    moment = datetime.fromisoformat(invoice["ts"]).replace(tzinfo=UTC)
    return {
        "event_type": "refund" if is_refund else "conversion",
        "event_name": "invoice",
        "event_id": invoice["invoice_no"],
        "transaction_id": invoice["invoice_no"],
        "user_id": invoice["customer_id"],
        "revenue": abs(float(invoice["amount"])),
        "currency": "GBP",
        "timestamp": int(moment.timestamp() * 1000),
    }


def built(home: Path, events: Sequence[dict[str, Any]]) -> tuple[Totals, list[tuple[Any, ...]], str]:
    """Send the events into a new home and build: totals of the marts, the conversions, a line on times."""
    ingest_port, read_port = two_free_ports()
    settings = Settings(ingest_port=ingest_port, read_port=read_port).isolated(home)
    with closing(open_store(settings.landing_store)) as store:
        key = create_key(store, PROJECT, ["ingest"])
    requests = list(in_arrays(f"/v1/projects/{PROJECT}/events", events))
    with Processes(settings) as servers:
        servers.serve(log=home / "servers.log")
        sent = asyncio.run(replay(settings.ingest_base_url, key, requests, lambda *_: None))
        started = time.monotonic()
        report = run_build(settings)
        seconds = time.monotonic() - started
    if sent.acknowledged != len(events) or not report.published:
        raise SystemExit(f"sent {sent.acknowledged} of {len(events)}; build failed: {report.failures}")
    marts = str((settings.published_dir / "current").resolve() / "marts.duckdb")
    with duckdb.connect(marts, read_only=True) as published:
        totals = published.execute(
            """
            select
                (select sum(net_amount_minor) from fct_conversions),
                (select -sum(amount_minor) from fct_conversion_ledger where conversion_id is null),
                (select sum(amount_minor) from fct_conversion_ledger)
            """
        ).fetchall()[0]
        conversions = published.execute("select * from fct_conversions order by conversion_id").fetchall()
    if totals[2] != totals[0] - totals[1]:
        raise SystemExit("the ledger does not sum to conversions less unmatched refunds")
    steps = ", ".join(f"{step} {took:.1f}" for step, took in report.seconds.items())
    line = f"sent {sent.events:,} in {sent.seconds:.1f} s; build {seconds:.1f} s ({steps})"
    return Totals(totals[0], totals[1]), conversions, line


def two_free_ports() -> tuple[int, int]:
    """Ports of this machine that nothing listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def main() -> int:
    """Print what the file says and what each build came to; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="gzipped CSV of invoices")
    invoices = read_invoices(parser.parse_args().path)
    expected = totals_of(invoices)
    print(f"the file: {len(invoices):,} invoices, {expected}")
    differs = False
    tables = []
    for seed in SEEDS:
        events = [event_of(invoice) for invoice in invoices]
        random.Random(seed).shuffle(events)
        with tempfile.TemporaryDirectory() as folder:
            totals, conversions, line = built(Path(folder) / "home", events)
        tables.append(conversions)
        differs |= totals != expected
        print(f"order {seed}: {totals}; {line}", flush=True)
    differs |= any(table != tables[0] for table in tables)
    print("DIFFERENT" if differs else "equal, to the penny and in every conversion, in any order")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
