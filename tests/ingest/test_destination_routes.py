"""Destinations over HTTP: strict definitions that hold no secrets, secrets that only go in, and wishes."""

import base64
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from servers import Server, start_ingest
from standardwebhooks.webhooks import Webhook

from ingest_api.definitions.destination import DESTINATIONS, SHAPES
from ingest_api.definitions.secret_like import has_secret_name, secret_like
from record.secrets import list_secrets, new_secret_key, parse_secret_keys, read_secret
from record.wishes import wishes_after

PROJECT = "told"
URL = f"/v1/projects/{PROJECT}/destinations"
DRY = {"Funnelhouse-Dry-Run": "1"}

POSTBACK = {"name": "P", "kind": "postback", "url": "https://net.example/?c={clickid}"}
META = {"name": "M", "kind": "meta", "dataset_id": "1234"}
GOOGLE = {"name": "G", "kind": "google", "account_id": "123-456-7890", "conversion_action_id": "5"}
WEBHOOK = {"name": "W", "kind": "webhook", "url": "https://orders.example/hook"}

COMMON = {
    "is_active": True,
    "since_us": None,
    "names": [],
    "goals": [],
    "sender": "any",
    "sources": [],
    "value": "net",
    "event_names": {},
    "consent": "assumed",
    "event_id": "transaction_id",
    "skip_suspected_doubles": False,
    "concurrency": 8,
    "per_second": None,
}
AD_PLATFORM = {"trigger": "approved", "skip_suspected_doubles": True, "default_country": None}
STORED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        POSTBACK,
        {
            "trigger": "approved",
            "method": "GET",
            "body": None,
            "body_format": None,
            "status_urls": {"pending": None, "approved": None, "rejected": None, "refunded": None},
            "status_words": {
                "pending": "lead",
                "approved": "sale",
                "rejected": "rejected",
                "refunded": "refunded",
            },
            "mode": "all",
            "payout_percent": 100,
            "sample_percent": 100,
            "allow_http": False,
        },
    ),
    (
        META,
        {
            **AD_PLATFORM,
            "api_version": 25,
            "action_source": "website",
            "event_time": "occurred",
            "limited_data_use": False,
            "limited_data_country": 0,
            "limited_data_state": 0,
            "test_event_code": None,
        },
    ),
    (
        GOOGLE,
        {
            **AD_PLATFORM,
            "account_id": "1234567890",
            "login_account_id": None,
            "linked_account_id": None,
            "event_source": "WEB",
            "send_user_data": True,
            "on_rejection": "zero",
            "max_age_days": 63,
        },
    ),
    (WEBHOOK, {"trigger": "every_change", "include": []}),
]

