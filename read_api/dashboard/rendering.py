"""Pages and static files as answers: templates, and the headers that keep them to themselves."""

import gzip
import hashlib
import mimetypes
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from funnelhouse.problems import Refusal
from read_api.answers import compressed
from read_api.dashboard import figures
from read_api.slices import Figure

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"

HEADERS = {
    # No inline script or style: what a sender names a page or a campaign can never run here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Forms must tell their origin, which no-referrer would blank.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

router = APIRouter()


def html(template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """A template of `templates/` as an answer, compressed where it is a page of a project.

    The few others are short, and have a secret beside what the address asks for.
    """
    body = _environment().get_template(template).render(context).encode()
    headers = dict(HEADERS)
    if "view" in context:
        body, coding = compressed(context["view"].request, body)
        headers |= coding
    return Response(body, status, headers, media_type="text/html")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "money": _in_units(figures.traced_money),
        "amount": _in_units(figures.traced_amount),
        "count": figures.traced_count,
        "percent": figures.traced_percent,
        "points": figures.traced_points,
        "duration": figures.traced_duration,
        "ratio": figures.traced_ratio,
        "each": _in_units(figures.traced_each),
        "name": figures.name,
        "day": figures.day,
        "days": figures.days,
        "period": figures.period,
        "moment": _moment,
        "clock": _clock,
        "pretty": figures.pretty,
        "model_name": figures.model_name,
        "matched_by": figures.matched_by,
        "why": figures.why,
        "delivery_kind": figures.delivery_kind,
    }
    environment.globals |= {"asset": _address, "NONE": figures.NONE, "unique_id": _unique_id}
    return environment


def _in_units(write: Callable[..., str]) -> Callable[..., str]:
    """A filter of what takes the units of the page's build first."""

    @pass_context
    def written(context: Context, *values: Figure) -> str:
        return write(context["view"].units, *values)

    return written


@pass_context
def _moment(context: Context, value: datetime | None, to: str = "seconds") -> str:
    """A time in the time zone of the page's project."""
    return figures.moment(value, to, _zone(context))


@pass_context
def _clock(context: Context, value: datetime) -> str:
    return figures.clock(value, _zone(context))


def _zone(context: Context) -> str:
    view = context.get("view")
    return view.time_zone if view is not None else "UTC"


def _unique_id() -> str:
    """An id for a piece of a form that stands on a page several times."""
    return f"f{secrets.token_hex(4)}"


def _address(name: str) -> str:
    """A static file's address, another one whenever its content changes."""
    return f"/app/static/{name}?v={_file(name)[1]}"


@cache
def _file(name: str) -> tuple[bytes, str, bytes]:
    """Content, hash and gzipped content of a static file; raises KeyError for what is none."""
    if name not in _names():
        raise KeyError(name)
    content = (_STATIC / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12], gzip.compress(content, 9, mtime=0)


@cache
def _names() -> frozenset[str]:
    return frozenset(path.relative_to(_STATIC).as_posix() for path in _STATIC.rglob("*") if path.is_file())


@router.get("/app/static/{name:path}", include_in_schema=False)
def static_file(request: Request, name: str) -> Response:
    """A stylesheet, script or picture; they are public."""
    try:
        content, _, gzipped = _file(name)
    except KeyError:
        raise Refusal(404, "No such file.") from None
    headers = {
        **HEADERS,
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(content, headers=headers, media_type=media_type)
