"""Tools understand both descriptions: they are valid, and clients are generated from all of them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from example_marts import described as marts
from example_marts import publish_rows
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import Server, start_ingest, start_read

from funnelhouse.components import COMPONENTS

APIS = ("ingest", "read")
UNPUBLISHED = "read before anything is published"

# The generator and all that it needs, each in the version that was tried.
NODE_PACKAGES = ["openapi-typescript@7.13.0", "typescript@5.9.3"]


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_ingest(tmp_path_factory.mktemp("ingest"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def documents(ingest: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each API's description, from a server to a file; the read API's before a publication, too."""
    folder = tmp_path_factory.mktemp("descriptions")
    read = start_read(ingest.settings.home)
    try:
        files = {}
        for name, server, api in (
            ("ingest", ingest, "ingest"),
            (UNPUBLISHED, read, "read"),
            ("read", read, "read"),
        ):
            if name == "read":
                publish_rows(read.settings, {})
            files[name] = folder / f"{name}.json"
            files[name].write_bytes(httpx.get(f"{server.url}/{api}/openapi.json").content)
        return files
    finally:
        read.stop()


def described(documents: dict[str, Path], api: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(documents[api].read_bytes())
    return found


@pytest.mark.parametrize("api", [*APIS, UNPUBLISHED])
def test_the_description_is_valid(documents: dict[str, Path], api: str) -> None:
    found = described(documents, api)
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    assert found["info"]["version"] == version("funnelhouse")


@pytest.mark.parametrize("api", APIS)
def test_every_schema_is_named_and_every_property_described(documents: dict[str, Path], api: str) -> None:
    document = described(documents, api)
    schemas = document["components"]["schemas"]
    assert set(_references(document)) == {f"{COMPONENTS}{name}" for name in schemas}
    assert [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description") and "$ref" not in about
    ] == []
    unnamed = [
        (path, method, media["schema"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for place in (operation.get("requestBody", {}), *operation["responses"].values())
        for media in place.get("content", {}).values()
        if _has_members(media["schema"])
    ]
    assert unnamed == []
    problems = {
        name for name in schemas if {"type", "title", "detail"} <= schemas[name].get("properties", {}).keys()
    }
    assert problems == {"Problem"}


def test_columns_are_described_by_what_is_published(documents: dict[str, Path]) -> None:
    before, after = (described(documents, api)["components"]["schemas"] for api in (UNPUBLISHED, "read"))
    assert before.keys() == after.keys()
    # What is no column has words of its own.
    assert before["Summary"]["properties"]["build"] == after["Summary"]["properties"]["build"]
    was, now = (schemas["LandingPage"]["properties"]["converting_sessions"] for schemas in (before, after))
    assert "description" not in was
    (column,) = (each for each in marts()["rpt_landing_pages"] if each["name"] == "converting_sessions")
    assert now["description"] == column["description"]


def test_kinds_states_and_statuses_are_enumerations(documents: dict[str, Path]) -> None:
    ingest, read = (described(documents, api)["components"]["schemas"] for api in APIS)
    understood = ingest["Understood"]["properties"]
    assert {"visit", "conversion", "refund"} <= set(understood["kind"]["enum"])
    assert "pageview" in ingest["OpenanalyticsReport"]["properties"]["event_type"]["enum"]
    assert {"pending", "trash", "chargeback"} <= set(ingest["StatusWord"]["enum"])
    # Any word is taken.
    for name in ("OpenanalyticsReport", "FunnelfluxPostback"):
        known, any_word = ingest[name]["properties"]["status"]["anyOf"]
        assert known == {"$ref": f"{COMPONENTS}StatusWord"} and "string" in any_word["type"]
    assert ingest["ItemResult"]["properties"]["status"]["enum"] == [202, 400, 403]
    assert read["Conversion"]["properties"]["state"]["enum"] == ["approved", "pending", "rejected"]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _has_members(schema: Any) -> bool:
    """Whether a schema, outside of components, says what members an object has."""
    if isinstance(schema, list):
        return any(map(_has_members, schema))
    if not isinstance(schema, dict):
        return False
    return "properties" in schema or any(map(_has_members, schema.values()))


@pytest.fixture(scope="module", params=APIS)
def python_client(
    request: pytest.FixtureRequest, documents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The name of an API, and a folder with the package `client` that was generated for it."""
    folder = tmp_path_factory.mktemp("client")
    config = folder / "config.json"
    config.write_text('{"post_hooks": []}')
    generated = subprocess.run(
        [
            *(Path(sys.executable).with_name("openapi-python-client"), "generate", "--meta", "none"),
            *("--path", documents[request.param], "--output-path", folder / "client", "--config", config),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    # What the generator cannot read it leaves out, and warns.
    assert "warning" not in (generated.stdout + generated.stderr).lower()
    return request.param, folder


def test_the_python_client_has_every_operation(
    documents: dict[str, Path], python_client: tuple[str, Path]
) -> None:
    api, folder = python_client
    operations = {
        operation["operationId"]
        for methods in described(documents, api)["paths"].values()
        for operation in methods.values()
    }
    generated = {path.stem for path in (folder / "client/api").glob("*/*.py") if path.stem != "__init__"}
    assert generated == operations
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in (folder / "client/api").glob("*/*.py")
    ]
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], cwd=folder, check=True)


ORDER = """
import sys
from client import AuthenticatedClient, models
from client.api.destinations import list_destinations, put_destination
from client.api.openanalytics import report_events
from client.api.window import event

url, key = sys.argv[1:]
order = models.OpenanalyticsReport(
    event_type=models.OpenanalyticsReportEventType.CONVERSION,
    event_name="purchase",
    event_id="order-1",
    user_id="ada",
    revenue=49.5,
    currency="USD",
    transaction_id="o-1",
    status=models.StatusWord.PENDING,
)
with AuthenticatedClient(base_url=url, token=key) as client:
    tried = report_events.sync("shop", client=client, body=[order], funnelhouse_dry_run=models.DryRun.VALUE_0)
    assert (tried.queued, tried.warnings) == (False, []), tried
    assert tried.understood[0].amount_text == "49.5"
    sent = report_events.sync("shop", client=client, body=order)
    assert (sent.queued, sent.accepted) == (True, 1), sent
    refused = report_events.sync("shop", client=client, body=[])
    assert isinstance(refused, models.Problem) and refused.status == 400, refused
    (report,) = event.sync("shop", "order-1", client=client).reports
    assert report.wins and report.understood.kind is models.UnderstoodEventKind.CONVERSION
    assert (report.understood.transaction_id, report.understood.status) == ("o-1", "pending")
    # Of the four kinds of destinations each is a type of its own.
    told = models.WebhookDestination(name="Orders", kind="webhook", url="https://orders.example/")
    stored = put_destination.sync("shop", "orders", client=client, body=told)
    assert isinstance(stored, models.StoredWebhookDestination) and stored.include == [], stored
    (listed,) = list_destinations.sync("shop", client=client).destinations
    assert listed == stored and listed.trigger is models.StoredWebhookDestinationTrigger.EVERY_CHANGE
"""


@pytest.mark.parametrize("python_client", ["ingest"], indirect=True)
def test_the_python_client_sends_an_order(ingest: Server, python_client: tuple[str, Path]) -> None:
    _, folder = python_client
    key = ingest.key("shop")
    ran = subprocess.run(
        [sys.executable, "-c", ORDER, ingest.url, key], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the generator for TypeScript is installed."""
    if shutil.which("npm") is None:
        # Pip cannot bring it; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip("needs Node 20 or newer with npm: https://nodejs.org, or `apt-get install nodejs npm`")
    folder = tmp_path_factory.mktemp("node")
    options = [
        "--no-save",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefer-offline",
    ]
    subprocess.run(["npm", "install", *options, "--prefix", folder, *NODE_PACKAGES], check=True, timeout=300)
    return folder / "node_modules"


@pytest.mark.parametrize("api", APIS)
def test_types_for_typescript_are_generated(
    documents: dict[str, Path], node_modules: Path, tmp_path: Path, api: str
) -> None:
    types = tmp_path / "api.ts"
    ran = subprocess.run(
        [node_modules / ".bin/openapi-typescript", documents[api], "--output", types],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    operations = {"ingest": "report_events", "read": "funnel_report"}
    assert f'operations["{operations[api]}"]' in types.read_text()