CANARY = "canary-0f9d8c7b"


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key(PROJECT, "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers, timeout=30) as client:
        yield client


def stored(server: Server, key: str) -> dict[str, Any]:
    with closing(server.store()) as store:
        rows = store.query(
            "SELECT body FROM definitions WHERE project_id = ? AND kind = 'destination' AND key = ?"
            f" ORDER BY {store.row_order}",
            *(PROJECT, key),
        )
    body: dict[str, Any] = orjson.loads(rows[-1][0])
    return body


def assert_nothing_is_kept(server: Server) -> None:
    """Of what was refused only why and where, and of secrets not even that."""
    with closing(server.store()) as store:
        rows = store.query("SELECT path, reason, body FROM rejected WHERE project_id = ?", PROJECT)
    for path, reason, body in rows:
        assert path.startswith(URL) and "/secrets" not in path and body == "", path
        assert "canary" not in reason.lower() and not any(secret in reason for secret in FORMS), reason


@pytest.mark.parametrize(("body", "defaults"), STORED, ids=SHAPES)
def test_what_is_left_out_is_stored_with_its_default(
    client: httpx.Client, ingest_server: Server, body: dict[str, Any], defaults: dict[str, Any]
) -> None:
    key = f"default-{body['kind']}"
    answer = client.put(f"{URL}/{key}", json=body)
    assert answer.status_code == 200, answer.text
    assert stored(ingest_server, key) == COMMON | body | defaults
    shown = answer.json()
    assert shown["since"] is None and "since_us" not in shown
    # As the table of postbacks calls it.
    assert shown["on" if body["kind"] == "postback" else "trigger"] == defaults["trigger"]


@pytest.mark.parametrize("example", [DESTINATIONS.example, *DESTINATIONS.more_examples.values()], ids=SHAPES)
def test_what_is_shown_of_each_kind_can_be_put_again(client: httpx.Client, example: dict[str, Any]) -> None:
    url = f"{URL}/again-{example['kind']}"
    shown = client.put(url, json=example).json()
    body = {
        name: value
        for name, value in shown.items()
        if name not in ("destination_id", "version", "received_us")
    }
    again = client.put(url, json=body)
    assert again.status_code == 200, again.text
    assert {**again.json(), "received_us": 0} == {**shown, "received_us": 0, "version": 2}


def test_every_member_is_taken(client: httpx.Client, ingest_server: Server) -> None:
    said = {
        "on": "every_change",
        "is_active": False,
        "since": "2026-03-01T00:00:00+01:00",
        "names": ["purchase"],
        "goals": ["lead"],
        "sender": "server",
        "sources": ["push"],
        "value": "gross",
        "event_names": {"purchase": "Sale"},
        "consent": "required",
        "event_id": "property:order",
        "skip_suspected_doubles": True,
        "concurrency": 64.0,
        "per_second": 0.5,
        "method": "POST",
        "body": '{"click": "{clickid}", "value": {payout}, "password": "{secret:pw}"}',
        "body_format": "json",
        "status_urls": {"rejected": "https://net.example/void?c={externalid}"},
        "status_words": {"approved": "ok"},
        "mode": "first",
        "payout_percent": 12.5,
        "sample_percent": 50.0,
        "allow_http": True,
    }
    answer = client.put(f"{URL}/full", json={**POSTBACK, **said, "url": "http://net.example/{tx}"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["since"] == "2026-02-28T23:00:00.000000Z"
    kept = stored(ingest_server, "full")
    assert kept["since_us"] == 1772319600000000 and kept["concurrency"] == 64
    assert (kept["payout_percent"], repr(kept["sample_percent"])) == (12.5, "50")
    assert kept["status_words"]["approved"] == "ok" and kept["status_words"]["pending"] == "lead"


@pytest.mark.parametrize(
    ("base", "change", "named"),
    [
        (WEBHOOK, {"kind": "email"}, "kind: must be one of postback, meta, google, webhook"),
        (WEBHOOK, {"kind": None}, "kind: must be one of"),
        (WEBHOOK, {"name": ""}, "name"),
        (WEBHOOK, {"dataset_id": "1"}, "dataset_id: Extra"),
        (WEBHOOK, {"on": "approved"}, "on: Extra"),
        (POSTBACK, {"trigger": "approved"}, "trigger: Extra"),
        (META, {"trigger": "sometimes"}, "trigger"),
        (META, {"dataset_id": "12a"}, "dataset_id"),
        (META, {"dataset_id": 12}, "dataset_id"),
        (META, {"api_version": 7}, "api_version"),
        (META, {"limited_data_state": 1000}, "limited_data_state: a state needs limited_data_country 1"),
        (META, {"limited_data_country": True}, "limited_data_country: must be a number"),
        (META, {"limited_data_country": 1, "limited_data_state": 1011}, "limited_data_state"),
        (META, {"action_source": "shop"}, "action_source"),
        (META, {"default_country": "DEU"}, "default_country"),
        (GOOGLE, {"account_id": "one"}, "account_id"),
        (GOOGLE, {"max_age_days": 91}, "max_age_days"),
        (GOOGLE, {"on_rejection": "retract"}, "on_rejection"),
        (WEBHOOK, {"concurrency": 65}, "concurrency"),
        (WEBHOOK, {"per_second": 0}, "per_second"),
        (WEBHOOK, {"names": ["a", "a"]}, "names: must name each once"),
        (WEBHOOK, {"sources": [str(n) for n in range(101)]}, "sources"),
        (WEBHOOK, {"event_id": "property:"}, "event_id"),
        (WEBHOOK, {"since": "yesterday"}, "since"),
        (WEBHOOK, {"url": "http://orders.example/"}, "url: must begin with https://"),
        (WEBHOOK, {"url": "https://orders.example/{tx}"}, "url: takes no tokens"),
        (WEBHOOK, {"url": "https://127.0.0.1/"}, "url: leads inside"),
        (WEBHOOK, {"url": "https://orders.example:22/"}, "url: must have one of the ports"),
        (WEBHOOK, {"url": "https://localhost/"}, "url: leads inside"),
        (WEBHOOK, {"url": "https://[::ffff:10.0.0.1]/"}, "url: leads inside"),
        (POSTBACK, {"url": "https://net.example/?c={clik}"}, "url: has a token that nobody knows, {clik}"),
        (POSTBACK, {"url": "https://{clickid}.example/"}, "url: tokens stand behind the host only"),
        (POSTBACK, {"url": "https://net.example/ {clickid}"}, "url: must hold no white space"),
        (POSTBACK, {"url": "http://net.example/"}, "url: must begin with https://"),
        (POSTBACK, {"status_urls": {"gone": "https://net.example/"}}, "status_urls.gone: Extra"),
        (POSTBACK, {"status_urls": {"pending": "https://10.1.1.1/"}}, "status_urls.pending: leads inside"),
        (
            POSTBACK,
            {"status_urls": {"pending": "https://net.example/{x}"}},
            "status_urls.pending: has a token",
        ),
        (POSTBACK, {"body": "a={tx}", "body_format": "form"}, "body: belongs to method POST"),
        (POSTBACK, {"method": "POST", "body": "a={tx}"}, "body: needs body_format"),
        (POSTBACK, {"method": "POST", "body": "{", "body_format": "json"}, "body: must be JSON"),
        (POSTBACK, {"payout_percent": 101}, "payout_percent"),
        (POSTBACK, {"payout_percent": 12.00001}, "payout_percent: must have at most 4 decimals"),
        (POSTBACK, {"payout_percent": True}, "payout_percent: must be a number"),
        (POSTBACK, {"payout_percent": "50"}, "payout_percent: must be a number"),
        (POSTBACK, {"sample_percent": 0}, "sample_percent"),
    ],
)
def test_what_is_no_destination_is_refused_by_name(
    client: httpx.Client, base: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    answer = client.put(f"{URL}/refused", json={**base, **change})
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert client.get(f"{URL}/refused").status_code == 404


FORMS = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "-----BEGIN PRIVATE KEY-----",
    "EAABsbCS1iHgBAKZCZCcanary0f9d8c7b",
    "ya29.a0AfH6SMBcanary0f9d8c7b",
    "GOCSPX-canary0f9d8c7b",
    "1//0gcanary0f9d8c7bcanary0f9d8c7b",
    "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiIwZjlkOGM3YiJ9.x",
    "fh_live_canary0f9d8c7b_x",
    "Bearer canary0f9d8c7bcanary",
    "https://user:canary0f9d8c7b@orders.example/",
    "https%3A%2F%2Fuser%3Acanary0f9d8c7b%40orders.example",
    "https://orders.example/?api_key=canary0f9d8c7b",
    "https://orders.example/?a=1&Access-Token=canary0f9d8c7b",
    "https://orders.example/?next=%3Fpassword%3Dcanary0f9d8c7b",
]


@pytest.mark.parametrize("secret", FORMS)
def test_what_looks_like_a_secret_is_refused_and_neither_repeated_nor_kept(
    client: httpx.Client, ingest_server: Server, secret: str
) -> None:
    changes: list[dict[str, Any]] = [
        *({member: secret} for member in ("name", "url", "kind", "nothing")),
        {"event_names": {secret: "x"}},
        {"event_names": {"x": secret}},
        {"status_urls": {"pending": secret}},
        {"goals": ["lead", secret]},
        {secret: 1},
    ]
    for change in changes:
        answer = client.put(f"{URL}/leaky", json={**POSTBACK, **change})
        assert answer.status_code == 400 and "/secrets/" in answer.json()["detail"], answer.text
        assert secret not in answer.text and "canary0f9d8c7b" not in answer.text
    assert_nothing_is_kept(ingest_server)


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": "x"},
        {"clientSecret": "x"},
        {"password": {"a": 1}},
        {"API-KEY": "x"},
        {"method": "POST", "body": '{"user": "a", "password": "x"}', "body_format": "json"},
        {"method": "POST", "body": '{"v": {payout}, "api_key": 12}', "body_format": "json"},
        {"method": "POST", "body": "a={tx}&pass=x", "body_format": "form"},
        {"status_urls": {"approved": "https://net.example/?pw=x{tx}"}},
    ],
)
def test_what_is_called_like_a_secret_is_refused(client: httpx.Client, change: dict[str, Any]) -> None:
    answer = client.put(f"{URL}/leaky", json={**POSTBACK, **change})
    assert answer.status_code == 400 and "looks like a secret" in answer.json()["detail"], answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://net.example/?token={clickid}&key={secret:key}"},
        {"url": "https://net.example/{secret:path}/conv?campaign_key=5&c={clickid}"},
        {"event_names": {"password_reset": "Reset", "token_bought": "TokenBought"}},
        {"name": "Tokens and passwords of the basic plan"},
        {"method": "POST", "body": "pass={secret:pw}&a={tx}", "body_format": "form"},
    ],
)
def test_what_is_no_secret_is_taken(client: httpx.Client, change: dict[str, Any]) -> None:
    answer = client.put(f"{URL}/harmless", json={**POSTBACK, **change})
    assert answer.status_code == 200, answer.text


