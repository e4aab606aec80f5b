"""What the dashboard knows of an order by now, and when the next build will tell more."""

import time
from urllib.parse import quote

import httpx

from command_line.demo.shop.definitions import PROJECT, dollars
from command_line.demo.shop.orders import Order
from funnelhouse.last_build import read_last_build
from funnelhouse.settings import Settings
from orchestration.pace import LOOK_EVERY_S, shortest_interval_s


class Figures:
    """Asks the read API, as anybody with a key may. Safe to use from several threads."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._read_url = settings.address(settings.read_port)
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections to the read API."""
        self._client.close()

    def explanation_url(self, order: Order) -> str:
        """The dashboard's page on the order's conversion."""
        return f"{self._read_url}/app/projects/{PROJECT}/conversions/{quote(order.conversion_id)}"

    def of(self, order: Order) -> tuple[bool, str]:
        """Whether the order is shown as it is now, and a sentence that says so or how long it takes."""
        try:
            answer = self._client.get(
                f"{self._read_url}/v1/projects/{PROJECT}/reports/conversions/{quote(order.conversion_id)}"
            )
        except httpx.TransportError:
            return False, "The read API does not answer."
        if answer.status_code == 200:
            conversion = answer.json()["conversion"]
            net_cents = conversion["net_amount_minor"]
            if net_cents == (0 if order.is_refunded else order.lamp.price_cents):
                reports = f"{conversion['reports']} report{'' if conversion['reports'] == 1 else 's'}"
                return True, f"It is in the dashboard: {reports}, net revenue {dollars(net_cents)}."
        return False, self._next_build()

    def _next_build(self) -> str:
        """When the scheduler's next build will be there, as far as the last one tells."""
        last = read_last_build(self._settings.last_build_path)
        if last is None:
            return "The next build shows it."
        took = _rounded(last.seconds)
        wait_s = last.started_us / 1_000_000 + shortest_interval_s(last.seconds) - time.time()
        if wait_s <= 0:
            return f"A build begins or runs, for about {took}. It shows what was reported before it began."
        begins = _rounded(wait_s + LOOK_EVERY_S)
        return f"The next build shows it. It begins in about {begins} and takes about {took}."


def _rounded(seconds: float) -> str:
    tens = max(1, round(seconds / 10))
    return f"{tens * 10} seconds" if tens < 12 else f"{round(tens / 6)} minutes"
