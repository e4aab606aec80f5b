"""The shop's pages, of an origin of their own: a magazine with an ad, a lander, lamps, a checkout, orders."""

import base64
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from command_line.demo.shop.definitions import (
    AD,
    CURRENCY,
    LAMPS,
    LANDER,
    PROJECT,
    PURCHASE,
    Lamp,
    shop_url,
)
from command_line.demo.shop.figures import Figures
from command_line.demo.shop.orders import Order, OrderBook
from funnelhouse.keys import create_key
from funnelhouse.problems import Refusal, install_refusals
from funnelhouse.serving import ending_with_parent
from funnelhouse.settings import TRACKER_BUILT, Settings
from funnelhouse.snippet import tag
from record.landing import open_store

COOKIE = "lamp_customer"
MOST_FORM_BYTES = 16 * 1024

_FILES = Path(__file__).parent / "files"
_CUSTOMER = re.compile(r"customer-[0-9a-f]{16}")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter()


def create_app() -> FastAPI:
    """The application; its settings are read from the environment, its keys made anew."""
    settings = Settings()
    with closing(open_store(settings.landing_store)) as store:
        ingest_key = create_key(store, PROJECT, ["ingest"], name="the shop's server")
        read_key = create_key(store, PROJECT, ["read"], name="the shop's server, to see what is published")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with ending_with_parent():
            yield
        app.state.orders.close()
        app.state.figures.close()

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.state.orders = OrderBook(settings.ingest_base_url, ingest_key)
    app.state.figures = Figures(settings, read_key)
    app.state.templates = _templates(settings)
    app.state.ingest_url = settings.ingest_base_url
    app.state.url = shop_url(settings)
    install_refusals(app, lambda request: lambda refusal: _refused(request, refusal))
    app.include_router(router)
    return app


def _customer(request: Request) -> str:
    """Who looks: the customer of the cookie, else a new one."""
    said = request.cookies.get(COOKIE, "")
    return said if _CUSTOMER.fullmatch(said) else f"customer-{secrets.token_hex(8)}"


Customer = Annotated[str, Depends(_customer)]


def _own_order(request: Request, customer: Customer, number: str) -> Order:
    """The order of the path. Raises Refusal 404 unless it is this customer's."""
    order: Order | None = request.app.state.orders.find(number)
    if order is None or order.customer != customer:
        raise Refusal(404, "There is no such order of yours. Orders end with the demo that took them.")
    return order


OwnOrder = Annotated[Order, Depends(_own_order)]


async def _form(request: Request) -> dict[str, str]:
    """What a form of ours sent. Raises Refusal 403 for another site's, 413 and 400."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(403, "The form was sent from another site.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM_BYTES:
            raise Refusal(413, "The form is too large.")
    try:
        return dict(parse_qsl(body.decode(), errors="strict"))
    except ValueError:
        raise Refusal(400, "The form cannot be read.") from None


Form = Annotated[Mapping[str, str], Depends(_form)]


@router.get("/")
def magazine(request: Request) -> Response:
    """Somebody else's page, without the tracker. Its ad's link is one of the project's."""
    url: str = request.app.state.url
    if request.headers.get("host") != urlsplit(url).netloc:
        # Under another name nothing would be tracked.
        return RedirectResponse(url)
    utm = {"utm_source": "quiet-rooms", "utm_medium": "display", "utm_campaign": "reading-lamps"}
    # The network's own id of the click, which it puts in when it shows the ad.
    query = urlencode({**utm, "external": f"click-{secrets.token_hex(4)}"})
    return _page(request, "magazine.html", {"ad": f"{_link(request, AD)}?{query}"})


@router.get("/lamps")
def lander(request: Request) -> Response:
    """Where the ad leads."""
    lamps = [(lamp, _link(request, lamp.link_id)) for lamp in LAMPS]
    return _page(request, "lander.html", {"lamps": lamps})


@router.get("/lamps/{lamp_id}")
def lamp_page(request: Request, lamp_id: str) -> Response:
    """One lamp."""
    return _page(request, "lamp.html", {"lamp": _lamp(lamp_id)})


@router.get("/checkout")
def checkout(request: Request, lamp: str = "desk") -> Response:
    """The form that orders it."""
    return _page(request, "checkout.html", {"lamp": _lamp(lamp)})