def test_looking_for_secrets_takes_little_time() -> None:
    for hostile in ("a" * 900_000, "eyJ-" * 200_000, "?a=" * 300_000, "basic " * 150_000, '{"' * 400_000):
        assert not secret_like({"name": hostile})
    assert not has_secret_name("monkey") and has_secret_name("X-Api-Key")


def test_of_a_refused_definition_is_kept_why(client: httpx.Client, ingest_server: Server) -> None:
    """And nothing else, whatever is wrong with it: the mistake may be a secret."""
    for content, headers in (
        (b'{"name": "' + CANARY.encode(), {}),
        (orjson.dumps({**WEBHOOK, "unheard": CANARY}), {}),
        (gzip.compress(CANARY.encode())[:-3], {"Content-Encoding": "gzip"}),
        (CANARY.encode(), {"Content-Encoding": "br"}),
    ):
        answer = client.put(f"{URL}/refused", content=content, headers=headers)
        assert answer.status_code in (400, 415) and CANARY not in answer.text
    assert_nothing_is_kept(ingest_server)


@pytest.fixture
def destinations(client: httpx.Client) -> None:
    for body in (POSTBACK, META, GOOGLE, WEBHOOK):
        assert client.put(f"{URL}/{body['kind']}", json=body).status_code == 200


