"""The documents hold together: links resolve, and what they name in the checkout is there."""

import base64
import hashlib
import importlib
import json
import re
from pathlib import Path

import pytest
from test_documented_names import DOCUMENTS

from funnelhouse import gauges
from funnelhouse.settings import CHECKOUT, TRACKER_BUILT
from funnelhouse.snippet import tag
from ingest_api.definitions.tracker import TRACKER

README = (CHECKOUT / "README.md").read_text()
LINKED = [*DOCUMENTS, CHECKOUT / "CHANGELOG.md", CHECKOUT / "benchmarks/README.md"]
DECISIONS = CHECKOUT / "docs/decisions"

NAMES = [str(document.relative_to(CHECKOUT)) for document in LINKED]
HISTORIES = ("CHANGELOG.md", "benchmarks/README.md")
"""Documents that tell of what is gone."""


def anchors(document: Path) -> set[str]:
    """What a link into the document may name, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_resolves(name: str) -> None:
    document = CHECKOUT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    folders = "|".join(path.name for path in CHECKOUT.iterdir() if path.is_dir() and path.name[0] != ".")
    # Recipes have placeholders.
    if name not in HISTORIES:
        for path in re.findall(rf"`((?:{folders})/[^`\s]*)`", (CHECKOUT / name).read_text()):
            file = path.partition("::")[0].rstrip("/")
            if not re.search(r"[<{…]|^data/", file):
                assert (CHECKOUT / file).exists() or any(CHECKOUT.glob(file)), path


@pytest.mark.parametrize("name", NAMES)
def test_every_model_and_seed_that_a_document_names_is_there(name: str) -> None:
    if name not in HISTORIES:
        models = {path.stem for path in (CHECKOUT / "dbt_project/models").rglob("*.*")}
        text = (CHECKOUT / name).read_text()
        named = set(re.findall(r"`((?:stg|int|dim|fct|rpt)_[a-z_]+)`", text))
        assert named <= models, named - models
        seeds = {path.stem for path in (CHECKOUT / "dbt_project/seeds").glob("*.csv")}
        named = set(re.findall(r"\bseed `([a-z_]+)`", text))
        assert named <= seeds, named - seeds


@pytest.mark.parametrize("name", NAMES)
def test_every_target_of_make_that_a_document_names_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", (CHECKOUT / name).read_text(), re.MULTILINE)
    assert {target for words in named for target in words.split()} <= targets


def test_the_trackers_settings_are_described_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (CHECKOUT / "docs/tracker.md").read_text(), re.MULTILINE)
    shown = {name: default.strip().strip("`") for name, default in rows}

    def written(value: object) -> str:
        return ", ".join(value) or "[]" if isinstance(value, list) else json.dumps(value).strip('"')

    defaults = {name: written(value) for name, value in TRACKER.complete(None).items()}
    assert {name: shown.get(name) for name in defaults} == defaults


def test_the_stubs_hash_is_that_of_what_is_pasted() -> None:
    stub = (TRACKER_BUILT / "stub.js").read_text(encoding="utf-8").strip()
    assert f"<script>{stub}</script>" in tag("https://shop.example/t/shop.js", stub)
    digest = base64.b64encode(hashlib.sha256(stub.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in (CHECKOUT / "docs/tracker.md").read_text()


def test_every_package_is_in_the_table_of_the_architecture() -> None:
    table = re.findall(r"^\| (`.+?`) \|", (CHECKOUT / "docs/architecture.md").read_text(), re.MULTILINE)
    described = {name for cell in table for name in re.findall(r"`(\w+)/`", cell)}
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")}
    assert packages | {"dbt_project", "tests"} <= described


def test_the_readme_is_one_screen_that_shows_a_picture() -> None:
    assert len(README.splitlines()) < 120
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 1
    assert (CHECKOUT / pictures[0]).stat().st_size <= 200 * 1024


def test_the_readmes_table_has_every_dialect_and_only_addresses_that_are_served() -> None:
    table = README.partition("| vendor | endpoint |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+) \|", table, re.MULTILINE))
    dialects = sorted(path.stem for path in (CHECKOUT / "ingest_api/dialects").glob("*.yaml"))
    # What is read with a vendor's client has no dialect.
    assert sorted(vendor.lower() for vendor in rows if "reading" not in vendor) == dialects
    for vendor, cell in rows.items():
        if vendor.lower() in dialects:
            served = {
                re.sub(r"{\w+}", "{}", route.path).rstrip("/")
                for route in importlib.import_module(f"ingest_api.dialects.{vendor.lower()}").ROUTES
            }
            named = {re.sub(r"{\w+}", "{}", path).rstrip("/") for path in re.findall(r"(/[\w/{}-]+)`", cell)}
            assert named
            assert named <= served, vendor


def test_every_decision_has_its_parts_and_its_line_in_the_index() -> None:
    index = (DECISIONS / "README.md").read_text()
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for file in files:
        text = file.read_text()
        title = re.match(r"# (.+)\n\n- Status: \S.*\n- Area: \S.*\n", text)
        assert title, file.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Given up"], file.name
        assert f"[{title[1]}]({file.name})" in index, file.name


def test_the_table_of_metrics_has_every_gauge_of_the_house() -> None:
    table = (CHECKOUT / "docs/operations.md").read_text().partition("| metric, `funnelhouse_…`")[2]
    cells = re.findall(r"^\| (`[^|]+) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(gauges._DESCRIPTIONS)
