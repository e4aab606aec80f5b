"""The shop and its surroundings in tables: what it sells, where visitors come from, and what that costs.

All of it is made up. Days are counted back from today, which is day 0, so that each start of the demo has the
same visitors and the same money but for the date.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

DAYS = 90
"""Today, which is unfinished, and the days before it."""

PROJECT = "shop"
SITE = "https://lumenhaus.example"
CURRENCY = "EUR"
SECOND_CURRENCY = "BAM"
"""Of orders from Bosnia and Herzegovina: the seed `currency_rates` has its rate, which is fixed."""
MARKS_PER_EURO = Decimal("1.95583")


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold, at a price in cents of the shop's currency."""

    slug: str
    name: str
    price_cents: int

    @property
    def path(self) -> str:
        """Of its page."""
        return f"/lamps/{self.slug}"


PRODUCTS = (
    Product("desk-lamp", "Desk lamp", 7_900),
    Product("floor-lamp", "Floor lamp", 18_900),
    Product("bedside-lamp", "Bedside lamp", 4_450),
    Product("pendant-lamp", "Pendant lamp", 13_900),
    Product("wall-lamp", "Wall lamp", 6_400),
    Product("reading-light", "Clip-on reading light", 2_900),
    Product("linen-shade", "Linen shade", 3_490),
    Product("led-bulbs", "LED bulbs, pack of four", 1_980),
)
_BY_SLUG = {product.slug: product for product in PRODUCTS}


def product_at(path: str) -> Product | None:
    """The product whose page this is."""
    return _BY_SLUG.get(path.removeprefix("/lamps/"))


def _steady(_days_ago: float) -> float:
    return 1.0


def _rising(days_ago: float) -> float:
    # Nothing until five weeks ago, then more each day.
    return max(0.0, (36 - days_ago) / 12)


def _last_weeks(days_ago: float) -> float:
    return 1.0 if days_ago < 28 else 0.0


