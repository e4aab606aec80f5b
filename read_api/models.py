"""The models that builds use, as dbt documents them: definitions, never rows. Any read key opens them."""

import gzip
from pathlib import Path

from fastapi import APIRouter, Request, Response

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from publication.layout import CURRENT, MODEL_DOCS
from read_api.answers import takes_gzip

router = APIRouter()

_HEADERS = {
    # One file of scripts and styles that dbt wrote. What it would report to its makers goes nowhere.
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Encoding",
}


@router.get("/read/models", include_in_schema=False)
def models(request: Request, _: ReadCaller) -> Response:
    """The site as one page."""
    return model_docs(request)


def model_docs(request: Request) -> Response:
    """The site as one page, for who may see it. Raises Refusal 404 before the first deployment."""
    deployed_dir: Path = request.app.state.deployed_dir
    try:
        page = (deployed_dir / CURRENT / MODEL_DOCS).read_bytes()
    except FileNotFoundError:
        raise Refusal(404, "No models are deployed yet; the first build does it.") from None
    headers = dict(_HEADERS)
    if takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
    else:
        page = gzip.decompress(page)
    return Response(page, headers=headers, media_type="text/html; charset=utf-8")
