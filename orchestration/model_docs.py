"""The models as pages to read: dbt's own documentation site in one file, with lineage and descriptions.

It is made of definitions only. dbt's site asks the network for nothing that it needs; what it would tell its
makers is kept in by the headers that it is served with (`read_api/models.py`).
"""

import gzip
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Beside definitions dbt keeps where on this machine they lie, and who parsed them.
_PLACES = frozenset({"root_path", "build_path", "compiled_path", "deferred", "created_at"})
_METADATA = ("dbt_schema_version", "dbt_version", "project_name", "adapter_type")


def write_model_docs(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the site of a parsed project, gzipped."""
    page = (importlib.resources.files("dbt.task.docs") / "index.html").read_text(encoding="utf-8")
    page = page.replace('"MANIFEST.JSON INLINE DATA"', _in_a_script(_definitions(manifest)))
    page = page.replace('"CATALOG.JSON INLINE DATA"', _in_a_script(_catalog(manifest)))
    path.write_bytes(gzip.compress(page.encode(), mtime=0))


def _definitions(manifest: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        kind: {name: _shown(each) for name, each in manifest[kind].items()}
        for kind in ("nodes", "sources", "macros", "exposures", "unit_tests")
    }
    told = manifest["metadata"]
    return {**manifest, **shown, "metadata": {name: told.get(name) for name in _METADATA}}


def _shown(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node without places, its example where the site shows SQL as SQL."""
    shown = {key: value for key, value in node.items() if key not in _PLACES}
    example = (node.get("meta") or {}).get("example")
    if example:
        shown["description"] = f"{node['description']}\n\nFor example:\n\n```sql\n{example}\n```"
        shown["meta"] = {key: value for key, value in node["meta"].items() if key != "example"}
    return shown


def _catalog(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the site wants to be told of tables: the types of columns, as contracts say them."""
    nodes = {
        name: {
            "unique_id": name,
            "metadata": {
                "type": "table",
                "schema": "main",
                "name": node["name"],
                "comment": None,
                "owner": None,
            },
            "columns": {
                column["name"]: {"name": column["name"], "type": column["data_type"], "index": place}
                for place, column in enumerate(node["columns"].values(), start=1)
            },
            "stats": {},
        }
        for name, node in manifest["nodes"].items()
        if node["columns"] and all(column["data_type"] for column in node["columns"].values())
    }
    return {"nodes": nodes, "sources": {}, "metadata": {}, "errors": None}


def _in_a_script(data: Mapping[str, Any]) -> str:
    """JSON that ends no script, whatever its texts say."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
