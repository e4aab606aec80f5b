"""Random histories of small houses, cut into batches as they might arrive: all that can come late, twice,
out of order, contradict itself, or join and part people and visits that were built already.

Each project is a history of its own; all share their ids. A project's world is small, so that its reports
meet, and has several people, so that a batch leaves some of them alone.
"""

import hashlib
import json
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

from histories_definitions import DEFINED, MAKES_A_BUILD_FULL, stored

from ingest_api.definitions.project_settings import ProjectSettings
from record.contract import Cost, Definition, DefinitionKind, Event, RawRow

Batch = dict[str, list[RawRow]]
"""Rows by raw table, in the order in which they arrive."""

MINUTE_US = 60_000_000
DAY_US = 1440 * MINUTE_US
FIRST_BATCH_US = 1_776_000_000_000_000  # 2026-04-12T13:20Z
BETWEEN_BATCHES_US = 3 * DAY_US
AT_ARRIVAL = 0
"""The time of a report without one: when it arrives."""

# Before a batch arrives: so near that sessions, runs and windows of several batches meet at their ends.
_AGES_MINUTES = (5, 35, 65, 240, 1440, 3 * 1440, 4 * 1440, 5 * 1440, 14 * 1440, 30 * 1440, 38 * 1440)
_STEPS_MINUTES = (0, 5, 20, 30, 31, 60)
_URLS = (
    "https://shop.example/",
    "https://shop.example/offer",
    "https://shop.example/offer?utm_source=news&utm_campaign=spring",
    "https://shop.example/o%66fer/?gclid=c1",
    "https://shop.example/other?fbclid=c2&utm_source=mail&utm_medium=email",
    "https://shop.example/other?msclkid=c3",
    "https://shop.example/thanks?utm_source=partner&utm_medium=cpc",
    "https://shop.example/offer?utm_source=news&cid=n1&nid=n2#top",
)
_REFERRERS = (
    *(None, None, "https://www.google.com/", "https://shop.example/other", "https://blog.example/x"),
    *(
        "https://pay.shop.example/",
        "https://www.paypal.com/",
        "https://l.instagram.com/",
        "android-app://example.app/",
    ),
)
_CAMPAIGNS = ((None, None, None), (None, None, None), ("news", "email", "Spring"), ("google", "cpc", None))
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_BOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"
_CLICKS = (("gclid", "c1"), ("fbclid", "c2"), ("msclkid", "c3"), ("gclid", "never"), ("external", "n1"))
_SAID_OF_PEOPLE = (
    *({"consent": "granted"}, {"consent": "denied"}, {"email": "Ada@x.example"}, {"email": "null"}),
    *({"phone": "+34 600 123 123", "first_name": "Ada"}, {"phone": "600123123", "country": "ES"}),
    *({"fbp": "fb.1.1.1", "num_items": 2, "plan": "gold"}, {"plan": "a" * 70, "zip": "N1"}),
)
_WORDS = (None, None, None, "pending", "hold", "paid", "rejected", "refunded", "chargeback", "odd")
_AMOUNTS = (None, "0", "5", "19.99", "30.01")
_PARTS = (
    *("/", ":", "%", "%3A", "%25", "a", "b", "p1/", "view:", "event:", "session:", "click:gclid:"),
    *("linear:", "visitor:", "openanalytics:event:", "lead:", "refund:", "order:"),
)
_CURRENCIES = (None, "USD", "USD", "EUR", "JPY", "BGN")


def batches(seed: int, projects: int, number: int) -> list[Batch]:
    """Rows of a house of so many projects in so many batches; the same for the same arguments."""
    house = Random(seed)
    changes = [frozenset(DEFINED) | {"settings"}] + [_changed(house) for _ in range(1, number)]
    # What makes a build a full one shows nothing of the others: once per house at most.
    if number > 1 and house.random() < 0.25:
        changes[house.randrange(1, number)] |= {"settings"}
    arriving: list[list[tuple[str, RawRow]]] = [[] for _ in range(number)]
    for project in range(projects):
        _World(Random(f"{seed}/{project}"), f"p{project}", number).arrive(arriving, changes)
    built: list[Batch] = []
    for place, rows in enumerate(arriving):
        house.shuffle(rows)
        built.append({"events": [], "definitions": [], "costs": []})
        for position, (table, row) in enumerate(rows):
            received_us = _arrival_us(place) + position * 1_000_000
            row = replace(row, received_us=received_us)
            if isinstance(row, Event) and row.occurred_us == AT_ARRIVAL:
                row = replace(row, occurred_us=received_us)
            built[-1][table].append(row)
    return built


