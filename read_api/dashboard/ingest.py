"""The ingest API, asked with the signed-in key: what is defined there, and what arrives.

The key never reaches the browser. Everything that is written in the dashboard is written through this.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from funnelhouse.problems import Refusal
from read_api.places import BusyError, Places

TIMEOUT_SECONDS = 10.0

# Requests to it at once: each holds a thread until it answers.
REQUESTS = 16
REQUESTS_OF_A_PROJECT = 4

# Of an id as an address spells it; longer ones there are none.
MOST_LETTERS = 4_000

_IN_A_LIST = re.compile(r"\b([a-z_]+)\.([0-9]+)\.(?=[a-z_])")

_DRY_RUN = {"Funnelhouse-Dry-Run": "1"}

_SILENT = "The ingest API does not answer. Is it running, and does FUNNELHOUSE_INGEST_URL name it?"
_BUSY = "The ingest API is asked too much at once; try again."
_STRANGER = (
    "The ingest API does not know this key. Does FUNNELHOUSE_INGEST_URL name that of our landing store?"
)


class UnreachableError(Refusal):
    """The ingest API does not answer, or not as the one of our landing store would: 503."""

    def __init__(self, detail: str) -> None:
        super().__init__(503, detail)


class NotTaken(Refusal):
    """The ingest API refused what was sent; the message is its own and names the field.

    Of a list the fields are named as a form shows them: `to.0.url` is `to 1, url`.
    """

    def __init__(self, detail: str) -> None:
        said = detail.replace("String should have at least 1 character", "must not be empty")
        super().__init__(422, _IN_A_LIST.sub(lambda found: f"{found[1]} {int(found[2]) + 1}, ", said))


class Ingest:
    """One project's routes of the ingest API at `base_url`; safe to share between threads."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._client = httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._places = Places(REQUESTS, REQUESTS_OF_A_PROJECT, TIMEOUT_SECONDS, REQUESTS_OF_A_PROJECT)

    def get(self, key: str, project_id: str, *path: str, **query: str | int) -> dict[str, Any] | None:
        """The JSON at a path below the project, None where nothing is. Raises UnreachableError."""
        try:
            answer = self._send("GET", key, project_id, path, params=query)
        except NotTaken:
            # An id that could not even be asked for names nothing.
            return None
        return None if answer is None else dict(orjson.loads(answer.content))

    def put(
        self, key: str, project_id: str, *path: str, body: dict[str, Any], is_trial: bool = False
    ) -> dict[str, Any]:
        """Define something, or see what a trial would define. Raises NotTaken, UnreachableError."""
        headers = _DRY_RUN if is_trial else None
        answer = self._send("PUT", key, project_id, path, headers, content=orjson.dumps(body))
        return {} if answer is None else dict(orjson.loads(answer.content))

    def post(
        self, key: str, project_id: str, *path: str, body: dict[str, Any], idempotency_key: str = ""
    ) -> dict[str, Any]:
        """Make something, once for each idempotency key. Raises NotTaken, UnreachableError."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        answer = self._send("POST", key, project_id, path, headers, content=orjson.dumps(body))
        return {} if answer is None else dict(orjson.loads(answer.content))

    def post_file(
        self, key: str, project_id: str, *path: str, content: bytes, query: Mapping[str, str]
    ) -> dict[str, Any]:
        """Send a file or a text as it is. Raises NotTaken, UnreachableError."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._send("POST", key, project_id, path, headers, content=content, params=query)
        return {} if answer is None else dict(orjson.loads(answer.content))

    def delete(self, key: str, project_id: str, *path: str) -> None:
        """Delete something; harmless when there is none. Raises NotTaken, UnreachableError."""
        self._send("DELETE", key, project_id, path)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _send(
        self,
        method: str,
        key: str,
        project_id: str,
        path: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response | None:
        address = "/".join(["/v1/projects", *(_segment(part) for part in (project_id, *path))])
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})}
        try:
            with self._places.take(project_id):
                answer = self._client.request(method, address, headers=sent, **more)
        except BusyError as error:
            raise UnreachableError(_BUSY) from error
        except httpx.TransportError as error:
            raise UnreachableError(_SILENT) from error
        if answer.is_success:
            return answer
        if answer.status_code == 404 and method in ("GET", "DELETE"):
            return None
        detail = _detail(answer)
        if answer.status_code in (400, 403, 404, 409, 413, 422):
            raise NotTaken(detail)
        raise UnreachableError(_STRANGER if answer.status_code == 401 else detail)


def _segment(part: str) -> str:
    """A part of a path. Raises NotTaken for what cannot stand in one."""
    try:
        quoted = quote(part, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if not 1 <= len(quoted) <= MOST_LETTERS:
        raise NotTaken("This cannot be an id.")
    # To the client a dot between two slashes is a place, not a name.
    return quoted.replace(".", "%2E") if part in (".", "..") else quoted


def _detail(answer: httpx.Response) -> str:
    try:
        return str(orjson.loads(answer.content)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"The ingest API answered {answer.status_code}."
