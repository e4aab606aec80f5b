"""Postbacks, told to real servers: who hears what, in whose words, and what their answers mean."""

from typing import Any
from urllib.parse import quote

import pytest
from receivers import BUSY, CUT, INSIDE, PostbackReceiver, Receiver, Reply, settings_for
from telling import Telling, delivery
from test_templates import HOSTILE

from forwarding.deliveries import Destination, Told
from forwarding.platforms import PLATFORMS
from funnelhouse.settings import Settings

PLATFORM = PLATFORMS["postback"](Settings())
TOLD = Told("approved", 4990, "EUR")


def destination(url: str, **members: Any) -> Destination:
    body = {
        "name": "A network",
        "kind": "postback",
        "trigger": "approved",
        "url": url,
        "method": "GET",
        "body": None,
        "body_format": None,
        "status_urls": {},
        "status_words": {},
        "allow_http": False,
    }
    return Destination("shop", "told", 1, {**body, **members})


def test_a_get_tells_a_network() -> None:
    with PostbackReceiver() as network:
        query = "click={clickid}&sum={payout}&cur={currency}&pw={secret:PW}&s={status}"
        url = f"{network.url}/pb/{{source}}?{query}"
        telling = Telling(settings_for(network), {"PW": "p&w=1"})
        (outcome,) = telling.tell(PLATFORM, destination(url), delivery())
        assert (outcome.result, outcome.status, outcome.text) == ("delivered", 200, "OK")
        assert network.book == [{"click": "ext-1", "sum": "49.90", "cur": "EUR", "pw": "p&w=1", "s": "sale"}]
        assert network.requests[0].method == "GET" and network.requests[0].path == "/pb/network"
        (message,) = telling.messages
        assert message.shown_url == f"{network.url}/pb/network?click=ext-1&sum=49.90&cur=EUR&pw=***&s=sale"
        assert "p&w=1" not in repr(message) and quote("p&w=1", safe="") not in repr(message)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_real_servers_read_values_as_they_are(value: str) -> None:
    hostile = delivery(transaction_id=value, external_click_id=value)
    as_bytes = value.encode(errors="replace").decode()
    with PostbackReceiver() as network:
        telling = Telling(settings_for(network), {"PW": value.encode(errors="replace").decode()})
        url = f"{network.url}/a/{{tx}}/b?click={{clickid}}&tx={{tid}}&last=1"
        form = {"method": "POST", "body": "one={tx}&two={secret:PW}&end=1", "body_format": "form"}
        json = {"method": "POST", "body": '{"one": "<{tx}>", "two": {tx}}', "body_format": "json"}
        outcomes = [
            *telling.tell(PLATFORM, destination(url), hostile),
            *telling.tell(PLATFORM, destination(network.url, **form), hostile),
            *telling.tell(PLATFORM, destination(network.url, **json), hostile),
        ]
        assert [outcome.result for outcome in outcomes] == ["delivered"] * 3
        assert network.book == [
            {"click": as_bytes, "tx": as_bytes, "last": "1"},
            {"one": as_bytes, "two": as_bytes, "end": "1"},
            {"one": f"<{value}>", "two": value},
        ]
        assert len(network.requests[0].path.split("/")) == 4
        assert not any("evil" in name for request in network.requests for name in request.headers)


def test_no_host_nor_port_is_a_value() -> None:
    """Tokens stand behind the host only; what takes their place leads nowhere else."""
    with PostbackReceiver() as network, PostbackReceiver() as other:
        telling = Telling(settings_for(network, other))
        for value in (f"@{other.place}/", f"{other.url}/", f"/../../{other.place}", "\r\nHost: other"):
            hostile = delivery(transaction_id=value)
            telling.tell(PLATFORM, destination(f"{network.url}/{{tx}}"), hostile)
            telling.tell(PLATFORM, destination(f"{network.url}?{{tx}}"), hostile)
        assert len(network.requests) == 8 and not other.connections
        assert {request.headers["host"] for request in network.requests} == {network.place}


