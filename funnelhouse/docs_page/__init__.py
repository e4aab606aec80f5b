"""The documentation page of both APIs: Swagger UI, served by ourselves and loading nothing from elsewhere.

`swagger-ui-bundle.js` (1.7 MB) and `swagger-ui.css` (0.2 MB) are unchanged from the package `swagger-ui-dist`
5.35.0, with its licence (Apache-2.0) and notices. `start.js` is ours.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.routing import Route

_FOLDER = Path(__file__).parent
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
_HEADERS = {
    # The page's icons are data: URLs; all else is ours alone.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{path}/swagger-ui.css">
<div id="docs" data-openapi="{openapi}"></div>
<script src="{path}/swagger-ui-bundle.js"></script>
<script src="{path}/start.js"></script>
</html>
"""


def add_docs_page(app: FastAPI, path: str) -> None:
    """Serve the page of the app's OpenAPI description at `path`, its files below it."""
    page = _PAGE.format(title=app.title, path=path, openapi=app.openapi_url)

    lock = Lock()
    document: dict[str, Any] = {}
    written = b""

    # In a thread, unlike FastAPI's own route, which writes a quarter of a megabyte for whoever asks.
    def description(_: Request) -> Response:
        nonlocal document, written
        with lock:
            if (found := app.openapi()) is not document:
                document, written = found, orjson.dumps(found)
        return Response(written, media_type="application/json")

    app.router.routes.insert(0, Route(str(app.openapi_url), description, include_in_schema=False))

    @app.get(path, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=_HEADERS)

    def add_file(name: str, media_type: str) -> None:
        @app.get(f"{path}/{name}", include_in_schema=False)
        async def file() -> FileResponse:
            return FileResponse(_FOLDER / name, media_type=media_type, headers=_HEADERS)

    for name, media_type in _FILES.items():
        add_file(name, media_type)