def keys_of(server: Server) -> Any:
    return server.settings.secret_keys


@pytest.mark.usefixtures("destinations")
def test_a_secret_goes_in_and_does_not_come_out(client: httpx.Client, ingest_server: Server) -> None:
    answer = client.put(f"{URL}/postback/secrets/pw", json={"value": f" {CANARY}\n"})
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    shown = answer.json()
    assert shown.pop("value") is None and len(shown["hint"]) == 8 and shown["previous_until"] is None
    assert client.get(f"{URL}/postback/secrets/pw").json() == shown
    assert client.get(f"{URL}/postback/secrets").json() == {"secrets": [shown]}
    with closing(ingest_server.store()) as store:
        kept = read_secret(store, keys_of(ingest_server), (PROJECT, "postback", "pw"))
        assert kept is not None and kept.value == CANARY
    assert client.put(f"{URL}/postback/secrets/pw", json={"value": "another"}).json()["hint"] != shown["hint"]
    assert client.delete(f"{URL}/postback/secrets/pw", headers=DRY).status_code == 204
    assert client.delete(f"{URL}/postback/secrets/pw").status_code == 204
    assert client.delete(f"{URL}/postback/secrets/pw").status_code == 404
    assert client.get(f"{URL}/postback/secrets/pw").status_code == 404
    dry = client.put(f"{URL}/postback/secrets/pw", json={"value": CANARY}, headers=DRY)
    assert dry.status_code == 200 and client.get(f"{URL}/postback/secrets").json() == {"secrets": []}