@pytest.mark.parametrize(
    ("trigger", "status_urls", "kind", "state", "reason"),
    [
        ("approved", {}, "create", "approved", None),
        ("approved", {}, "restate", "approved", "cannot_restate"),
        ("approved", {}, "retract", "rejected", "cannot_retract"),
        ("created", {}, "create", "pending", None),
        ("created", {}, "restate", "approved", "cannot_restate"),
        ("created", {"approved": "https://a.example/ok?{clickid}"}, "restate", "approved", None),
        ("created", {"pending": "https://a.example/ok?{clickid}"}, "restate", "approved", "cannot_restate"),
        ("approved", {"rejected": "https://a.example/no"}, "retract", "rejected", None),
        ("approved", {"rejected": "https://a.example/no"}, "retract", "refunded", "cannot_retract"),
        ("approved", {"refunded": "https://a.example/no"}, "retract", "refunded", None),
        ("approved", {"rejected": None}, "retract", "rejected", "cannot_retract"),
        # A conversion that is no more.
        ("approved", {"rejected": "https://a.example/no"}, "retract", "approved", None),
        ("every_change", {}, "restate", "pending", None),
        ("every_change", {}, "retract", "refunded", None),
        ("every_change", {}, "retract", "rejected", None),
    ],
)
def test_who_hears_of_changes(
    trigger: str, status_urls: dict[str, str | None], kind: str, state: str, reason: str | None
) -> None:
    defined = destination("https://a.example/?{clickid}", trigger=trigger, status_urls=status_urls)
    before = None if kind == "create" else TOLD
    assert PLATFORM.skip_reason(defined, delivery(kind, 2, before, state=state), 0) == reason


@pytest.mark.parametrize(
    ("members", "facts", "reason"),
    [
        ({}, {}, None),
        ({}, {"external_click_id": None}, "no_click_id"),
        ({}, {"external_click_id": ""}, "no_click_id"),
        ({}, {"external_click_id": None, "click_id": "g", "click_id_type": "gclid"}, None),
        ({"url": "https://a.example/?{tx}"}, {"external_click_id": None}, None),
        ({"status_urls": {"approved": "https://a.example/?{tx}"}}, {"external_click_id": None}, None),
        ({"status_urls": {"approved": "https://a.example/?{gclid}"}}, {}, "no_click_id"),
        (
            {"url": "https://a.example/", "method": "POST", "body": "c={fbclid}", "body_format": "form"},
            {},
            "no_click_id",
        ),
    ],
)
def test_a_network_that_knows_clicks_only_hears_of_no_other(
    members: dict[str, Any], facts: dict[str, Any], reason: str | None
) -> None:
    defined = destination(**{"url": "https://a.example/?{clickid}", **members})
    assert PLATFORM.skip_reason(defined, delivery(**facts), 0) == reason
    # A test shows whether the address is good, and has no click.
    assert PLATFORM.skip_reason(defined, delivery("test", **facts), 0) is None


def test_every_state_has_its_address_and_its_word() -> None:
    with PostbackReceiver() as network:
        defined = destination(
            f"{network.url}/any?s={{status}}&p={{payout}}",
            trigger="every_change",
            status_urls={"pending": f"{network.url}/new?s={{status}}&p={{payout}}", "refunded": None},
            status_words={"approved": "ok", "rejected": "no"},
        )
        Telling(settings_for(network)).tell(
            PLATFORM,
            defined,
            delivery("create", 1, state="pending"),
            delivery("restate", 2, TOLD, state="approved", value_minor=5000),
            delivery("retract", 3, TOLD, state="refunded", value_minor=0),
            delivery("retract", 4, TOLD, state="rejected"),
            delivery("retract", 5, TOLD, state="approved"),
        )
        assert [request.path for request in network.requests] == ["/new", "/any", "/any", "/any", "/any"]
        assert network.book == [
            {"s": "lead", "p": "49.90"},
            {"s": "ok", "p": "50.00"},
            {"s": "refunded", "p": "0.00"},
            {"s": "no", "p": "0.00"},
            {"s": "no", "p": "0.00"},
        ]


@pytest.mark.parametrize(
    ("reply", "result", "code", "wait_s", "is_fault"),
    [
        (Reply(200), "delivered", "", None, False),
        (Reply(299), "delivered", "", None, False),
        (INSIDE, "retry", "redirect", None, False),
        (Reply(304), "retry", "redirect", None, False),
        (Reply(400), "retry", "http_400", None, False),
        (Reply(401), "pause", "unauthorized", None, False),
        (Reply(403), "pause", "unauthorized", None, False),
        (Reply(404), "retry", "http_404", None, False),
        (Reply(410), "pause", "gone", None, False),
        (BUSY, "retry", "http_429", 7, False),
        (Reply(429), "retry", "http_429", 60, False),
        (Reply(500), "retry", "http_500", None, True),
        (Reply(502), "retry", "http_502", 60, True),
        (Reply(503, headers={"Retry-After": "100000000"}), "retry", "http_503", 86_400, True),
        (Reply(503, headers={"Retry-After": "soon"}), "retry", "http_503", None, True),
        (Reply(503, headers={"Retry-After": "Sat, 29 Nov 2025 23:35:30 GMT"}), "retry", "http_503", 30, True),
        (Reply(503, headers={"Retry-After": "Sat, 29 Nov 2025 23:34:30 GMT"}), "retry", "http_503", 0, True),
        (CUT, "retry", "cut", None, True),
    ],
)
def test_what_answers_mean(
    reply: Reply, result: str, code: str, wait_s: float | None, is_fault: bool
) -> None:
    with Receiver() as network:
        network.fault = reply
        telling = Telling(settings_for(network), now=1_764_459_300)
        (outcome,) = telling.tell(PLATFORM, destination(f"{network.url}/?{{tx}}"), delivery())
        said = (outcome.result, outcome.code, outcome.wait_s, outcome.is_fault)
        assert said == (result, code, wait_s, is_fault)
        assert len(network.requests) == 1