def _arrival_us(batch: int) -> int:
    return FIRST_BATCH_US + batch * BETWEEN_BATCHES_US


def _changed(house: Random) -> frozenset[str]:
    """Kinds of definitions that a later batch may hold."""
    return house.choice(
        [
            frozenset(),
            frozenset(),
            frozenset({"goal", "page"}),
            frozenset({"goal", "page"}),
            frozenset(DEFINED),
        ]
    )


class _World:
    """One project: what its senders say, event by event, and when it arrives."""

    def __init__(self, random: Random, project: str, number: int) -> None:
        self._random = random
        self._project = project
        self._number = number
        self._events: list[tuple[int, Event]] = []  # with the batch that is meant
        self._event_ids = count(1)
        self._visitors = [f"v{n}" for n in range(random.choice([2, 5, 9]))]
        self._users = ["ada", "bob", "cy", "dee", "eve", "flo"][: random.choice([2, 4, 6])]
        self._sessions = ["s1", "s2"]
        self._hits = [f"h{n}" for n in range(random.choice([3, 8]))]
        self._orders = [f"o{n}" for n in range(random.choice([2, 5]))]
        self._goals = ["lead", "signup"]
        self._spells = random.random() < 0.3
        if self._spells:
            pools = (self._visitors, self._users, self._sessions, self._hits, self._orders, self._goals)
            for pool in pools:
                pool[:] = [self._spelt() for _ in pool]
        self._standing: dict[tuple[str, str], dict[str, Any]] = {}  # what of them makes a build full
        # What happens at other times than these is far from everything else.
        self._times = [self._time() for _ in range(random.choice([2, 4, 8]))]
        # In the others it is silent, as most of a house is in most batches.
        self._speaks = [place for place in range(number) if random.random() < (0.9 if place == 0 else 0.6)]
        self._speaks = self._speaks or [random.randrange(number)]

    def arrive(self, arriving: list[list[tuple[str, RawRow]]], changes: list[frozenset[str]]) -> None:
        """Add the project's rows to the batches."""
        acts = [self._visit] * 6 + [self._order] * 3 + [self._postback] * 2 + [self._login] * 3
        acts += [self._report_of_a_click, self._alias, self._goal_report, self._shared_email]
        acts += [self._refund] * 2 + [self._event] + [self._order_event] * 2 + [self._click] * 2
        for _ in range(self._random.randint(8, 40)):
            self._random.choice(acts)()
        if self._random.random() < 0.15:
            self._kiosk()
        for batch, event in [*self._events]:
            if self._random.random() < 0.08:
                self._events.append((self._later(batch), self._repeated(event)))
            if self._random.random() < 0.03:
                self._events.append((self._later(batch), self._by_another_sender(event)))
        for batch, event in self._events:
            arriving[self._spoken(batch)].append(("events", event))
        for place in self._speaks:
            arriving[place] += self._definitions(place, changes[place])
            if self._random.random() < (0.6 if place == 0 else 0.2):
                arriving[place] += [("costs", self._cost()) for _ in range(self._random.randint(1, 3))]

    # What happens.

    def _visit(self) -> None:
        """Page views of a visitor in a row, near the edges of sessions; some join others, or come before."""
        batch, at = self._moment()
        visitor = self._of(None, None, *self._visitors, *self._visitors)
        session = self._of(None, None, None, *self._sessions)
        # Of some nothing but the user is known.
        user = self._of(*[None] * (6 if visitor else 1), *self._users)
        earlier = [(n, e) for n, e in self._events if e.kind == "visit" and (e.visitor_id or e.user_id)]
        if earlier and self._random.random() < 0.4:
            known_batch, known = self._of(*earlier)
            batch, visitor = self._later(known_batch), known.visitor_id
            user = self._of(None, known.user_id) if visitor else known.user_id
            session = self._of(None, session, known.session_id)
            at = known.occurred_us + self._of(-40, -31, -30, -10, -5, 5, 29, 30, 31) * MINUTE_US
        for _ in range(self._random.randint(1, 4)):
            source, medium, campaign = self._of(*_CAMPAIGNS)
            columns: dict[str, Any] = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign}
            if self._random.random() < 0.8:
                columns |= {
                    "session_id": session,
                    "hit_id": self._of(None, *self._hits),
                    "page_id": self._of(None, None, "o1", "l1"),
                    "page_kind": self._of(None, "offer", "offer", "lander", "page"),
                    "country": self._of(None, "es", "FR"),
                    "experiments": self._of(None, None, '{"button":"a"}', '{"button":"b","price":"x"}'),
                }
                if self._random.random() < 0.2:
                    # Where a goal on pages counts as a conversion, an order.
                    columns |= {"transaction_id": self._of(None, *self._orders), **self._money()}
            else:
                columns["dialect"] = "segment"
            self._says(
                batch,
                at,
                "visit",
                sender=self._of("browser", "browser", "browser", "server"),
                visitor_id=visitor,
                user_id=user,
                url=self._of(*_URLS),
                referrer=self._of(*_REFERRERS),
                user_agent=self._of(*[None] * 15, _BOT),
                **columns,
            )
            at += self._of(*_STEPS_MINUTES) * MINUTE_US

    def _event(self) -> None:
        batch, at = self._moment()
        self._says(
            batch,
            at,
            "event",
            dialect=self._of("openanalytics", "segment"),
            sender=self._of("browser", "server"),
            name=self._of("signup", "add-to-cart"),
            visitor_id=self._of(None, *self._visitors),
            user_id=self._of(None, None, *self._users),
            transaction_id=self._of(None, None, *self._orders),
            properties=self._of(None, '{"plan":"pro"}'),
        )

    def _login(self) -> None:
        batch, at = self._moment()
        self._says(
            batch,
            at,
            "identify",
            dialect=self._of("openanalytics", "segment"),
            visitor_id=self._of(None, *self._visitors, *self._visitors),
            user_id=self._of(*self._users),
            properties=self._of(None, None, _email("1"), _email("2")),
        )

    def _alias(self) -> None:
        user, previous = self._of(*self._users), self._of(*self._users, *self._visitors)
        for kind in self._of(("alias",), ("alias",), ("alias", "unalias"), ("unalias",)):
            batch, at = self._moment()
            self._says(batch, at, kind, user_id=user, previous_id=previous)

    def _shared_email(self) -> None:
        """An e-mail of many users, which may come to be over its limit of five, in several batches."""
        for number in range(self._random.choice([2, 5, 6, 7])):
            batch, at = self._moment()
            user = [*self._users, "u5", "u6", "u7", "u8", "u9"][number]
            self._says(batch, at, "identify", user_id=user, properties=_email("shared"))

    def _kiosk(self) -> None:
        """A visitor of about as many users as its limit of twenty allows, and what nobody did on it."""
        for number in range(self._random.randint(19, 22)):
            batch, at = self._moment()
            self._says(batch, at, "identify", visitor_id="kiosk", user_id=f"guest {number}")
        for _ in range(3):
            batch, at = self._moment()
            self._says(batch, at, "visit", sender="browser", visitor_id="kiosk", url=self._of(*_URLS))
        batch, at = self._moment()
        self._says(batch, at, "conversion", name="purchase", visitor_id="kiosk", **self._money())

    def _order(self) -> None:
        """Reports of one order by browser and server, one of which may name the visit, one the user."""
        dialect = self._of("openanalytics", "openanalytics", "segment")
        transaction = self._of(None, *self._orders)
        name = "Order Completed" if dialect == "segment" else self._of("purchase", "purchase", "lead")
        for _ in range(self._random.choice([1, 1, 2, 3, 4])):
            batch, at = self._moment()
            columns: dict[str, Any] = {}
            if dialect == "openanalytics":
                columns = {
                    "hit_id": self._of(None, None, *self._hits),
                    "session_id": self._of(None, None, None, *self._sessions),
                    "status": self._of(*_WORDS),
                    "page_id": self._of(None, None, None, "o1"),
                }
            self._says(
                batch,
                self._of(at, at, at, AT_ARRIVAL),
                "conversion",
                dialect=dialect,
                sender=self._of("browser", "server"),
                name=name,
                visitor_id=self._of(None, None, *self._visitors),
                user_id=self._of(None, None, *self._users),
                transaction_id=transaction,
                properties=self._of(None, None, '{"plan":"pro"}', _email("1")),
                **columns,
                **self._money(),
            )

    def _refund(self) -> None:
        batch, at = self._moment()
        bought = {e.transaction_id for _, e in self._events if e.kind == "conversion" and e.amount_text}
        self._says(
            batch,
            at,
            "refund",
            dialect=self._of("openanalytics", "segment"),
            user_id=self._of(None, *self._users),
            transaction_id=self._of(*self._orders, *sorted(bought - {None})),
            **self._money(),
        )

    def _order_event(self) -> None:
        """What became of an order that may have been reported, or may come later."""
        batch, at = self._moment()
        self._says(
            batch,
            self._of(at, at, AT_ARRIVAL),
            "event",
            dialect=self._of("segment", "segment", "segment", "openanalytics"),
            sender=self._of("server", "server", "server", "browser"),
            name=self._of("Order Cancelled", "Order Updated", "Order Updated"),
            user_id=self._of(None, *self._users),
            transaction_id=self._of(None, *self._orders, *self._orders),
            properties=self._of(
                None,
                '{"revenue":"12.50","currency":"eur"}',
                '{"total":35}',
                '{"order_id":5001.0,"total":1E+1}',
            ),
        )

    def _postback(self) -> None:
        """Postbacks of one transaction, by hit or by visitor with and without page."""
        named = self._of(
            {"hit_id": self._of(*self._hits)},
            {"visitor_id": self._of(*self._visitors)},
            {"visitor_id": self._of(*self._visitors), "page_id": self._of("o1", "l1")},
        )
        transaction = self._of(None, *self._orders)
        for _ in range(self._random.choice([1, 1, 2, 3])):
            batch, _ = self._moment()
            amount = self._of(None, None, "-1", "0", "30", "12.5")
            self._says(
                batch,
                AT_ARRIVAL,
                "conversion",
                dialect="funnelflux",
                transaction_id=transaction,
                status=self._of(*_WORDS),
                amount_text=amount,
                amount_unit="major" if amount else None,
                currency=self._of(None, None, "EUR"),
                forwardable=self._of(None, False),
                **named,
            )

    def _click(self) -> None:
        """A visitor or a bot follows a link, once or twice, to a page that is a view of its own or not."""
        link = self._of("l1", "l1", "l2")
        click_type, click = self._of((None, None), (None, None), *_CLICKS)
        about = {
            "sender": "browser",
            "visitor_id": self._of(*self._visitors),
            "session_id": self._of(None, None, *self._sessions),
            "user_agent": self._of(_BROWSER, _BROWSER, _BROWSER, _BOT, None),
            "referrer": self._of(*_REFERRERS),
            "click_id_type": click_type,
            "click_id": click,
        }
        left = {"hit_id": self._of(None, *self._hits), "page_id": self._of(None, "o1", "l1", "/offer")}
        arrives = self._of(False, True)
        for _ in range(self._of(1, 1, 2)):
            batch, _ = self._moment()
            properties = json.dumps({"link_id": link, "target": 1, "weight": 1, "url": _URLS[1]})
            about["properties"] = properties
            self._says(batch, AT_ARRIVAL, "event", dialect="links", name="click", **about, **left)
            if arrives:
                hit = self._of(*self._hits, "arrived")
                arrived = {"hit_id": hit, "page_id": "o1", "url": _URLS[1]}
                self._says(batch, AT_ARRIVAL, "visit", dialect="links", **about, **arrived)

    def _goal_report(self) -> None:
        """Pagent's: a goal by name, money in cents, the visitor and a session."""
        batch, at = self._moment()
        amount = self._of(None, "0", "500", "1999")
        self._says(
            batch,
            self._of(at, AT_ARRIVAL),
            "conversion",
            dialect="pagent",
            goal_id=self._of(*self._goals),
            session_id=self._of(*self._sessions, "s9"),
            visitor_id=self._of(*self._visitors),
            hit_id=self._of(None, *self._hits),
            transaction_id=self._of(None, *self._orders),
            amount_text=amount,
            amount_unit="minor" if amount else None,
        )

    def _report_of_a_click(self) -> None:
        """Superfunnel's: an ad click, a session, or a hash of a visit or session."""
        batch, _ = self._moment()
        click_type, click = self._of(*_CLICKS)
        hit, session = self._of(*self._hits), self._of(*self._sessions)
        named = self._of(
            {"click_id_type": click_type, "click_id": click},
            {"click_id_type": click_type, "click_id": click},
            {"session_id": session},
            {"alias_type": "visitHash", "alias_value": _sha256(hit)},
            {"alias_type": "shortVisitHash", "alias_value": _sha256(hit)[:10]},
            {"alias_type": "sessionHash", "alias_value": _sha256(session)},
            {"alias_type": "shortHash", "alias_value": _sha256(self._of(hit, session))[:10]},
        )
        amount = self._of(*_AMOUNTS)
        self._says(
            batch,
            AT_ARRIVAL,
            "conversion",
            dialect="superfunnel",
            name=self._of("conversion", "upsell"),
            amount_text=amount,
            amount_unit="major" if amount else None,
            **named,
        )

    # How it is said.

    def _spelt(self) -> str:
        """An id of what ids are composed of: separators, their escapes, and the words between them."""
        return "".join(self._of(*_PARTS) for _ in range(self._random.randint(1, 4)))

    def _written(self, order: str) -> str:
        """An order's id as somebody else writes it, or a word for none."""
        return self._of(
            f" {order}", f"{order}\n", f"\t{order}\u00a0", "5001", "5001.0", "undefined", "N/A", " "
        )

    def _says(
        self, batch: int, occurred_us: int, kind: str, dialect: str = "openanalytics", **columns: Any
    ) -> None:
        number = next(self._event_ids)
        if columns.get("transaction_id") is not None and self._random.random() < 0.2:
            columns["transaction_id"] = self._written(columns["transaction_id"])
        if occurred_us != AT_ARRIVAL and self._random.random() < 0.05:
            # Sent a little later, by a clock that may be days off.
            columns["sent_us"] = occurred_us + self._of(0, 5, 3600) * 1_000_000
        if kind in ("conversion", "refund") and self._random.random() < 0.15:
            columns["forwardable"] = False
        if kind in ("conversion", "identify", "visit") and self._random.random() < 0.3:
            said = json.loads(columns.get("properties") or "{}") | self._of(*_SAID_OF_PEOPLE)
            columns["properties"] = json.dumps(said)
        event = Event(
            event_id=f"{self._spelt()}{self._of('', number)}" if self._spells else f"e{number}",
            project_id=self._project,
            dialect=dialect,
            dialect_version="1",
            sender=columns.pop("sender", "server"),
            kind=kind,
            received_us=0,
            occurred_us=occurred_us,
            payload="{}",
            **columns,
        )
        self._events.append((batch, event))

    def _moment(self) -> tuple[int, int]:
        """A batch and a time before it: the one in which such a report comes, or one that it is too late for.

        Rarely a clock is days ahead.
        """
        before, at = self._of(*self._times) if self._random.random() < 0.8 else self._time()
        at += int(self._of(0, 0, *_STEPS_MINUTES, -29, -10, 7.5, 90) * MINUTE_US)
        if self._random.random() < 0.03:
            return self._random.randrange(before + 1), at
        return (before if self._random.random() < 0.6 else self._later(before)), at

    def _time(self) -> tuple[int, int]:
        """A batch, and a time before it."""
        before = self._random.choice([0, 0, *range(self._number)])
        return before, _arrival_us(before) - self._of(*_AGES_MINUTES) * MINUTE_US

    def _later(self, batch: int) -> int:
        return self._random.randrange(batch, self._number)

    def _spoken(self, batch: int) -> int:
        """The batch, or the next in which the project says something; else its last."""
        return next((place for place in self._speaks if place >= batch), self._speaks[-1])

    def _repeated(self, event: Event) -> Event:
        """The same report again, or another under its id: the first received wins."""
        other = self._of(
            {},
            {},
            {"visitor_id": self._of(None, *self._visitors)},
            {"occurred_us": self._moment()[1]},
            {"user_id": self._of(*self._users)},
            {"amount_text": "77", "amount_unit": "major"} if event.kind in ("conversion", "refund") else {},
        )
        return replace(event, **other)

    def _by_another_sender(self, event: Event) -> Event:
        """Another report under the id: a server's wins, whichever came first."""
        return replace(event, sender="server" if event.sender == "browser" else "browser", name="other")

    def _money(self) -> dict[str, Any]:
        amount = self._of(*_AMOUNTS)
        return {
            "amount_text": amount,
            "amount_unit": "major" if amount else None,
            "currency": self._of(*_CURRENCIES),
        }

    def _definitions(self, place: int, kinds: frozenset[str]) -> list[tuple[str, RawRow]]:
        # Of what is not there yet, half; later a change now and then.
        likely = 0.5 if place == 0 else 0.12
        put: list[tuple[str, RawRow]] = []
        for name in sorted(kinds):
            for key, bodies in DEFINED.get(name, {"settings": [{}]}).items():
                if self._random.random() > likely:
                    continue
                members = MAKES_A_BUILD_FULL.get(name, ())
                standing = self._standing.get((name, key), dict.fromkeys(members))
                if members and place > 0 and "settings" not in kinds:
                    # As settings do, these make a full build: all else changes.
                    bodies = [
                        b for b in bodies if all(b.get(member) == standing[member] for member in members)
                    ]
                    if not bodies:
                        continue
                elif place > 0 and self._random.random() < 0.2:
                    self._standing.pop((name, key), None)
                    put.append(("definitions", self._definition(name, key, None)))
                    continue
                body = self._of(*bodies)
                self._standing[name, key] = {member: body.get(member) for member in members}
                told = self._settings() if name == "settings" else stored(name, body)
                put.append(("definitions", self._definition(name, key, told)))
        return put

    def _definition(self, kind: DefinitionKind, key: str, body: dict[str, Any] | None) -> Definition:
        text = None if body is None else json.dumps(body)
        return Definition(project_id=self._project, kind=kind, key=key, received_us=0, body=text)

    def _settings(self) -> dict[str, Any]:
        return ProjectSettings(
            time_zone=self._of("UTC", "Europe/Madrid", "Asia/Tokyo"),
            reporting_currency=self._of("USD", "EUR", "BGN"),
            lookback_days=self._of(1, 14, 30, 90),
            half_life_days=self._of(1, 7),
            session_gap_minutes=self._of(5, 30, 60),
            counts_direct=self._of(False, True),
            postbacks_take_extended_status=self._of(False, True),
            own_hosts=self._of([], ["blog.example"]),
            ignored_referrers=self._of([], ["www.google.com", "android-app://example.app"]),
        ).model_dump()

    def _cost(self) -> Cost:
        source, medium, campaign = self._of(
            ("google", "cpc", None),
            ("news", "email", "SPRING"),
            ("news", "email", "spring"),
            ("x", None, None),
        )
        return Cost(
            project_id=self._project,
            received_us=0,
            day=self._of("2026-04-11", "2026-04-12", "2026-04-15"),
            source=source,
            medium=medium,
            campaign=campaign,
            amount_text=self._of("1", "9.99", "100"),
            currency=self._of("USD", "EUR"),
        )

    def _of(self, *choices: Any) -> Any:
        return self._random.choice(choices)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _email(address: str) -> str:
    return json.dumps({"email_sha256": _sha256(address)})