@pytest.mark.usefixtures("destinations")
def test_a_signing_secret_is_made_here_and_the_one_before_goes_on_for_a_day(
    client: httpx.Client, ingest_server: Server
) -> None:
    url = f"{URL}/webhook/secrets/signing_secret"
    first, second = (client.put(url, json={"generate": True}).json() for _ in range(2))
    assert first["value"] != second["value"] and second["previous_until"] is not None
    for made in (first, second):
        assert 24 <= len(base64.b64decode(made["value"].removeprefix("whsec_"), validate=True)) <= 64
        Webhook(made["value"])
    with closing(ingest_server.store()) as store:
        kept = read_secret(store, keys_of(ingest_server), (PROJECT, "webhook", "signing_secret"))
    assert kept is not None and (kept.value, kept.previous) == (second["value"], first["value"])
    own = f"whsec_{base64.b64encode(bytes(24)).decode()}"
    assert client.put(url, json={"value": own}).json()["value"] is None


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("meta/secrets/token", {"value": "x"}, "name: a destination of kind meta has access_token"),
        ("google/secrets/access_token", {"value": "x"}, "service_account_json"),
        ("webhook/secrets/pw", {"value": "x"}, "signing_secret"),
        ("postback/secrets/a-b", {"value": "x"}, "name: 1 to 64 letters"),
        ("postback/secrets/" + "a" * 65, {"value": "x"}, "name: 1 to 64 letters"),
        ("postback/secrets/pw", {}, "value: send the secret"),
        ("postback/secrets/pw", {"value": None}, "value: send the secret"),
        ("postback/secrets/pw", {"value": " \n"}, "value: send the secret"),
        ("postback/secrets/pw", {"value": CANARY * 2000}, "value: must have at most"),
        ("postback/secrets/pw", {"generate": True}, "generate: only a webhook's"),
        ("postback/secrets/pw", {"secret": CANARY}, "secret: Extra"),
        ("meta/secrets/access_token", {"value": f"{CANARY} {CANARY}"}, "must be one word"),
        ("meta/secrets/access_token", {"value": f"{CANARY}\r\nX: y"}, "must be one word"),
        ("webhook/secrets/signing_secret", {"value": CANARY}, "must be whsec_ and 24 to 64 bytes"),
        ("webhook/secrets/signing_secret", {"value": "whsec_AAAA"}, "must be whsec_ and 24 to 64 bytes"),
        ("webhook/secrets/signing_secret", {"value": "x", "generate": True}, "leave the value out"),
        ("google/secrets/service_account_json", {"value": CANARY}, "JSON key file"),
        ("google/secrets/service_account_json", {"value": '{"private_key": "x"}'}, "JSON key file"),
        ("postback/secrets/pw", [CANARY], "must be a JSON object"),
    ],
)
@pytest.mark.usefixtures("destinations")
def test_what_is_no_secret_of_the_destination_is_refused_and_kept_nowhere(
    client: httpx.Client, ingest_server: Server, path: str, body: Any, named: str
) -> None:
    answer = client.put(f"{URL}/{path}", json=body)
    assert answer.status_code == 400 and named in answer.json()["detail"], answer.text
    assert CANARY not in answer.text
    assert_nothing_is_kept(ingest_server)


