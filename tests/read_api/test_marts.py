"""Marts over HTTP: pages and whole files, of one project only."""

import csv
import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, contract, new_key, publish_rows, read_server

from funnelhouse.settings import Settings

PATH = "/v1/projects/shop/marts/fct_conversions"


def pages(server: ReadServer, limit: int) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        body = server.get(PATH, limit=limit, **({"cursor": cursor} if cursor else {})).json()
        found.append(body["rows"])
        cursor = body["next"]
        if cursor is None:
            return found


def test_the_list_of_marts(server: ReadServer) -> None:
    answer = server.get("/v1/projects/shop/marts")
    body = answer.json()
    assert body["build"] == answer.headers["funnelhouse-build"]
    marts = {mart["name"]: mart for mart in body["marts"]}
    assert marts.keys() == contract().keys()
    assert marts["fct_conversions"]["rows"] == 25
    assert marts["fct_sessions"]["rows"] == len(EXAMPLE_ROWS["fct_sessions"])
    assert marts["fct_sessions"]["description"] == "Mart's rows."
    for name, columns in contract().items():
        assert {c["name"]: c["type"] for c in marts[name]["columns"]} == columns
    assert next(c for c in marts["fct_sessions"]["columns"] if c["name"] == "project_id") == {
        "name": "project_id",
        "type": "varchar",
        "description": "Tenant.",
    }


@pytest.mark.parametrize("limit", [1, 7, 24, 25, 26])
def test_pages_hold_every_row_once_in_one_order(server: ReadServer, limit: int) -> None:
    found = pages(server, limit)
    assert all(len(page) == limit for page in found[:-1])
    rows = [row for page in found for row in page]
    assert rows == server.get(PATH).json()["rows"]
    assert [row["project_id"] for row in rows] == ["shop"] * 25
    keys = [(row["conversion_date"], row["conversion_id"]) for row in rows]
    assert keys == sorted(set(keys))


def test_values_in_json(server: ReadServer) -> None:
    row = server.get(PATH, limit=1).json()["rows"][0]
    assert list(row) == list(contract()["fct_conversions"])
    assert row["occurred_at"] == "2026-11-02T10:00:00Z"
    assert row["conversion_date"] == "2026-11-02"
    assert row["session_id"] is None
    text = server.get("/v1/projects/shop/marts/rpt_attribution").text
    exact = json.loads(text, parse_float=Decimal)["rows"]
    assert sorted(row["conversions"] for row in exact)[0] == Decimal("0.333333334")