def test_addresses_that_may_not_be_dialled_pause() -> None:
    """The operator may have taken a port away, or an older definition knows no better."""
    with Receiver() as inside:
        telling = Telling(Settings(), {"PW": "hunter2"})
        (outcome,) = telling.tell(PLATFORM, destination(f"{inside.url}/{{secret:PW}}"), delivery())
        assert (outcome.result, outcome.code) == ("pause", "forbidden_address")
        assert not inside.connections and "hunter2" not in repr(outcome)


def test_http_is_a_choice() -> None:
    telling = Telling(Settings())
    closed = destination("http://network.example/?{tx}")
    assert telling.tell(PLATFORM, closed, delivery())[0].code == "forbidden_address"
    opened = destination("http://network.invalid/?{tx}", allow_http=True)
    assert telling.tell(PLATFORM, opened, delivery())[0].code == "dns"


def test_a_secret_that_is_not_set_pauses() -> None:
    with PostbackReceiver() as network:
        form = {"method": "POST", "body": "a={secret:B_2}", "body_format": "form"}
        defined = destination(f"{network.url}/?a={{secret:A}}&b={{secret:C}}", **form)
        (outcome,) = Telling(settings_for(network), {"A": "a"}).tell(PLATFORM, defined, delivery())
        assert (outcome.result, outcome.code) == ("pause", "no_secret")
        assert "B_2, C" in outcome.text and not network.requests


def test_a_template_of_another_version_pauses_its_own_destination() -> None:
    with PostbackReceiver() as network:
        defined = destination(f"{network.url}/?a={{a_token_of_2030}}&c={{clickid}}")
        assert PLATFORM.skip_reason(defined, delivery(external_click_id=None), 0) is None
        (outcome,) = Telling(settings_for(network)).tell(PLATFORM, defined, delivery())
        assert (outcome.result, outcome.code) == ("pause", "bad_template")
        assert "{a_token_of_2030}" in outcome.text and len(outcome.text.encode()) <= 512
        assert not network.requests


@pytest.mark.parametrize("secret", ["s3cr3t/+&<\"ü'", "hunter2", "a b", "Ünï", "x" * 2000])
def test_a_network_that_repeats_what_it_was_told_betrays_nothing(secret: str) -> None:
    class Echo(Receiver):
        def answer(self, request: Any) -> Reply:
            said = [
                request.target,
                secret,
                *request.form.get("a", []),
                repr(request.form),
                request.target.lower(),
            ]
            return Reply(500, "|".join(["x" * 20, *said]).encode())

    with Echo() as network:
        form = {"method": "POST", "body": "a={secret:A}", "body_format": "form"}
        defined = destination(f"{network.url}/?a={{secret:A}}", **form)
        telling = Telling(settings_for(network), {"A": secret})
        (outcome,) = telling.tell(PLATFORM, defined, delivery())
        assert outcome.status == 500 and outcome.text.startswith("x" * 20) and "***" in outcome.text
        assert len(outcome.text.encode()) <= 512
        for spelling in (secret, quote(secret, safe=""), quote(secret, safe="").lower()):
            assert spelling not in outcome.text and spelling not in repr(telling.messages)


def test_little_of_an_answer_is_kept() -> None:
    with Receiver() as network:
        network.fault = Reply(200, ("Grüße\r\n\0" * 1000).encode())
        (outcome,) = Telling(settings_for(network)).tell(PLATFORM, destination(network.url), delivery())
        assert outcome.text.startswith("Grüße Grüße ") and 500 <= len(outcome.text.encode()) <= 512


def test_its_schedule_is_that_of_networks() -> None:
    assert PLATFORM.schedule_s == (0, 30, 120, 600, 3600, 21_600, 43_200)
    assert PLATFORM.expires_us(destination("https://a.example/"), delivery()) is None
