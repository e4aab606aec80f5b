"""The documentation page and the metrics of both APIs, over real sockets."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import Server, free_port

from funnelhouse.settings import Settings

SERVE_READ = "from funnelhouse.settings import Settings; from read_api.server import serve; serve(Settings())"


@pytest.fixture
def read_url(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    monkeypatch.setenv("FUNNELHOUSE_READ_PORT", str(port))
    process = subprocess.Popen([sys.executable, "-c", SERVE_READ], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/read/live")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def samples(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def check_page(url: str, api: str) -> None:
    page = httpx.get(f"{url}/{api}/docs/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page.text)
    assert len(loaded) == 5
    for address in loaded:
        if address != "data:,":
            assert address.startswith(f"/{api}/")
            assert httpx.get(url + address).status_code == 200, address
    assert httpx.get(f"{url}/{api}/openapi.json").json()["openapi"].startswith("3.")


def test_ingest_docs_load_nothing_from_elsewhere(ingest_server: Server) -> None:
    check_page(ingest_server.url, "ingest")


def test_read_docs_and_metrics(read_url: str) -> None:
    check_page(read_url, "read")
    httpx.get(f"{read_url}/v1/projects/some-project/marts")
    found = samples(f"{read_url}/read/metrics")
    labels = (("method", "GET"), ("route", "/v1/projects/{project_id}/marts"), ("status", "401"))
    assert found["funnelhouse_requests_total", labels] == 1
    assert "some-project" not in httpx.get(f"{read_url}/read/metrics").text


def test_ingest_metrics(ingest_server: Server) -> None:
    url = f"{ingest_server.url}/ingest/metrics"
    headers = {"Authorization": f"Bearer {ingest_server.key('metered')}"}
    before = samples(url)
    events = '[{"event_type":"event","event_name":"e"},{"event_type":"identify","user_id":"u"},{}]'
    path = f"{ingest_server.url}/v1/projects/metered/events"
    assert httpx.post(path, headers=headers, content=events).status_code == 202
    assert httpx.request("MADEUP", path).status_code == 405
    assert httpx.get(f"{ingest_server.url}/no/such/path").status_code == 404
    after = samples(url)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    route = "/v1/projects/{project_id}/events"
    assert grown("funnelhouse_requests_total", method="POST", route=route, status="202") == 1
    assert grown("funnelhouse_requests_total", method="GET", route="other", status="404") == 1
    assert grown("funnelhouse_events_acknowledged_total", dialect="openanalytics") == 2
    assert grown("funnelhouse_rejected_total") == 1
    assert grown("funnelhouse_commit_group_rows_sum") == 3
    assert grown("funnelhouse_commit_seconds_count") >= 1
    assert after["funnelhouse_commit_queue_bytes", ()] == 0
    assert [name for name, _ in after if name == "funnelhouse_build_info"]
    shown = httpx.get(url).text
    assert "metered" not in shown and "MADEUP" not in shown and "such" not in shown