def test_sums_beyond_sixty_four_bits_are_whole_numbers_everywhere(server: ReadServer) -> None:
    headers = {"Authorization": f"Bearer {new_key(server.settings, 'vast')}"}
    base, minor = f"{server.client.base_url}/v1/projects/vast", 3 * 10**20 + 1

    def ask(path: str, **query: str) -> httpx.Response:
        answer = httpx.get(f"{base}/{path}", params=query, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer

    (row,) = ask("marts/rpt_attribution").json()["rows"]
    assert (row["credit_nano"], row["net_amount_minor"]) == (10**20, minor)
    (row,) = csv.DictReader(io.StringIO(ask("marts/rpt_attribution", format="csv").text, newline=""))
    assert (row["credit_nano"], row["net_amount_minor"]) == (str(10**20), str(minor))
    parquet = pyarrow.parquet.read_table(io.BytesIO(ask("marts/rpt_attribution", format="parquet").content))
    assert parquet.schema.field("net_amount_minor").type == pa.decimal128(38, 0)
    assert parquet.column("net_amount_minor").to_pylist() == [minor]
    report = ask("reports/attribution", **{"from": "2026-11-01", "to": "2026-11-30"}).text
    assert f'"net_amount_minor":{minor},' in report.replace(" ", "").replace("}", ",")


def test_csv_is_complete_and_no_text_is_a_formula(server: ReadServer) -> None:
    answer = server.get(PATH, format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["funnelhouse-build"] in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 25
    names = {row["name"] for row in rows}
    assert names == {"purchase", "'=1+1", "'+1", "'-1", "'@sum", "'\t=1", "'\r=1", 'say "hi", ok', ""}
    assert rows[0]["occurred_at"] == "2026-11-02T10:00:00.000000Z"
    # Numbers stay numbers.
    assert {row["amount_minor"] for row in rows} == {str(-number) for number in range(25)}
    # Null and empty text differ.
    lines = answer.text.split("\n")
    name = list(contract()["fct_conversions"]).index("name")
    assert {line.split(",")[name] for line in lines if ":008" in line or ":009" in line} == {'""', ""}


def test_parquet_and_arrow_hold_the_same_rows_as_json(server: ReadServer) -> None:
    for name in ("fct_conversions", "rpt_attribution", "fct_sessions"):
        path = f"/v1/projects/shop/marts/{name}"
        answer = server.get(path, format="parquet")
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        from_parquet = pyarrow.parquet.read_table(io.BytesIO(answer.content))
        answer = server.get(path, format="arrow")
        assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
        from_arrow = pa.ipc.open_stream(answer.content).read_all()
        assert from_parquet.to_pylist() == from_arrow.to_pylist()
        assert from_parquet.column_names == list(contract()[name])
        from_json = server.get(path).json()["rows"]
        assert len(from_json) == from_parquet.num_rows
        if name == "fct_conversions":
            ids = from_parquet.column("conversion_id").to_pylist()
            assert ids == [row["conversion_id"] for row in from_json]
            assert pa.types.is_timestamp(from_parquet.schema.field("occurred_at").type)
        if name == "rpt_attribution":
            assert from_parquet.schema.field("conversions").type == pa.decimal128(28, 9)


def test_an_empty_mart_in_every_format(server: ReadServer) -> None:
    path = "/v1/projects/shop/marts/fct_experiment_exposures"
    assert server.get(path).json()["rows"] == []
    header = server.get(path, format="csv").text.strip().replace('"', "").split(",")
    assert header == list(contract()["fct_experiment_exposures"])
    assert server.get(path + "/", format="parquet").status_code == 200


@pytest.mark.parametrize(
    ("path", "parameters", "detail"),
    [
        ("fct_touches", {"format": "xlsx"}, "format must be one of json, csv, parquet, arrow"),
        ("fct_touches", {"limit": "0"}, "limit must be a whole number from 1 to 10000"),
        ("fct_touches", {"limit": "10001"}, "limit must be a whole number from 1 to 10000"),
        ("fct_touches", {"limit": "1e2"}, "limit must be a whole number from 1 to 10000"),
        ("fct_touches", {"cursor": "x"}, "cursor must be `next` of the page before"),
        ("fct_touches", {"cursor": "../../x.1"}, "cursor must be `next` of the page before"),
        (
            "fct_touches",
            {"format": "csv", "limit": "5"},
            "limit and cursor belong to format=json; csv has every row",
        ),
    ],
)
def test_bad_values_say_what_would_be_valid(
    server: ReadServer, path: str, parameters: dict[str, str], detail: str
) -> None:
    answer = server.get(f"/v1/projects/shop/marts/{path}", **parameters)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["fct_secrets", 'fct_touches" union select', "duckdb_settings()"])
def test_an_unknown_mart_names_those_that_there_are(server: ReadServer, name: str) -> None:
    answer = server.get(f"/v1/projects/shop/marts/{name}")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        f"Unknown mart; use one of {', '.join(sorted(contract()))}",
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("name=%2B1", ["002", "012", "022"]),
        ("name=%2B1&name=-1&amount_minor.to=-12", ["012", "022", "013", "023"]),
        ("amount_minor=-3", ["003"]),
        ("conversion_date=2026-11-03&amount_minor.from=-8", ["001", "004", "007"]),
        (
            "conversion_date.from=2026-11-03&conversion_date.to=2026-11-03&amount_minor.from=-4",
            ["001", "004"],
        ),
        ("occurred_at.from=2026-11-02T10:00:00.000023Z", ["023", "024"]),
        ("occurred_at.to=2026-11-02T11:00:00.000001%2B01:00", ["000", "001"]),
        ("state=approved&amount_minor.from=&amount_minor.to=-24", ["024"]),
        ("state=rejected", []),
        (
            "name.not=%2B1&amount_minor.not=-3&amount_minor.not=-13&amount_minor.from=-5",
            ["000", "001", "004", "005"],
        ),
        ("session_id.is=null&amount_minor.from=-1", ["000"]),
        ("name.contains=1&amount_minor.to=-20&name.is=set", ["021", "022", "023"]),
        ("session_id.is=set", ["001"]),
        ("project_id=other", []),
    ],
)
def test_columns_are_filters_in_every_format(server: ReadServer, query: str, ids: list[str]) -> None:
    rows = server.client.get(f"{PATH}?{query}").json()["rows"]
    assert sorted(row["conversion_id"][-3:] for row in rows) == sorted(ids)
    exported = server.client.get(f"{PATH}?{query}&format=csv").text
    assert [row["conversion_id"] for row in csv.DictReader(io.StringIO(exported))] == [
        row["conversion_id"] for row in rows
    ]


def test_pages_of_a_filter_have_every_row_once(server: ReadServer) -> None:
    ids, cursor = [], ""
    while cursor is not None:
        page = server.get(PATH, **{"amount_minor.to": "-5", "limit": "3", "cursor": cursor}).json()
        ids += [row["conversion_id"] for row in page["rows"]]
        cursor = page["next"]
    assert len(ids) == len(set(ids)) == 20