@pytest.mark.usefixtures("destinations")
def test_a_secret_belongs_to_a_destination_that_is_there(client: httpx.Client) -> None:
    assert client.put(f"{URL}/nobody/secrets/pw", json={"value": "x"}).status_code == 404
    assert client.put(f"{URL}/No-Slug/secrets/pw", json={"value": "x"}).status_code == 400
    assert client.get(f"{URL}/nobody/secrets/%00").status_code == 404
    assert client.delete(f"{URL}/nobody/secrets/%00").status_code == 404
    # One that was deleted leaves its secrets, which can be deleted then too.
    assert client.put(f"{URL}/gone", json=POSTBACK).status_code == 200
    assert client.put(f"{URL}/gone/secrets/pw", json={"value": "x"}).status_code == 200
    assert client.delete(f"{URL}/gone").status_code == 204
    assert client.put(f"{URL}/gone/secrets/pw", json={"value": "y"}).status_code == 404
    assert client.delete(f"{URL}/gone/secrets/pw").status_code == 204


def test_without_a_key_in_the_setting_a_secret_is_refused_with_the_way_out(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home", FUNNELHOUSE_SECRET_KEYS="")
    try:
        headers = {"x-api-key": server.key(PROJECT, "admin")}
        with httpx.Client(base_url=server.url, headers=headers) as client:
            assert client.put(f"{URL}/postback", json=POSTBACK).status_code == 200
            answer = client.put(f"{URL}/postback/secrets/pw", json={"value": CANARY})
            assert answer.status_code == 409
            assert "funnelhouse secrets new-key" in answer.json()["detail"]
            assert client.get(f"{URL}/postback/secrets").json() == {"secrets": []}
    finally:
        server.stop()


def wishes(server: Server, after: int = 0) -> list[Any]:
    with closing(server.store()) as store:
        return [wish for wish in wishes_after(store, after, limit=100_000) if wish.project_id == PROJECT]


@pytest.mark.parametrize("action", ["pause", "resume", "release", "test"])
@pytest.mark.usefixtures("destinations")
def test_a_wish_is_written_down(client: httpx.Client, ingest_server: Server, action: str) -> None:
    answer = client.post(f"{URL}/meta/{action}", json={"note": "Moving"})
    assert answer.status_code == 202, answer.text
    assert answer.json().items() >= {"action": action, "destination_id": "meta"}.items()
    (wish,) = wishes(ingest_server, answer.json()["wish_id"] - 1)
    assert (wish.destination_id, wish.action, wish.body) == ("meta", action, {"note": "Moving"})
    # Nothing need be said.
    assert client.post(f"{URL}/meta/{action}").status_code == 202
    assert client.post(f"{URL}/nobody/{action}").status_code == 404
    assert client.post(f"{URL}/meta/{action}", json={"why": "x"}).status_code == 400
    before = len(wishes(ingest_server))
    dry = client.post(f"{URL}/meta/{action}", headers=DRY)
    assert dry.status_code == 202 and dry.headers["Funnelhouse-Dry-Run"] == "1"
    assert len(wishes(ingest_server)) == before


@pytest.mark.usefixtures("destinations")
def test_a_wish_under_an_idempotency_key_is_wished_once(client: httpx.Client, ingest_server: Server) -> None:
    before = len(wishes(ingest_server))
    once = {"Idempotency-Key": "pause-once"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(f"{URL}/meta/pause", headers=once), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["wish_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert len(wishes(ingest_server)) == before + 1
    assert client.post(f"{URL}/meta/pause", headers=once, json={"note": "x"}).status_code == 422
    # Of another destination it is no repeat, which would say that this one is paused.
    assert client.post(f"{URL}/google/pause", headers=once).status_code == 422
    dry = client.post(f"{URL}/meta/pause", headers={**once, **DRY})
    assert dry.json() == answers[0].json()
    assert len(wishes(ingest_server)) == before + 1


def test_deliveries_are_replayed_by_id_or_by_what_they_are(
    client: httpx.Client, ingest_server: Server
) -> None:
    url = f"/v1/projects/{PROJECT}/deliveries/replay"

    def replayed(**body: Any) -> Any:
        answer = client.post(url, json=body)
        assert answer.status_code == 202, answer.text
        return wishes(ingest_server, answer.json()["wish_id"] - 1)[0]

    by_id = replayed(delivery_ids=["msg_abc"], fresh=True)
    nothing = {"since_us": None, "until_us": None}
    assert by_id.destination_id is None
    assert by_id.body == {"delivery_ids": ["msg_abc"], "states": [], "fresh": True, **nothing}
    dead = replayed(destination_id="meta")
    assert (dead.destination_id, dead.body["states"]) == ("meta", ["dead"])
    by_time = replayed(since="2026-03-01", until=1772496000000, states=["skipped", "dead"])
    assert by_time.body["since_us"] == 1772323200000000 and by_time.body["until_us"] == 1772496000000000
    assert by_time.body["states"] == ["skipped", "dead"]
    for refused in (
        {},
        {"states": ["dead"]},
        {"destination_id": "meta", "states": ["sending"]},
        {"delivery_ids": ["msg_a"], "destination_id": "meta"},
        {"delivery_ids": ["a'b"]},
        {"delivery_ids": ["msg_a"] * 1001},
        {"destination_id": "meta", "since": "soon"},
    ):
        answer = client.post(url, json=refused)
        assert answer.status_code == 400, answer.text


def test_no_secret_is_in_any_file_or_line(tmp_path: Path) -> None:
    """A walk with secrets and a plain e-mail address: only raw has the address, nothing has the secrets."""
    home = tmp_path / "home"
    log = tmp_path / "log"
    key = new_secret_key("walk")
    # Plaintext in any form that a program might write it in.
    signing = f"whsec_{base64.b64encode(CANARY.encode() * 2).decode()}"
    account = orjson.dumps({"client_email": "robot@project.example", "private_key": f"key {CANARY}"}).decode()
    secrets = {
        "postback/secrets/pw": CANARY,
        "meta/secrets/access_token": f"EAA{CANARY}",
        "google/secrets/service_account_json": account,
        "webhook/secrets/signing_secret": signing,
    }
    email = f"jane.{CANARY}-mail@example.com"
    with log.open("wb") as output:
        server = start_ingest(home, log=output, FUNNELHOUSE_SECRET_KEYS=key)
        try:
            headers = {"x-api-key": server.key(PROJECT, "admin"), "Idempotency-Key": "same"}
            report = {"event_type": "identify", "user_id": "u1", "properties": {"email": email}}
            with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
                for body in (POSTBACK, META, GOOGLE, WEBHOOK):
                    assert client.put(f"{URL}/{body['kind']}", json=body).status_code == 200
                for path, value in secrets.items():
                    for sent in ({"value": value}, {"value": value, "extra": value}, [value]):
                        client.put(f"{URL}/{path}", json=sent)
                    client.put(f"{URL}/{path}", content=f'{{"value": "{value}'.encode())
                    assert client.get(f"{URL}/{path}").status_code == 200
                    client.put(f"{URL}/{path.partition('/')[0]}", json={**WEBHOOK, "token": value})
                    client.post(f"{URL}/{path.partition('/')[0]}/test")
                sender = {"x-api-key": server.key(PROJECT, "ingest"), "Idempotency-Key": "mail"}
                answer = client.post(f"/v1/projects/{PROJECT}/events", json=report, headers=sender)
                assert answer.status_code == 202, answer.text
                assert CANARY in client.get(f"/v1/projects/{PROJECT}/events/recent").text
                assert CANARY not in client.get(f"/v1/projects/{PROJECT}/rejected/recent").text
            with closing(server.store()) as store:
                found = list_secrets(store, parse_secret_keys(key), PROJECT, "meta")
                assert [each.name for each in found] == ["access_token"]
        finally:
            server.stop()
    files = [file for file in [log, *home.rglob("*")] if file.is_file()]
    assert home / "landing.sqlite" in files
    encoded = (value.encode() for value in secrets.values())
    plain = {CANARY.encode(), base64.b64encode(CANARY.encode())[:-4], *encoded}
    for file in files:
        content = file.read_bytes().replace(email.encode(), b"")
        assert not [text for text in plain if text in content], file
    assert email.encode() not in log.read_bytes()
