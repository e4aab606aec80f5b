"""Paths have one form: what the models make of one is what a reading byte by byte would."""

import json
import unicodedata
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from read_api import page_paths

HEX = "0123456789abcdefABCDEF"

escapes = st.builds("%{}{}".format, st.sampled_from(HEX), st.sampled_from(HEX))
escaped_texts = st.builds(
    lambda text, upper: "".join(f"%{byte:02X}" if upper else f"%{byte:02x}" for byte in text.encode()),
    st.text(min_size=1, max_size=3),
    st.booleans(),
)
parts = st.one_of(
    escaped_texts,
    escapes,
    st.sampled_from(["/", "%", "%2", "+", "*", "\\", "C2", "%C2"]),
    st.text(max_size=3),
)
paths = st.lists(parts, max_size=8).map(lambda texts: ("/" + "".join(texts)).replace("\0", ""))


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """A database in which `int_pages` is a view over definitions that a test puts there."""
    connection = duckdb.connect()
    connection.execute(
        """
        attach ':memory:' as warehouse;
        use warehouse.main;
        create table int_definitions (
            project_id varchar, kind varchar, key varchar, is_deleted boolean, body varchar
        );
        """
    )
    (model,) = (p for p in compiled_models.rglob("int_pages.sql") if p.parent.suffix != ".yml")
    connection.execute(f"create view int_pages as {model.read_text()}")
    return connection


def modelled(warehouse: duckdb.DuckDBPyConnection, paths: list[str]) -> list[str]:
    """What the models make of these paths."""
    warehouse.execute("delete from int_definitions")
    warehouse.executemany(
        "insert into int_definitions values ('shop', 'page', ?, false, ?)",
        [(f"{number:03}", json.dumps({"path": path})) for number, path in enumerate(paths)],
    )
    return [
        path for (path,) in warehouse.execute("select page_path from int_pages order by page_id").fetchall()
    ]


def normal(path: str) -> str:
    """The same, read byte by byte: each escape is its byte, and the places of escapes are kept."""
    read, escaped = bytearray(), set()
    upper = ""
    rest = path
    is_readable = True
    while rest:
        if rest[0] != "%":
            read += rest[0].encode()
            upper += rest[0]
            rest = rest[1:]
        elif len(rest) > 2 and rest[1] in HEX and rest[2] in HEX:
            escaped.add(len(read))
            read.append(int(rest[1:3], 16))
            upper += rest[:3].upper()
            rest = rest[3:]
        else:
            is_readable = False
            upper += "%"
            rest = rest[1:]
    try:
        text = read.decode() if is_readable else ""
    except UnicodeDecodeError:
        is_readable = False
    if is_readable:
        upper, place = "", 0
        for letter in text:
            letters = letter.encode()
            is_kept = letter in "/?#%\\" or unicodedata.category(letter) == "Cc"
            upper += "".join(f"%{b:02X}" for b in letters) if is_kept and place in escaped else letter
            place += len(letters)
    return upper.rstrip("/") or path[:1]


@settings(max_examples=80, deadline=None)
@given(st.lists(paths, min_size=1, max_size=20))
@example(
    [
        "/danke-f%c3%bcr/",
        "/%2f/",
        "/a+b",
        "/%FF/%C3%BC",
        "/50%-f%C3%BCr",
        "//",
        "/%C2%85",
        "/%25C3%25BC",
        "/%%341",
    ]
)
def test_a_path_is_made_normal_once_and_for_all(
    warehouse: duckdb.DuckDBPyConnection, paths: list[str]
) -> None:
    found = modelled(warehouse, paths)
    assert found == [normal(path) for path in paths]
    assert found == [page_paths.normal(path) for path in paths]
    assert modelled(warehouse, found) == found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(max_size=9).map(lambda text: "/" + text.replace("\0", "").replace("%", "")), min_size=1)
)
def test_a_path_escaped_as_browsers_do_is_the_path_that_people_see(
    warehouse: duckdb.DuckDBPyConnection, paths: list[str]
) -> None:
    found = modelled(warehouse, [as_browsers_do(path) for path in paths])
    assert found == modelled(warehouse, paths) == [path.rstrip("/") or "/" for path in paths]


def as_browsers_do(path: str) -> str:
    """The path with letters escaped that are not ASCII."""
    return "".join(
        letter
        if letter.isascii() or unicodedata.category(letter) == "Cc"
        else "".join(f"%{byte:02x}" for byte in letter.encode())
        for letter in path
    )


def test_long_paths_of_escapes_end(warehouse: duckdb.DuckDBPyConnection) -> None:
    ends = ["%C3%BC" * 1300, "%" * 8000, "%C3" * 2600, "%2F" * 2600, "/" * 8000]
    assert modelled(warehouse, ["/" + end for end in ends]) == [normal("/" + end) for end in ends]
