"""`funnelhouse forward`: tell destinations what the published marts say."""

import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from funnelhouse.settings import Settings

if TYPE_CHECKING:
    from forwarding.service import Ended


@click.command()
@click.option("--once", is_flag=True, help="Plan, send what is due, and end.")
def forward(once: bool) -> None:
    """Tell destinations (ad platforms, traffic sources, webhooks) what was published; part of `up`.

    Several may run: one forwards, the others wait until it ends. With --once the exit code is 0 when all that
    was due arrived, and 1 when something failed, or a destination is paused or held.
    """
    import duckdb

    from forwarding.service import ForwardError, forward_once
    from forwarding.service import forward as run
    from record.landing.store import LandingError

    logging.basicConfig(format="%(asctime)s forward %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("funnelhouse.forward").setLevel(logging.INFO)
    settings = Settings()
    try:
        if not once:
            run(settings)
            return
        ended = forward_once(settings)
    except (ForwardError, LandingError) as refused:
        raise click.ClickException(str(refused)) from None
    except duckdb.Error as error:
        raise click.ClickException(f"The publication cannot be read: {str(error).splitlines()[0]}") from None
    if ended is None:
        click.echo("No destination is defined.")
        return
    for line in _summary(ended):
        click.echo(line)
    sys.exit(0 if ended.is_well else 1)


def _summary(ended: "Ended") -> list[str]:
    """What was sent in this round, and what is in the outbox by now; a line for each destination."""
    lines = []
    for key in sorted(ended.counts.keys() | ended.states.keys()):
        sent = ended.counts.get(key, Counter())
        now = (
            ", ".join(f"{count:,} {state}" for state, count in sorted(sent.items()) if count) or "nothing due"
        )
        said = f"{'/'.join(key)}: {now}"
        if there := ended.states.get(key):
            said += "; in all " + ", ".join(f"{count:,} {state}" for state, count in sorted(there.items()))
        if key in ended.stopped:
            said += f" ({ended.stopped[key]})"
        lines.append(said)
    return lines
