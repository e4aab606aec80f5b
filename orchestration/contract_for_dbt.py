"""dbt's files that say again what the contract says: the sources, and a doc block for each column.

`make contract` writes them. Models describe a column that they hand on by its block:
`description: "{{ doc('events_hit_id') }}"`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from record.contract import RAW_TABLES, SEQ_DOC, Column, columns

STAGING = Path(__file__).resolve().parent.parent / "dbt_project" / "models" / "staging"

_MADE_BY = "Made from record/contract.py by `make contract`."

_SOURCE = """\
version: 2

sources:
  - name: raw
    description: >-
      The permanent record: what senders reported, sealed to Parquet in the order of `seq`, for ever.
    config:
      meta:
        external_location: >-
          read_parquet('raw/{name}/*/*.parquet',
          union_by_name = true, hive_partitioning = false, filename = true)
    tables:
"""

_SEQ = Column("seq", "BIGINT", True, (), SEQ_DOC)


def files() -> dict[Path, str]:
    """Each file with its text."""
    return {
        STAGING / "_sources.yml": f"# {_MADE_BY}\n{_SOURCE}{''.join(_tables())}",
        STAGING / "_contract.md": f"{_MADE_BY}\n\n{''.join(_doc_blocks())}",
    }


def _tables() -> Iterator[str]:
    for table, row in RAW_TABLES.items():
        yield f"      - name: {table}\n        description: {_text(row.__doc__ or '')}\n        columns:\n"
        for column in (_SEQ, *columns(row)):
            yield f"          - name: {column.name}\n"
            yield f"            data_type: {column.sql_type}\n"
            yield f"            description: {_text(column.doc)}\n"


def _doc_blocks() -> Iterator[str]:
    # Positions are those of one record, so there is one block for all tables.
    yield _doc_block("seq", SEQ_DOC)
    for table, row in RAW_TABLES.items():
        for column in columns(row):
            yield _doc_block(f"{table}_{column.name}", column.doc)


def _doc_block(name: str, text: str) -> str:
    return f"{{% docs {name} %}}\n{text}\n{{% enddocs %}}\n\n"


def _text(text: str) -> str:
    """A double-quoted scalar of YAML, which every JSON string is."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
