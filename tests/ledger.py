"""A client that keeps a ledger: what it sent, what was acknowledged, and of what it does not know.

Its traffic is a mix of dialects, single reports and arrays, over several connections, with items that must
be refused. `violations` compares the ledger with what was stored.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

import httpx

TOKEN = re.compile(r"tok-\d+")
"""Each report has its own token in its payload; where the dialect has an event id, it is the token."""


@dataclass
class Report:
    """One report as it stands in a body. What is not good must be refused."""

    payload: str
    is_good: bool = True
    times_sent: int = 0
    is_acknowledged: bool = False
    is_unknown: bool = False


@dataclass
class Request:
    """What is sent at once. With event ids it may be repeated when the answer was lost."""

    method: str
    path: str
    body: str
    tokens: list[str]
    has_event_ids: bool
    is_refused: bool = False


@dataclass
class Ledger:
    """What a client knows, by token."""

    reports: dict[str, Report] = field(default_factory=dict)
    answers: Counter[int | str] = field(default_factory=Counter)

    def acknowledged(self) -> set[str]:
        """Tokens that were acknowledged."""
        return {token for token, report in self.reports.items() if report.is_acknowledged}


class Traffic:
    """Makes requests to one project, whose postbacks are open."""

    def __init__(self, ledger: Ledger, rng: random.Random, project: str) -> None:
        self._ledger = ledger
        self._rng = rng
        self._project = project
        self._numbers = count(1)

    def request(self) -> Request:
        """The next request."""
        kinds = [self._one, self._array, self._segment, self._pagent, self._superfunnel, self._postback]
        return self._rng.choices(kinds, weights=(6, 4, 3, 2, 2, 2))[0]()

    def _report(self, text: str, is_good: bool = True) -> tuple[str, str]:
        token = f"tok-{next(self._numbers)}"
        # Blanks, escapes and letters that a parser would write differently.
        payload = text.replace("TOKEN", token).replace("ODD", self._rng.choice(("ü\\u00fc", "a\\/b", "€  ")))
        self._ledger.reports[token] = Report(payload, is_good)
        return token, payload

    def _event(self, is_good: bool = True) -> tuple[str, str]:
        kind = (
            '"event_type": "conversion", "event_name":"sale", "revenue": 1.50'
            if is_good
            else '"event_type": 7'
        )
        filling = "x" * self._rng.choice((0, 10, 500))
        return self._report(
            f'{{ {kind},  "event_id": "TOKEN", "user_id": "ODD", "properties": {{"n": "{filling}"}} }}',
            is_good,
        )

    def _one(self) -> Request:
        token, payload = self._event()
        return Request("POST", f"/v1/projects/{self._project}/events", payload, [token], True)

    def _array(self) -> Request:
        # The largest are parsed in a thread of their own.
        size = self._rng.choice((1, 2, 5, 20, 20, 400))
        events = [self._event()] + [self._event(self._rng.random() > 0.1) for _ in range(size - 1)]
        body = f"[{' , '.join(payload for _, payload in events)}]"
        path = f"/v1/projects/{self._project}/events"
        return Request("POST", path, body, [token for token, _ in events], True)

    def _segment(self) -> Request:
        calls = [
            self._report('{"type":"track","event":"sale", "userId":"ODD","messageId":"TOKEN"}')
            if self._rng.random() > 0.1
            else self._report('{"type":"unheard of", "userId":"u", "messageId":"TOKEN"}', False)
            for _ in range(self._rng.choice((1, 3, 30)))
        ]
        items = ",\n".join(payload for _, payload in calls)
        body = f'{{"batch": [{items}]}}'
        return Request("POST", "/v1/batch", body, [token for token, _ in calls], True)

    def _pagent(self) -> Request:
        is_refused = self._rng.random() < 0.1
        events = [
            self._report('{"session_id":"TOKEN",  "user_id": "ODD", "conversion_id":"goal"}', not is_refused)
            for _ in range(self._rng.choice((1, 10)))
        ]
        payloads = [payload for _, payload in events] + ['{"session_id": ""}'] * is_refused
        body = f'{{"events":[{", ".join(payloads)}]}}'
        return Request("POST", "/v1/conversions", body, [token for token, _ in events], False, is_refused)

    def _superfunnel(self) -> Request:
        token, payload = self._report('{"sessionId": "TOKEN" , "event": "ODD", "conversion": {"value": 2.0}}')
        return Request("POST", "/v1/analytics/report-conversion", payload, [token], False)

    def _postback(self) -> Request:
        token, query = self._report("hit=TOKEN&rev=1.20&tx=%7e")
        return Request("GET", f"/pb/{self._project}?{query}", "", [token], False)


async def send_until(
    stopped: asyncio.Event,
    ledger: Ledger,
    rng: random.Random,
    traffic: Traffic,
    pick_url: Callable[[], str],
    headers: dict[str, str],
) -> None:
    """One sender with connections of its own, until `stopped`; what is unknown is often repeated."""
    repeated: list[Request] = []
    async with httpx.AsyncClient(headers=headers, timeout=20) as client:
        while not stopped.is_set():
            request = repeated.pop() if repeated and rng.random() < 0.5 else traffic.request()
            is_known = await send(client, pick_url(), ledger, request)
            if not is_known and request.has_event_ids and rng.random() < 0.8:
                repeated.append(request)


async def send(client: httpx.AsyncClient, url: str, ledger: Ledger, request: Request) -> bool:
    """Send a request and write down what is known of it now; False when it may or may not be stored."""
    reports = [ledger.reports[token] for token in request.tokens]
    for report in reports:
        report.times_sent += 1
    try:
        answer = await client.request(request.method, url + request.path, content=request.body.encode())
    except (httpx.ConnectError, httpx.ConnectTimeout):
        # It was never sent.
        ledger.answers["refused connection"] += 1
        for report in reports:
            report.times_sent -= 1
        await asyncio.sleep(0.01)
        return True
    except httpx.TransportError:
        ledger.answers["lost answer"] += 1
        status = 503
    else:
        status = answer.status_code
        ledger.answers[status] += 1
        expected = (400, 503) if request.is_refused else (200, 202, 503)
        assert status in expected, (request.path, answer.text)
    for report in reports:
        if status in (200, 202):
            report.is_acknowledged |= report.is_good
        elif status == 503:
            report.is_unknown |= report.is_good
    if status == 503:
        await asyncio.sleep(0.01)
    return status != 503


def violations(ledger: Ledger, stored: Iterable[tuple[str, str]]) -> list[str]:
    """What a ledger and the stored rows, `(event_id, payload)`, have against each other; empty when nothing.

    Acknowledged is stored; stored was acknowledged or is unknown, at most as often as it was sent, and is
    byte for byte what was sent.
    """
    found: list[str] = []
    times: Counter[str] = Counter()
    for event_id, payload in stored:
        match = TOKEN.search(payload)
        report = ledger.reports.get(match[0]) if match else None
        if match is None or report is None:
            found.append(f"never sent: {payload}")
            continue
        times[match[0]] += 1
        if payload != report.payload:
            found.append(f"sent as {report.payload}, stored as {payload}")
        if '"event_id"' in payload and event_id != match[0]:
            found.append(f"event id {event_id} of {payload}")
        if not (report.is_acknowledged or report.is_unknown):
            found.append(f"stored, and neither acknowledged nor unknown: {match[0]}")
    found += [f"stored {n} times: {t}" for t, n in times.items() if n > ledger.reports[t].times_sent]
    found += [f"lost: {token}" for token in sorted(ledger.acknowledged() - times.keys())]
    return found


def gaps(seqs: Sequence[int]) -> list[str]:
    """Whether `seq` counts from 1 without a gap or a repetition."""
    return [] if sorted(seqs) == list(range(1, len(seqs) + 1)) else ["seq has gaps or repetitions"]
