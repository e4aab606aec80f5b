"""The fingerprint of a dbt project: of what its tables are made from, not of what explains or tests them."""

import ast
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from orchestration.manifest import Manifest

_JINJA = r"\{\{.*?\}\}|\{%.*?%\}"

# From left to right, whichever begins first: a text may hold what elsewhere begins a comment.
_PIECES = re.compile(
    r"(?P<jinja_comment>\{#.*?#\})"
    rf"|(?P<jinja>{_JINJA})"
    rf"|(?P<text>'(?:{_JINJA}|''|[^'])*'|\"(?:{_JINJA}|\"\"|[^\"])*\")"
    r"|(?P<comment>--[^\n]*|/\*.*?\*/)"
    r"|(?P<space>\s+)",
    re.DOTALL,
)
_JINJA_BLOCK = re.compile(_JINJA, re.DOTALL)

_EXPLAINING = frozenset({"access", "docs", "group", "meta", "tags"})
"""Settings of a node that change no row."""


def compiled_digest(manifest: Manifest, project: Path) -> str:
    """SHA-256 of SQL, seeds and variables. Comments, descriptions and tests leave it as it is.

    `project` is the folder that the manifest was parsed from, or a copy of it.
    """
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")]
    names = {node["package_name"] for node in nodes}
    made_from = {
        "project": yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8")),
        "nodes": {node["unique_id"]: _node(node, project) for node in nodes},
        "macros": {
            name: without_comments(macro["macro_sql"])
            for name, macro in manifest["macros"].items()
            if macro["package_name"] in names and not macro["name"].startswith("test_")
        },
        "sources": {
            name: [source["relation_name"], source["meta"], source["config"], _columns(source)]
            for name, source in manifest["sources"].items()
        },
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()


def of_engine(digest: str) -> str:
    """The fingerprint by which a warehouse knows what made it: of a project, and of DuckDB's version."""
    return hashlib.sha256(f"{version('duckdb')} {digest}".encode()).hexdigest()


def without_comments(code: str) -> str:
    """SQL with Jinja, without comments and without the difference between one blank and many."""
    # Twice, because a comment that is gone leaves two blanks.
    return _PIECES.sub(_kept, _PIECES.sub(_kept, code)).strip()


def _kept(piece: re.Match[str]) -> str:
    if piece["space"] or piece["jinja_comment"]:
        return " "
    if piece["comment"]:
        # Jinja runs within comments of SQL, too.
        return " ".join(["", *_JINJA_BLOCK.findall(piece[0])]) or " "
    return piece[0]


def _node(node: Mapping[str, Any], project: Path) -> list[object]:
    if node["resource_type"] == "seed":
        code = hashlib.sha256((project / node["original_file_path"]).read_bytes()).hexdigest()
    elif node["language"] == "python":
        code = ast.unparse(ast.parse(node["raw_code"]))
    else:
        code = without_comments(node["raw_code"])
    config = {name: value for name, value in node["config"].items() if name not in _EXPLAINING}
    # A contract's types and constraints are the table's.
    columns = _columns(node) if node["config"].get("contract", {}).get("enforced") else []
    return [code, config, columns]


def _columns(node: Mapping[str, Any]) -> list[object]:
    return [[c["name"], c["data_type"], c.get("constraints")] for c in node["columns"].values()]
