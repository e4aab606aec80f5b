"""A visit to the shop, page by page: looking, choosing, signing up, ordering, sending back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from command_line.demo.past.reports import Booking, Making, State, milliseconds
from command_line.demo.past.shop_world import (
    BROWSED,
    CHANCES,
    CURRENCY,
    EXPERIMENT,
    EXPERIMENT_SINCE,
    FIRST_NAMES,
    MARKS_PER_EURO,
    PARTNER,
    PRODUCTS,
    SECOND_CURRENCY,
    SITE,
    VARIANTS,
    Origin,
    Product,
    product_at,
)


@dataclass(slots=True)
class Visitor:
    """Somebody, in one browser or in two; `user_id` is that of the customer's account, once there is one."""

    number: int
    country: str
    user_agent: str
    has_phone_too: bool
    uses_app: bool
    variant: str
    user_id: str | None = None
    visits: int = 0

    @property
    def currency(self) -> str:
        """What orders are paid in."""
        return SECOND_CURRENCY if self.country == "BA" else CURRENCY

    def in_own_money(self, euro_cents: int) -> int:
        """A price, in cents of the visitor's currency."""
        return euro_cents if self.currency == CURRENCY else int(euro_cents * MARKS_PER_EURO)

    def opens_account(self) -> None:
        """From now on there is a user id."""
        self.user_id = f"{FIRST_NAMES[self.number % len(FIRST_NAMES)]}-{self.number}"


