"""Rate limits: of projects, where one is set, of their page keys, of addresses that have no key.

Counted are requests, whatever a batch holds, dry runs too, per process and in memory only. The answer to one
that was counted says so: `RateLimit-Policy: "project";q=1000;w=60` and `RateLimit: "project";r=999;t=60`,
as in https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (revision 11).
"""

import math
import time
from functools import cache

import limits
from fastapi import Request
from limits.strategies import FixedWindowRateLimiter

from funnelhouse.access import OFF
from funnelhouse.counters import Counters
from funnelhouse.problems import Refusal

TOO_MANY = "More than {limit} of {whose}; try again in {seconds} s."

RATE_LIMIT_FIELDS = "funnelhouse.rate_limit"
"""Key of the scope: items of the answer's RateLimit-Policy and RateLimit, two lists of text."""

_WHOSE = {"address": "this address", "project": "this project", "page": "this project's page keys"}
"""What a policy counts requests of, by its name."""

_item = cache(limits.parse)


class RateLimits:
    """The running app's, in `app.state.rate_limits`."""

    def __init__(self, postbacks: str, pages: str, tracker: str, clicks: str) -> None:
        self._per_address = postbacks
        self._per_pages = pages
        self._batches_per_address = tracker
        self._clicks_per_address = clicks
        # Apart, so that no flood of addresses makes a project's counter go.
        self._addresses = FixedWindowRateLimiter(Counters())
        self._visitors = FixedWindowRateLimiter(Counters())
        self._projects = FixedWindowRateLimiter(Counters())
        self._pages = FixedWindowRateLimiter(Counters())
        self._clicks = FixedWindowRateLimiter(Counters())

    def count_address(self, request: Request, address: str) -> None:
        """Count a postback of a client address. Raises Refusal 429."""
        if self._per_address != OFF:
            _count(request, self._addresses, "address", self._per_address, address)

    def count_batch(self, request: Request, address: str) -> None:
        """Count a batch of the tracker, of a client address. Raises Refusal 429."""
        if self._batches_per_address != OFF:
            _count(request, self._visitors, "address", self._batches_per_address, address)

    def takes_click(self, address: str) -> bool:
        """Count a click of a client address; whether it is one that is recorded."""
        return self._clicks_per_address == OFF or self._clicks.hit(_item(self._clicks_per_address), address)

    def count_page(self, request: Request, project_id: str) -> None:
        """Count a request of a project's page keys, apart from its other keys. Raises Refusal 429."""
        if self._per_pages != OFF:
            _count(request, self._pages, "page", self._per_pages, project_id)

    def count_project(self, request: Request, project_id: str, limit: str) -> None:
        """Count a request of a project. Raises Refusal 429."""
        _count(request, self._projects, "project", limit, project_id)


def _count(request: Request, limiter: FixedWindowRateLimiter, policy: str, limit: str, whose: str) -> None:
    item = _item(limit)
    is_within = limiter.hit(item, whose)
    window = limiter.get_window_stats(item, whose)
    seconds = max(1, math.ceil(window.reset_time - time.time()))
    policies, states = request.scope.setdefault(RATE_LIMIT_FIELDS, ([], []))
    policies.append(f'"{policy}";q={item.amount};w={item.get_expiry()}')
    states.append(f'"{policy}";r={window.remaining};t={seconds}')
    if not is_within:
        raise Refusal(
            429,
            TOO_MANY.format(limit=limit, whose=_WHOSE[policy], seconds=seconds),
            headers={"Retry-After": str(seconds)},
        )