@router.post("/orders")
def take(request: Request, customer: Customer, form: Form) -> Response:
    """Take an order."""
    orders: OrderBook = request.app.state.orders
    try:
        order = orders.take(customer, _lamp(form.get("lamp", "")), form)
    except httpx.HTTPError:
        raise Refusal(503, "Ingest does not take the report of this order. Send it again.") from None
    answer = RedirectResponse(f"/orders/{order.number}", 303)
    answer.set_cookie(COOKIE, customer, max_age=30 * 86400, httponly=True, samesite="lax")
    return answer


@router.post("/orders/{number}/refund")
def refund(request: Request, order: OwnOrder, _: Form) -> Response:
    """Refund an order."""
    orders: OrderBook = request.app.state.orders
    try:
        orders.refund(order)
    except httpx.HTTPError:
        raise Refusal(503, "Ingest does not take the report of this refund. Send it again.") from None
    return RedirectResponse(f"/orders/{order.number}", 303)


@router.get("/orders/{number}")
def order_page(request: Request, order: OwnOrder) -> Response:
    """Thanks for the order, and where the dashboard explains it."""
    figures: Figures = request.app.state.figures
    is_shown, sentence = figures.of(order)
    context = {
        "order": order,
        "is_shown": is_shown,
        "sentence": sentence,
        "explanation": figures.explanation_url(order),
    }
    return _page(request, "order.html", context)


@router.get("/orders/{number}/figures")
def order_figures(request: Request, order: OwnOrder) -> dict[str, Any]:
    """What an open page asks for again and again."""
    is_shown, sentence = request.app.state.figures.of(order)
    return {"is_shown": is_shown, "sentence": sentence}


@router.get("/account")
def account(request: Request, customer: Customer) -> Response:
    """The customer's orders."""
    return _page(request, "account.html", {"orders": request.app.state.orders.of(customer)})


@router.get("/shop.css")
def style() -> Response:
    """How pages look."""
    return FileResponse(_FILES / "shop.css", media_type="text/css")


@router.get("/shop.js")
def script() -> Response:
    """What the order's page does by itself."""
    return FileResponse(_FILES / "shop.js", media_type="text/javascript")


@router.get("/lamp.svg")
def icon() -> Response:
    """The shop's sign."""
    return FileResponse(_FILES / "lamp.svg", media_type="image/svg+xml")


@router.get("/{path:path}")
def elsewhere() -> Response:
    """Every other address."""
    raise Refusal(404, "There is no such page here.")


def _lamp(lamp_id: str) -> Lamp:
    """Raises Refusal 404."""
    found = next((lamp for lamp in LAMPS if lamp.lamp_id == lamp_id), None)
    if found is None:
        raise Refusal(404, "There is no such lamp.")
    return found


def _link(request: Request, link_id: str) -> str:
    """The address of one of the project's links."""
    return f"{request.app.state.ingest_url}/c/{PROJECT}/{link_id}"


def _templates(settings: Settings) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script_url = f"{settings.ingest_base_url}/{settings.tracker_prefix}/{PROJECT}.js"
    stub = (TRACKER_BUILT / "stub.js").read_text(encoding="utf-8")

    def tag_of(page_id: str | None = None, kind: str | None = None) -> Markup:
        return Markup(tag(script_url, stub, page_id, kind))  # noqa: S704 (it escapes its arguments)

    environment.globals |= {
        "tag": tag_of,
        "lander_id": LANDER,
        "project": PROJECT,
        "purchase": PURCHASE,
        "currency": CURRENCY,
    }
    return environment


def _page(request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """A page, which runs its own scripts and the tracker's, and nothing else."""
    text = request.app.state.templates.get_template(template).render(context)
    ingest = request.app.state.ingest_url
    hashes = "".join(f" 'sha256-{_sha256(code)}'" for code in _INLINE_SCRIPT.findall(text))
    policy = (
        f"default-src 'none'; script-src 'self' {ingest}{hashes}; connect-src 'self' {ingest}; "
        "style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return HTMLResponse(text, status, headers)


def _sha256(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def _refused(request: Request, refusal: Refusal) -> Response:
    context = {"title": refusal.title, "detail": refusal.detail}
    return _page(request, "refused.html", context, refusal.status)