class Visit:
    """One visit. Each of its steps may be the last."""

    def __init__(
        self, making: Making, visitor: Visitor, origin: Origin, days_ago: int, is_on_phone: bool = False
    ) -> None:
        visitor.visits += 1
        self._making = making
        self._visitor = visitor
        self._origin = origin
        self._days_ago = days_ago
        self._browser = f"b-{visitor.number:05}{'-phone' if is_on_phone else ''}"
        self._id = f"{visitor.number:05}-{visitor.visits}"
        self._at = making.at(days_ago)
        self._views = 0
        self._path = making.draw.choice(origin.landing)
        self._click_id = f"{origin.click_id}-{self._id}" if origin.click_id else None
        self._buys = origin.buys * (1.35 if visitor.visits > 1 else 1.0)
        if self._sees_new_page:
            self._buys *= 1.2

    @property
    def _is_in_experiment(self) -> bool:
        return self._days_ago <= EXPERIMENT_SINCE

    @property
    def _sees_new_page(self) -> bool:
        return self._is_in_experiment and self._visitor.variant == VARIANTS[1]

    @property
    def _hit(self) -> str:
        """Id of the page view that is looked at."""
        return f"{self._id}-{self._views}"

    def run(self) -> None:
        """All of it."""
        happens, visitor = self._making.happens, self._visitor
        self._lands()
        if happens(0.3 / (1 + self._buys)):
            return
        while happens(0.33):
            self._views_page(self._making.draw.choice(BROWSED))
        if visitor.user_id is None and happens(CHANCES.sign_up * self._buys):
            self._signs_up()
        elif visitor.user_id is not None and happens(0.4):
            self._logs_in()
        if not visitor.uses_app:
            if happens(CHANCES.consultation):
                self._books_consultation()
            if happens(CHANCES.partner):
                self._visits_partner()
        if self._origin.click_id == "gclid" and happens(CHANCES.phone):
            self._orders_by_phone()
        elif happens(min(0.95, CHANCES.product * (0.7 + 0.3 * self._buys))):
            self._shops()

    def _shops(self) -> None:
        happens, choice = self._making.happens, self._making.draw.choice
        cart = [product_at(self._path) or choice(PRODUCTS)]
        if cart[0].path != self._path:
            self._views_page(cart[0].path)
        if not happens(min(0.9, CHANCES.cart * self._buys)):
            return
        self._adds(cart[0])
        while happens(0.28):
            cart.append(choice(PRODUCTS))
            self._views_page(cart[-1].path)
            self._adds(cart[-1])
        if not happens(CHANCES.checkout):
            return
        self._views_page("/checkout")
        if happens(CHANCES.order):
            self._orders(cart)

    def _waits(self, least_s: float, most_s: float) -> None:
        self._at += timedelta(seconds=self._making.draw.uniform(least_s, most_s))

    def _lands(self) -> None:
        """The first page view has the address that its origin gave it."""
        origin = self._origin
        tags: dict[str, str | None] = {}
        if origin.medium is not None:
            tags = {
                "utm_source": origin.source,
                "utm_medium": origin.medium,
                "utm_campaign": origin.campaign,
                "utm_term": origin.term,
                "utm_content": origin.content,
            }
        if origin.click_id is not None:
            tags[origin.click_id] = self._click_id
        query = urlencode({name: value for name, value in tags.items() if value is not None})
        self._reports_view(f"{SITE}{self._path}{'?' if query else ''}{query}", origin.referrer)

    def _views_page(self, path: str, **more: str) -> None:
        self._waits(12, 150)
        before, self._path = self._path, path
        self._reports_view(f"{SITE}{path}", f"{SITE}{before}", **more)

    def _reports_view(self, url: str, referrer: str | None, **more: str) -> None:
        self._views += 1
        if self._visitor.uses_app:
            self._calls("page", name=self._path, properties={"url": url, "referrer": referrer or ""})
            return
        body = {
            "event_type": "pageview",
            "event_id": f"view-{self._hit}",
            **self._ids(),
            "visit_id": self._hit,
            "url": url,
            "country": self._visitor.country,
            "user_agent": self._visitor.user_agent,
            "timestamp": milliseconds(self._at),
            **more,
        }
        if referrer is not None:
            body["referrer"] = referrer
        if self._is_in_experiment and product_at(self._path):
            body["experiments"] = {EXPERIMENT: self._visitor.variant}
        self._making.say("browser", self._at, body)

    def _ids(self) -> dict[str, Any]:
        return {"anonymous_id": self._browser, "session_id": f"s-{self._id}"}

    def _does(self, name: str, properties: dict[str, Any]) -> None:
        """An event without money."""
        self._waits(5, 60)
        if self._visitor.uses_app:
            self._calls("track", event=name, properties=properties)
            return
        body = {
            "event_type": "event",
            "event_name": name,
            "event_id": f"{name}-{self._hit}",
            **self._ids(),
            "visit_id": self._hit,
            "user_agent": self._visitor.user_agent,
            "properties": properties,
            "timestamp": milliseconds(self._at),
        }
        self._making.say("browser", self._at, body)

    def _calls(self, call: str, **more: Any) -> datetime:
        """A call of the app's Segment library; returns when it arrives."""
        body = {
            "type": call,
            "messageId": f"{call}-{self._id}-{milliseconds(self._at)}",
            "anonymousId": self._browser,
            "timestamp": self._at.isoformat(),
            "context": {
                "userAgent": self._visitor.user_agent,
                "library": {"name": "analytics-react-native", "version": "2.20.0"},
            },
            **more,
        }
        if self._visitor.user_id is not None:
            body["userId"] = self._visitor.user_id
        return self._making.say("app", self._at, body)

    def _adds(self, product: Product) -> None:
        self._does("add_to_cart", {"product": product.name, "price": product.price_cents / 100})

    def _signs_up(self) -> None:
        self._visitor.opens_account()
        self._does("sign_up", {"newsletter": self._making.happens(0.7)})
        self._logs_in()

    def _logs_in(self) -> None:
        """The browser is this customer's from now on."""
        self._waits(1, 5)
        if self._visitor.uses_app:
            self._calls("identify")
            return
        body = {
            "event_type": "identify",
            "event_id": f"login-{self._id}",
            "user_id": self._visitor.user_id,
            "anonymous_id": self._browser,
            "timestamp": milliseconds(self._at),
        }
        self._making.say("backend", self._at, body)

    def _orders(self, cart: list[Product]) -> None:
        making, visitor = self._making, self._visitor
        self._waits(40, 300)
        if visitor.user_id is None:
            visitor.opens_account()
        number = making.order_number()
        cents = sum(visitor.in_own_money(product.price_cents) for product in cart)
        is_by_invoice = not visitor.uses_app and making.happens(0.3)
        properties = {
            "products": [product.name for product in cart],
            "payment": "invoice" if is_by_invoice else "card",
        }
        state: State = "pending" if is_by_invoice else "approved"
        if visitor.uses_app:
            money = {"order_id": number, "revenue": cents / 100, "currency": visitor.currency}
            arrives = self._calls("track", event="Order Completed", properties={**money, **properties})
        else:
            body = self._of_order(number, cents, self._at)
            told = {"event_id": f"order-{number}", "visit_id": self._hit, "properties": properties}
            arrives = making.say("backend", self._at, {**body, **self._ids(), **told, "status": state})
            self._views_page("/thanks")
            if making.happens(0.5):
                # The page that thanks reports it as well: both are one conversion.
                making.say("browser", self._at, {**body, **self._ids(), "event_id": f"thanks-{number}"})
        making.book(Booking(arrives, "sale", number, cents, visitor.currency, state))
        if (not is_by_invoice or self._is_paid(number, cents)) and making.happens(0.1):
            self._sends_back(number, cart, cents)

    def _of_order(self, number: str, cents: int, at: datetime) -> dict[str, Any]:
        return {
            "event_type": "conversion",
            "event_name": "purchase",
            "user_id": self._visitor.user_id,
            "transaction_id": number,
            "revenue": cents / 100,
            "currency": self._visitor.currency,
            "timestamp": milliseconds(at),
        }

    def _is_paid(self, number: str, cents: int) -> bool:
        """What is bought by invoice is paid days later, or never."""
        self._at += timedelta(days=self._making.draw.triangular(2, 21, 6))
        is_paid = self._making.happens(0.88)
        state: State = "approved" if is_paid else "rejected"
        body = {**self._of_order(number, cents, self._at), "event_id": f"decided-{number}", "status": state}
        arrives = self._making.say("backend", self._at, body)
        self._making.book(Booking(arrives, "state", number, currency=self._visitor.currency, state=state))
        return is_paid

    def _sends_back(self, number: str, cart: list[Product], cents: int) -> None:
        """A part of the order, or all of it."""
        making, visitor = self._making, self._visitor
        self._at += timedelta(days=making.draw.triangular(1, 25, 7))
        is_part = len(cart) > 1 and making.happens(0.7)
        returned = visitor.in_own_money(cart[0].price_cents) if is_part else cents
        if visitor.uses_app:
            money = {"order_id": number, "revenue": returned / 100, "currency": visitor.currency}
            arrives = self._calls("track", event="Order Refunded", properties=money)
        else:
            body = {
                **self._of_order(number, returned, self._at),
                "event_type": "refund",
                "event_id": f"refund-{number}",
            }
            arrives = making.say("backend", self._at, body)
        making.book(Booking(arrives, "refund", number, returned, visitor.currency))

    def _books_consultation(self) -> None:
        """Booked and paid with a tool that speaks Pagent's dialect, which knows no currency."""
        self._waits(60, 240)
        body = {
            "session_data": {
                "session_id": f"s-{self._id}",
                "user_id": self._browser,
                "conversion_id": "consultation",
                "visit_id": self._hit,
            },
            "label": "Lighting consultation",
            "revenue": CONSULTATION_CENTS,
            "time": milliseconds(self._at),
        }
        arrives = self._making.say("booking", self._at, body)
        self._making.book(Booking(arrives, "sale", f"consultation-{self._id}", CONSULTATION_CENTS))

    def _orders_by_phone(self) -> None:
        """Found by the ad's click id, which the shop's people type into a table."""
        self._at += timedelta(days=self._making.draw.uniform(0.2, 3))
        number, product = self._making.order_number(), self._making.draw.choice(PRODUCTS)
        body = {
            "gclid": self._click_id,
            "event": "Phone order",
            "conversion": {"value": product.price_cents / 100},
            "currency": CURRENCY,
            "transaction_id": number,
            "timestamp": milliseconds(self._at),
        }
        arrives = self._making.say("phone", self._at, body)
        self._making.book(Booking(arrives, "sale", number, product.price_cents))

    def _visits_partner(self) -> None:
        """Another company's offer; its network posts back what became of it."""
        making = self._making
        self._views_page(PARTNER.path, page_id=PARTNER.page_id, page_kind="offer")
        hit = self._hit
        if not making.happens(0.6):
            return
        self._waits(10, 90)
        click = {
            "vid": self._browser,
            "sid": f"s-{self._id}",
            "hit": hit,
            "user_agent": self._visitor.user_agent,
        }
        making.say("link", self._at, click)
        if not making.happens(0.45):
            return
        at = self._at + timedelta(hours=making.draw.uniform(0.2, 3))
        contract = f"GP-{self._id}"
        cents = PARTNER.payout_cents(making.midnight, at + timedelta(seconds=5))
        # The network says what it pays, or leaves it to what the page is worth.
        pays = {"rev": f"{cents / 100:.2f}", "currency": CURRENCY} if making.happens(0.5) else {}
        postback = {"hit": hit, "tx": contract, **pays}
        arrives = making.say("network", at, {**postback, "status": "pending"})
        making.book(Booking(arrives, "sale", contract, cents, state="pending"))
        if making.happens(0.9):
            state: State = "approved" if making.happens(0.8) else "rejected"
            at += timedelta(days=making.draw.triangular(3, 25, 9))
            arrives = making.say("network", at, {**postback, "status": state})
            making.book(Booking(arrives, "state", contract, state=state))


CONSULTATION_CENTS = 2_500