@pytest.mark.parametrize(
    ("parameter", "value", "detail"),
    [
        ("amount_minor", "1.0", "amount_minor must be a value of the type bigint"),
        ("amount_minor.from", str(2**63), "amount_minor.from must be a value of the type bigint"),
        ("conversion_date", "2026-02-30", "conversion_date must be a value of the type date"),
        ("conversion_date.to", "20260201", "conversion_date.to must be a value of the type date"),
        (
            "occurred_at.to",
            "0001-01-01T00:00:00+23:00",
            "occurred_at.to must be a value of the type timestamp",
        ),
        ("is_suspected_double", "1", "is_suspected_double must be a value of the type boolean"),
        ("name.like", "%", "Unknown parameter; this mart takes its columns"),
        ("name.is", "empty", "name.is must be null or set"),
        ("amount_minor.contains", "1", "amount_minor.contains: only text contains something"),
        ("amount_minor.not", "x", "amount_minor.not must be a value of the type bigint"),
        ("name.", "x", "Unknown parameter; this mart takes its columns"),
        ('name" or 1=1 --', "x", "Unknown parameter; this mart takes its columns"),
        ("rowid", "1", "Unknown parameter; this mart takes its columns"),
    ],
)
def test_filters_are_of_the_columns_types(
    server: ReadServer, parameter: str, value: str, detail: str
) -> None:
    answer = server.get(PATH, **{parameter: value})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)
    assert server.client.get(f"{PATH}?name.from=a&name.from=b").json()["detail"] == (
        "name.from may be given once at most"
    )


def test_who_may_ask(server: ReadServer) -> None:
    for path in ("/v1/projects/shop/marts", PATH):
        assert httpx.get(f"{server.client.base_url}{path}").status_code == 401
        assert server.get(path.replace("shop", "other")).status_code == 404


def test_health_and_description(server: ReadServer, home: Settings) -> None:
    assert server.get("/read/live").json() == {"status": "live"}
    ready = server.get("/read/ready")
    body = ready.json()
    assert (body["status"], body["build"]) == ("ready", ready.headers["funnelhouse-build"])
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert server.get(path).status_code == 404


def test_before_the_first_publication(home: Settings) -> None:
    with read_server(home.home_dir) as server:
        for path in (PATH, "/v1/projects/shop/marts", "/v1/projects/shop/reports/attribution", "/read/ready"):
            answer = server.get(path)
            assert answer.status_code == 503
            assert answer.json()["detail"] == "Nothing is published to read; run `funnelhouse build`."
        assert server.get("/read/live").status_code == 200


# Some 100 MB of csv: more than sockets hold.
BIG_MART = """
    insert into fct_conversions (project_id, conversion_id, name)
    select 'shop', 'shop/' || range, repeat(md5(range::text), 8) from range(350000)
"""


def open_marts_files(server: ReadServer) -> set[str]:
    """Builds whose file the server's processes hold open."""
    files: list[Path] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # Processes end and descriptors close while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            process_group = stat.read_text().rpartition(")")[2].split()[2]
            if process_group == str(server.process.pid):
                for link in stat.parent.glob("fd/*"):
                    with suppress(FileNotFoundError):
                        files.append(link.readlink())
    return {path.parent.name for path in files if path.name == "marts.duckdb"}


@pytest.mark.long
def test_pages_stay_in_their_build_and_old_builds_are_let_go(home: Settings) -> None:
    start = datetime.now(UTC)
    first = publish_rows(home, EXAMPLE_ROWS, start)
    with read_server(home.home_dir) as server:
        page = server.get(PATH, limit=20).json()
        assert page["build"] == first.build_id

        second = publish_rows(home, {}, start + timedelta(seconds=1))
        # A new request sees the new build at once, without a restart …
        assert server.get(PATH).json()["rows"] == []
        assert server.get(PATH).headers["funnelhouse-build"] == second.build_id
        # … and the next page is of the build that its walk began with.
        following = server.get(PATH, cursor=page["next"])
        assert following.headers["funnelhouse-build"] == first.build_id
        assert len(following.json()["rows"]) == 5
        assert open_marts_files(server) == {second.build_id}

        for seconds in range(2, 5):
            publish_rows(home, {}, start + timedelta(seconds=seconds))
        gone = server.get(PATH, cursor=page["next"])
        assert gone.status_code == 410
        assert gone.json()["detail"] == "This build is not kept any more; leave build and cursor out."


@pytest.mark.long
def test_a_broken_off_download_lets_its_build_go(home: Settings) -> None:
    start = datetime.now(UTC)
    old = publish_rows(home, {}, start, BIG_MART)
    with read_server(home.home_dir) as server:
        with server.client.stream("GET", PATH, params={"format": "csv"}) as answer:
            received = answer.iter_raw(1024)
            assert next(received)
            new = publish_rows(home, {}, start + timedelta(seconds=1))
            assert server.get("/read/ready").json()["build"] == new.build_id
            assert open_marts_files(server) == {old.build_id, new.build_id}
        deadline = datetime.now(UTC) + timedelta(seconds=10)
        while open_marts_files(server) != {new.build_id}:
            assert datetime.now(UTC) < deadline
