"""Exchange rates over HTTP: JSON, pasted CSV, the ECB's files; all or nothing, each fault with its line."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from servers import Server

from ingest_api.definitions.exchange_rates import EXAMPLE
from ingest_api.definitions.rate_files import MOST_PAIRS, MOST_RATES, UNZIPPED_BYTES
from ingest_api.lengths import DEFINITION_BYTES

PROJECT = "rated"
URL = f"/v1/projects/{PROJECT}/exchange-rates"
ECB = Path(__file__).with_name("ecb_files")
DRY = {"Funnelhouse-Dry-Run": "1"}
CSV = "date,from,to,rate\n2026-05-01,EUR,USD,1.0839\n2026-05-02,JPY,USD,0.0068\n"


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key(PROJECT, "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers, timeout=60) as client:
        yield client


def stored(server: Server) -> list[tuple[str, str | None]]:
    with closing(server.store()) as store:
        return store.query(
            "SELECT key, body FROM definitions WHERE project_id = ? AND kind = 'exchange_rates' ORDER BY id",
            PROJECT,
        )


def added(client: httpx.Client, server: Server, content: bytes, query: str = "") -> list[str]:
    """The rates that a body lands."""
    before = len(stored(server))
    answer = client.post(f"{URL}{query}", content=content)
    assert answer.status_code == 200, answer.text
    landed = [json.loads(body or "")["rates"] for _, body in stored(server)[before:]]
    texts = [text for part in landed for text in part]
    assert answer.json()["accepted"] == len(texts)
    return texts


def refused(client: httpx.Client, server: Server, content: bytes, query: str = "") -> str:
    """What is said of a body of which nothing lands."""
    before = stored(server)
    answer = client.post(f"{URL}{query}", content=content)
    assert answer.status_code == 400, answer.text
    assert stored(server) == before
    return str(answer.json()["detail"])


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_json_takes_rates_as_text_and_as_numbers(client: httpx.Client, ingest_server: Server) -> None:
    one = b'{"from":"eur","to":"USD","date":"2026-05-02","rate":1.0843000}'
    other = b'{"from":"USD","to":"JPY","date":"2026-05-02","rate":"150"}'
    body = b'{"rates":[' + one + b"," + other + b"]}"
    assert added(client, ingest_server, body) == ["2026-05-02 EUR USD 1.0843000", "2026-05-02 USD JPY 150"]


@pytest.mark.parametrize(
    "body",
    [
        CSV,
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        "\n\n" + CSV + "\n\n",
        'rate,"To",FROM, date\n1.0839,USD,EUR,2026-05-01\n 0.0068 ,usd,"jpy",2026-05-02',
    ],
)
def test_csv_is_read_however_it_was_pasted(client: httpx.Client, ingest_server: Server, body: str) -> None:
    expected = ["2026-05-01 EUR USD 1.0839", "2026-05-02 JPY USD 0.0068"]
    assert added(client, ingest_server, body.encode()) == expected


@pytest.mark.parametrize("is_zipped", [False, True])
def test_the_history_of_the_ecb_is_read_as_it_comes(
    client: httpx.Client, ingest_server: Server, is_zipped: bool
) -> None:
    body = (ECB / "eurofxref-hist.csv").read_bytes()
    if is_zipped:
        body = zipped(**{"eurofxref-hist.csv": body})
    texts = added(client, ingest_server, body)
    assert "2004-06-01 EUR CYP 0.58361" in texts
    assert "2026-05-05 EUR JPY 163.02" in texts
    # No rates of 1999, and none where a currency has none.
    assert len(texts) == 7 + 7 + 7


@pytest.mark.parametrize("name", ["eurofxref.csv", "eurofxref-daily.xml"])
def test_the_ecbs_files_of_a_day_are_read_as_they_come(
    client: httpx.Client, ingest_server: Server, name: str
) -> None:
    texts = added(client, ingest_server, (ECB / name).read_bytes(), "?currencies=USD,GBP")
    assert texts == ["2026-05-05 EUR USD 1.1335", "2026-05-05 EUR GBP 0.85215"]


def test_currencies_and_first_day_can_be_chosen(client: httpx.Client) -> None:
    body = (ECB / "eurofxref-hist.csv").read_bytes()
    answer = client.post(f"{URL}?currencies=usd, jpy&since=2026-01-01", content=body, headers=DRY)
    assert answer.headers["Funnelhouse-Dry-Run"] == "1"
    # 27 rates stand in the file, 1999 included.
    assert answer.json() == {"exchange_rates_id": None, "accepted": 4, "pairs": 2, "left_out": 23}
    # What nobody chose need not be a currency that we know.
    strange = body.replace(b"CYP", b"QQQ")
    assert client.post(f"{URL}?currencies=USD", content=strange, headers=DRY).json()["accepted"] == 3
    assert "line 1: QQQ must be a currency" in client.post(URL, content=strange).json()["detail"]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("2026-05-32,EUR,USD,1", "line 3: date: must be a day"),
        ("1999-05-02,EUR,USD,1", "line 3: date: must be a day"),
        ("2101-05-02,EUR,USD,1", "line 3: date: must be a day"),
        ("05/02/2026,EUR,USD,1", "line 3: date: must be a day"),
        ("2026-05-02,EUR,QQQ,1", "line 3: to: must be a currency"),
        ("2026-05-02,EURO,USD,1", "line 3: from: must be a currency"),
        ("2026-05-02,EUR,EUR,1", "line 3: must be of two currencies"),
        ("2026-05-02,EUR,USD,0", "line 3: rate: must be between 0.0000002 and 5000000"),
        ("2026-05-02,EUR,USD,5000000.1", "line 3: rate: must be between"),
        ("2026-05-02,EUR,USD,-1", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,NaN", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,Infinity", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,1e400", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,\u0661", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,", "line 3: rate: must be a decimal"),
        ("2026-05-02,EUR,USD,1.0000000000000000001", "line 3: rate: must be a decimal"),
        ('2026-05-02,EUR,USD,"1,0843"', "line 3: rate: must have a decimal point, not a comma"),
        ("2026-05-02,EUR,USD,1,0843", "line 3: has 5 values for 4 columns; a decimal comma must be a point"),
        ("2026-05-01,USD,EUR,0.9", "line 3: same currencies and day as line 2"),
        ("=cmd|' /C calc'!A0,EUR,USD,1", "line 3: date: must be a day"),
        ("2026-05-02,EUR,USD,1\n,,,x", "line 4: date: must be a day"),
        ("2026-05-02,EUR,USD," + "9" * 200_000, "line 3: cannot be read as CSV"),
    ],
)
def test_one_bad_line_refuses_all_and_is_named(
    client: httpx.Client, ingest_server: Server, line: str, detail: str
) -> None:
    body = f"date,from,to,rate\n2026-05-01,EUR,USD,1.0839\n{line}\n2026-05-09,EUR,USD,1\n"
    assert refused(client, ingest_server, body.encode()).startswith(detail)


def test_every_bad_line_is_named_up_to_twenty(client: httpx.Client, ingest_server: Server) -> None:
    body = "date;from;to;rate\n" + "2026-05-01;EUR;USD;1,08\n" * 30
    said = refused(client, ingest_server, body.encode()).split("; ")
    assert said[0].startswith("line 2: rate: must have a decimal point") and said[-1] == "and 10 more"
    assert len(said) == 21


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "line 1: must name the columns"),
        (b"2026-05-01,EUR,USD,1.0839\n", "line 1: must name the columns"),
        (b"date,from,to,rate,note\n", "line 1: must name the columns"),
        (b"date,from,to,rate\n", "no rate of the chosen currencies and days"),
        (b"Date,USD,USD\n", "line 1: names a currency twice"),
        (b"Date,USD\n2026-05-01,1\n2026-05-01,2\n", "line 3: same currencies and day as line 2"),
        (b"Date,USD,JPY\n2026-05-01,1,084,163\n", "line 2: has 4 values for 3 columns"),
        (b"\xff\xfed\x00a\x00t\x00e\x00", "must be UTF-8"),
        (b"<html>", "no rate"),
        (b"<Cube currency='USD' rate='1'/>", "line 1: must stand below a Cube with its time"),
        (b"<Cube time='2026-05-01'>\n<Cube currency='USD' rate='one'/>", "line 2: rate: must be a decimal"),
        (
            b'<!DOCTYPE x [<!ENTITY a "1">]><Cube time="2026-05-01"><Cube currency="USD" rate="&a;"/>',
            "line 1: rate: must be a decimal",
        ),
        (b"PK\x03\x04 no zip", "the zip cannot be unpacked"),
        (zipped(a=b"1", b=b"2"), "the zip must hold one file"),
        (zipped(a=b" " * (UNZIPPED_BYTES + 1)), f"the zip must have at most {UNZIPPED_BYTES} bytes"),
        (zipped(a=zipped(b=b"1")), "must be UTF-8"),
        (b"[]", "Input should be a valid dictionary"),
        (b"{}", "rates: Field required"),
        (b'{"rates":[]}', "rates: List should have at least 1 item"),
        (b'{"rates":[{"from":"EUR","to":"USD","date":"2026-05-01","rate":NaN}]}', "JSON"),
        (b'{"rates":[{"from":"EUR","to":"USD","date":"2026-05-01","rate":1e400}]}', "beyond the range"),
        (b'{"rates":[{"from":"EUR","to":"USD","date":"2026-05-01","rate":true}]}', "rates.0.rate: must be"),
        (b'{"rates":[{"from":"EUR","to":"USD","date":"2026-05-01","rate":"\\u0000"}]}', ""),
        (b'{"rates":[{"from":"EUR","to":"EUR","date":"2026-05-01","rate":1}]}', "rates.0: must be of two"),
        (b'{"rates":[{"from":"EUR","to":"USD","date":"2026-05-01","rate":1,"x":1}]}', "rates.0.x: Extra"),
    ],
)
def test_bodies_that_say_no_rates_are_refused_in_words(
    client: httpx.Client, ingest_server: Server, body: bytes, detail: str
) -> None:
    assert detail in refused(client, ingest_server, body)


@pytest.mark.parametrize("query", ["?currencies=QQQ", "?since=yesterday", "?currencies=USD&since=2026-02-30"])
def test_what_is_chosen_must_be_readable(client: httpx.Client, ingest_server: Server, query: str) -> None:
    said = refused(client, ingest_server, CSV.encode(), query)
    assert said.startswith(("currencies: each must be a currency", "since: must be a day"))


def test_a_hundred_megabytes_are_not_read_to_their_end(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1024 * 1024

    try:
        status = client.post(URL, content=endless()).status_code
    except (httpx.WriteError, httpx.ReadError):
        return
    assert status == 413


def test_the_latest_are_first_however_fast_they_follow(client: httpx.Client) -> None:
    ids = [client.post(URL, content=CSV).json()["exchange_rates_id"] for _ in range(12)]
    listed = [each["exchange_rates_id"] for each in client.get(URL).json()["exchange_rates"]]
    assert listed[:12] == ids[::-1]


def wide(days: int, codes: list[str]) -> bytes:
    first = date(2000, 1, 1)
    lines = [f"Date,{','.join(codes)},"]
    lines += [f"{first + timedelta(day)},{','.join('1.5' for _ in codes)}," for day in range(days)]
    return "\n".join(lines).encode()


def test_a_long_history_takes_several_definitions_and_is_withdrawn_as_one(
    client: httpx.Client, ingest_server: Server
) -> None:
    body = zipped(history=wide(6000, ["USD", "JPY", "GBP"]))
    before = len(stored(ingest_server))
    texts = added(client, ingest_server, body)
    assert len(texts) == 18_000
    landed = stored(ingest_server)[before:]
    assert len(landed) > 10 and all(len(text or "") <= DEFINITION_BYTES for _, text in landed)
    (listed, *_) = client.get(URL).json()["exchange_rates"]
    assert {**listed, "added_at": "", "exchange_rates_id": ""} == {
        **{"exchange_rates_id": "", "added_at": "", "count": 18_000},
        "pairs": ["EUR/USD", "EUR/JPY", "EUR/GBP"],
        **{"first_date": "2000-01-01", "last_date": "2016-06-04"},
    }
    one = f"{URL}/{listed['exchange_rates_id']}"
    (change, *_) = client.get(f"/v1/projects/{PROJECT}/definition-changes").json()["changes"]
    assert (change["kind"], change["name"], change["change"]) == (
        *("exchange_rates", "EUR/USD, EUR/JPY, EUR/GBP", "defined"),
    )
    assert client.delete(one, headers=DRY).status_code == 204
    assert client.get(URL).json()["exchange_rates"][0] == listed
    assert client.delete(one).status_code == 204
    ended = stored(ingest_server)[before + len(landed) :]
    assert ended == [(key, None) for key, _ in landed]
    assert listed not in client.get(URL).json()["exchange_rates"]
    for unknown in (one, f"{one}.2", f"{URL}/x"):
        assert client.delete(unknown).status_code == 404


def test_more_than_fifty_thousand_are_to_be_chosen_from(client: httpx.Client, ingest_server: Server) -> None:
    body = zipped(history=wide(MOST_RATES // 3 + 1, ["USD", "JPY", "GBP"]))
    assert refused(client, ingest_server, body).startswith("more than 50,000 rates")
    answer = client.post(f"{URL}?currencies=USD,JPY", content=body, headers=DRY)
    assert (answer.json()["accepted"], answer.json()["left_out"]) == (33334, 16667)


def test_pairs_have_a_bound(client: httpx.Client, ingest_server: Server) -> None:
    codes = ["USD", "JPY", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "AUD"]
    codes += ["BRL", "CAD", "CNY", "HKD", "IDR", "ILS", "INR", "KRW", "MXN", "MYR", "NZD", "PHP", "SGD"]
    codes += ["THB", "ZAR", "ISK", "AED", "SAR", "KWD", "BHD", "OMR", "QAR", "EGP", "MAD", "TND", "NGN"]
    codes += ["KES", "GHS", "UGX", "TZS", "XOF", "XAF", "CLP", "COP"]
    pairs = [(one, other) for one in codes for other in codes if one < other]
    assert len(pairs) > MOST_PAIRS
    body = "date,from,to,rate\n" + "".join(f"2026-05-01,{one},{other},1\n" for one, other in pairs)
    assert refused(client, ingest_server, body.encode()).startswith("more than 1,000 pairs")


def test_lists_lead_on_and_refuse_other_places(client: httpx.Client, ingest_server: Server) -> None:
    headers = {"x-api-key": ingest_server.key("listed-rates", "admin")}
    url = URL.replace(PROJECT, "listed-rates")
    for _ in range(101):
        client.post(url, json=EXAMPLE, headers=headers)
    first = client.get(url, headers=headers).json()
    last = client.get(url, params={"after": first["next"]}, headers=headers).json()
    assert (len(first["exchange_rates"]), len(last["exchange_rates"]), last["next"]) == (100, 1, None)
    assert client.get(url, params={"after": "x"}, headers=headers).status_code == 400


def test_rates_need_an_admin_of_the_project(client: httpx.Client, ingest_server: Server) -> None:
    for project, scopes, status in ((PROJECT, "ingest,read", 403), ("elsewhere", "admin", 404)):
        headers = {"x-api-key": ingest_server.key(project, scopes)}
        assert client.post(URL, json=EXAMPLE, headers=headers).status_code == status
        assert client.delete(f"{URL}/x", headers=headers).status_code == status


def test_what_is_refused_is_kept_to_be_looked_at(client: httpx.Client, ingest_server: Server) -> None:
    refused(client, ingest_server, b"date,from,to,rate\n2026-05-01,EUR,USD,-7\n")
    with closing(ingest_server.store()) as store:
        rows = store.query("SELECT path, reason FROM rejected WHERE project_id = ? ORDER BY id", PROJECT)
    assert rows[-1] == (
        URL,
        "line 2: rate: must be a decimal such as 1.0843, with at most 18 digits after the point",
    )
