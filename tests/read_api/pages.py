"""Pages of the dashboard of an app in this process; the ingest API is not running."""

import asyncio
from collections.abc import Callable

import httpx
from example_marts import Rows, new_key, publish_rows
from servers import free_port

from funnelhouse.settings import Settings
from read_api.app import create_app
from read_api.dashboard.access import COOKIE

Page = Callable[..., str]


def pages_of(home: Settings, rows: Rows, sql: str = "") -> Page:
    """`page(path)`: the HTML of one of the shop's pages, over these marts; `status` of a refusal."""
    publish_rows(home, rows, sql=sql)
    return pages_in(home)


def pages_in(home: Settings) -> Page:
    """The same over what is published in a home."""
    app = create_app(home.model_copy(update={"ingest_url": f"http://127.0.0.1:{free_port()}"}))
    session_id, _ = app.state.sessions.begin(new_key(home))

    async def get(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://read", cookies={COOKIE: session_id}
        ) as client:
            return await client.get(f"/app/projects/shop/{path}")

    def page(path: str, status: int = 200) -> str:
        answer = asyncio.run(get(path))
        assert answer.status_code == status, answer.text
        return answer.text

    return page