def _letters(days_ago: float) -> float:
    # A letter goes out once a week, and is read for two days.
    return {5: 3.0, 4: 1.2}.get(int(days_ago) % 7, 0.1)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where visits come from: `visitors` new ones on a usual day, who buy `buys` times as often as others.

    With a `medium` the landing page's address is tagged, else the referrer says it. `cost_cents` is spent on
    a day with `trend` 1.
    """

    source: str
    visitors: float
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None
    referrer: str | None = None
    click_id: str | None = None
    landing: tuple[str, ...] = ("/",)
    buys: float = 1.0
    trend: Callable[[float], float] = _steady
    cost_cents: int = 0
    cost_trend: Callable[[float], float] | None = None

    def visitors_on(self, days_ago: int) -> float:
        """New visitors that are expected on a day."""
        return 0.82 * self.visitors * self.trend(days_ago)

    def cost_on(self, days_ago: int) -> float:
        """Cents spent on a day, before its small change."""
        return self.cost_cents * (self.cost_trend or self.trend)(days_ago)


def _tripled_last_week(days_ago: float) -> float:
    return 3.2 if days_ago <= 7 else _last_weeks(days_ago)


_GOOGLE, _BING = "https://www.google.com/", "https://www.bing.com/"
_FACEBOOK, _INSTAGRAM = "https://l.facebook.com/", "https://l.instagram.com/"

ODD_CAMPAIGN = "Été & lumière «-50 %» 💡"
RISING_CAMPAIGN = "Workroom light"
LOSING_CAMPAIGN = "Gift guide"

ORIGINS = (
    Origin("(direct)", 11, landing=("/", "/lamps/desk-lamp", "/sale"), buys=1.1),
    Origin(
        source="google",
        visitors=15,
        referrer=_GOOGLE,
        landing=("/guides/reading-light", "/", "/lamps/floor-lamp", "/guides/small-rooms"),
    ),
    Origin(
        source="google",
        medium="cpc",
        campaign="Brand",
        term="lumenhaus",
        referrer=_GOOGLE,
        click_id="gclid",
        visitors=5,
        buys=1.9,
        cost_cents=800,
    ),
    Origin(
        source="google",
        medium="cpc",
        campaign="Desk lamps",
        term="desk lamp brass",
        referrer=_GOOGLE,
        click_id="gclid",
        landing=("/lamps/desk-lamp", "/lamps"),
        visitors=6,
        cost_cents=1_900,
    ),
    Origin(
        source="google",
        medium="cpc",
        campaign=RISING_CAMPAIGN,
        term="home office lighting",
        referrer=_GOOGLE,
        click_id="gclid",
        landing=("/guides/home-office", "/lamps/desk-lamp"),
        visitors=5,
        trend=_rising,
        buys=1.7,
        cost_cents=1_100,
    ),
    Origin(
        source="facebook",
        medium="paid_social",
        campaign="Living room",
        content="carousel",
        referrer=_FACEBOOK,
        click_id="fbclid",
        landing=("/new", "/lamps/floor-lamp"),
        visitors=6,
        buys=0.7,
        cost_cents=1_500,
    ),
    Origin(
        source="facebook",
        medium="paid_social",
        campaign=LOSING_CAMPAIGN,
        content="video",
        referrer=_FACEBOOK,
        click_id="fbclid",
        landing=("/sale",),
        visitors=4,
        trend=_last_weeks,
        buys=0.2,
        cost_cents=1_600,
        cost_trend=_tripled_last_week,
    ),
    Origin("facebook", 2, referrer=_FACEBOOK, buys=0.6),
    Origin("instagram", 4, referrer=_INSTAGRAM, landing=("/new", "/"), buys=0.5),
    Origin(
        source="instagram",
        medium="paid_social",
        campaign="Evening light",
        content="reel",
        landing=("/new", "/lamps/bedside-lamp"),
        visitors=3,
        buys=0.8,
        cost_cents=900,
    ),
    Origin(
        source="bing",
        medium="cpc",
        campaign="Desk lamps",
        term="desk lamp",
        referrer=_BING,
        click_id="msclkid",
        landing=("/lamps/desk-lamp",),
        visitors=3,
        buys=1.2,
        cost_cents=600,
    ),
    Origin("bing", 2, referrer=_BING, landing=("/", "/guides/small-rooms")),
    Origin("chatgpt", 1.5, referrer="https://chatgpt.com/", landing=("/guides/reading-light",), buys=1.5),
    Origin(
        source="quietrooms.example",
        visitors=3,
        referrer="https://www.quietrooms.example/ten-lamps-we-love",
        landing=("/lamps/pendant-lamp", "/lamps/wall-lamp"),
        buys=1.1,
    ),
    Origin(
        source="tinyflat.example",
        visitors=2,
        referrer="https://tinyflat.example/two-rooms-eight-lamps",
        landing=("/guides/small-rooms",),
    ),
    Origin(
        source="lampfinder",
        medium="affiliate",
        campaign="Price comparison",
        referrer="https://www.lampfinder.example/",
        landing=("/lamps/floor-lamp", "/lamps/led-bulbs"),
        visitors=4,
        buys=1.4,
        cost_cents=700,
    ),
    Origin(
        source="homestyle-club",
        medium="affiliate",
        campaign="Members' vouchers",
        landing=("/sale",),
        visitors=2,
        buys=1.6,
        cost_cents=400,
    ),
    Origin(
        source="newsletter",
        medium="email",
        campaign="Letter from the workshop",
        landing=("/new", "/sale"),
        visitors=1,
        trend=_letters,
        buys=1.4,
        cost_cents=300,
    ),
    Origin(
        source="newsletter",
        medium="email",
        campaign=ODD_CAMPAIGN,
        landing=("/sale",),
        visitors=2,
        trend=_last_weeks,
        buys=1.6,
        cost_cents=250,
    ),
)

DIRECT = ORIGINS[0]
ORGANIC = ORIGINS[1]
LETTER = ORIGINS[-2]
RETARGETING = Origin(
    source="facebook",
    medium="paid_social",
    campaign="Retargeting basket",
    content="single image",
    referrer=_FACEBOOK,
    click_id="fbclid",
    landing=("/lamps", "/sale"),
    visitors=0,
    buys=1.4,
    cost_cents=1_900,
)
"""Only those who were here before see it."""

AGAIN: tuple[tuple[Origin, float], ...] = ((DIRECT, 46), (ORGANIC, 16), (RETARGETING, 14), (LETTER, 24))
"""Where visits of those who come back are from."""

WITH_COSTS = tuple(origin for origin in (*ORIGINS, RETARGETING) if origin.cost_cents)

COUNTRIES: Mapping[str, float] = {"DE": 46, "AT": 12, "FR": 10, "NL": 9, "BA": 8, "CH": 7, "US": 5, "SE": 3}

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"
USER_AGENTS: Mapping[str, float] = {
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_WEBKIT} Mobile/15E148 Safari/604.1": 34,
    f"Mozilla/5.0 (Linux; Android 15; Pixel 9) {_CHROME} Mobile Safari/537.36": 22,
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36": 24,
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Safari/605.1.15": 12,
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0": 3,
    f"Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) {_WEBKIT} Safari/604.1": 5,
}
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

FIRST_NAMES = (
    *("anna", "ben", "clara", "david", "elif", "finn", "greta", "hugo", "ines", "jonas", "klara", "luca"),
    *("maria", "noah", "olga", "paul", "rosa", "sven", "tilda", "umut", "vera", "wim", "yara", "zoe"),
)

BROWSED = ("/", "/lamps", "/new", "/sale", "/guides/small-rooms", "/guides/reading-light", "/about")


@dataclass(frozen=True, slots=True)
class Chances:
    """How likely a session goes on, step by step, before what its origin does to it."""

    product: float = 0.55
    cart: float = 0.18
    checkout: float = 0.58
    order: float = 0.55
    sign_up: float = 0.035
    consultation: float = 0.006
    partner: float = 0.035
    phone: float = 0.015
    returns: float = 0.4
    returns_as_customer: float = 0.64


CHANCES = Chances()

EXPERIMENT = "product-page"
EXPERIMENT_SINCE = 40
"""Days ago."""
VARIANTS = ("photos-first", "price-first")

WEEK: tuple[float, ...] = (1.0, 1.12, 0.84, 0.8, 1.05, 1.1, 1.04)
"""Visitors beside a usual day, by days ago modulo 7: weeks have a rhythm, whatever day it is."""


@dataclass(frozen=True, slots=True)
class PartnerOffer:
    """An offer of another company on a page of the shop, whose network posts back what became of it."""

    page_id: str = "green-power"
    path: str = "/partners/green-power"
    link_id: str = "to-green-power"
    payouts_cents: tuple[tuple[int, int], ...] = ((DAYS + 1, 1_800), (40, 2_200))
    """From how many days ago on a contract is worth what."""

    def payout_cents(self, midnight: datetime, at: datetime) -> int:
        """What a contract of a moment is worth, where today began at `midnight`."""
        valid = [cents for days, cents in self.payouts_cents if at >= midnight - timedelta(days=days)]
        return valid[-1]


PARTNER = PartnerOffer()
