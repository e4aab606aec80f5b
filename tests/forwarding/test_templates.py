"""Templates of postbacks: what each token says, where it may stand, and that no value means more there."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarding.addresses import judge_url
from forwarding.templates import (
    BODY_CHARACTERS,
    MOST_CHARACTERS,
    TOKENS,
    Format,
    Said,
    check_templates,
    read_template,
)
from record.click_id_types import CLICK_ID_TYPES

FACTS: dict[str, Any] = {
    "external_click_id": "ext-1",
    "click_id": "fb.Xy_-1",
    "click_id_type": "fbclid",
    "hit_id": "hit-1",
    "visitor_id": "visitor-1",
    "session_id": "session-1",
    "value_minor": 4990,
    "currency": "EUR",
    "transaction_id": "order-1",
    "event_name": "Purchase",
    "name": "order_completed",
    "goal_id": "goal-1",
    "campaign": "spring",
    "source": "facebook",
    "medium": "social",
    "content": "blue",
    "term": "shoes",
    "page_id": "page-1",
    "page_kind": "offer",
    "country": "DE",
    "occurred_us": 1_764_459_296_123_456,
    "conversion_id": "shop/order/1",
}
SAYS = {
    "{external}": "ext-1",
    "{externalid}": "ext-1",
    "{external_id}": "ext-1",
    "{clickid}": "ext-1",
    "{click_id_type}": "external",
    "{gclid}": "",
    "{fbclid}": "fb.Xy_-1",
    "{msclkid}": "",
    "{ttclid}": "",
    "{hit}": "hit-1",
    "{visitor}": "visitor-1",
    "{vid}": "visitor-1",
    "{session}": "session-1",
    "{payout}": "49.90",
    "{revenue}": "49.90",
    "{rev}": "49.90",
    "{payout_minor}": "4990",
    "{currency}": "EUR",
    "{tx}": "order-1",
    "{tid}": "order-1",
    "{transaction_id}": "order-1",
    "{transaction.id}": "order-1",
    "{status}": "sale",
    "{cnv_status}": "sale",
    "{event}": "Purchase",
    "{goal}": "goal-1",
    "{campaign}": "spring",
    "{campaign_name}": "spring",
    "{source}": "facebook",
    "{trafficsource}": "facebook",
    "{medium}": "social",
    "{content}": "blue",
    "{term}": "shoes",
    "{page}": "page-1",
    "{offer}": "page-1",
    "{lander}": "",
    "{country}": "DE",
    "{time}": "1764459296",
    "{time_iso}": "2025-11-29T23:34:56Z",
    "{conversion_id}": "shop/order/1",
    "{delivery_id}": "msg_1",
    "{secret:PASS_word1}": "p&ss=1",
}
HOSTILE = [
    *("&x=1", "?x=1#y", "%", "%00", "%26", "a b+c", "Grüße 🎉", "\r\nX-Evil: 1\r\n\r\nGET /", "\0", "\ud800"),
    *(
        "../..",
        "..",
        ".",
        "{secret:PASS_word1}",
        "{tx}",
        "{",
        "}",
        '"',
        "\\",
        '\\"',
        '","evil":"',
        "\u2028\u202e",
    ),
    *("</script>", "'; drop table x; --", "http://127.0.0.1/", "a" * 1000),
]
DEFINED: dict[str, Any] = {
    "url": "https://network.example/postback?click={clickid}&sum={payout}",
    "method": "GET",
    "body": None,
    "body_format": None,
    "status_urls": {},
    "allow_http": False,
}


class Operator:
    forward_ports = (443, 8443)
    forward_allow = ()


def said(facts: dict[str, Any], state: str = "approved", **words: str) -> Said:
    return Said(facts, "msg_1", state, words)


def only(value: str) -> dict[str, Any]:
    """Facts that say the same of everything that is text."""
    return {**FACTS, **{name: value for name, said in FACTS.items() if isinstance(said, str)}}


@pytest.mark.parametrize(("token", "value"), SAYS.items())
@pytest.mark.parametrize("form", ["url", "form", "json"])
def test_every_token_says_what_it_is_called(form: Format, token: str, value: str) -> None:
    text = {
        "url": f"https://a.example/?a={token}&b=1",
        "form": f"a={token}&b=1",
        "json": f'{{"a": "{token}", "b": 1}}',
    }[form]
    filled = read_template(text, form).filled(said(FACTS), {"PASS_word1": "p&ss=1"})
    if form == "json":
        assert json.loads(filled) == {"a": value, "b": 1}
    else:
        query = urlsplit(filled).query if form == "url" else filled
        assert parse_qs(query, keep_blank_values=True) == {"a": [value], "b": ["1"]}


def test_no_token_is_left_out_above() -> None:
    shown = {token.strip("{}") for token in SAYS}
    assert shown | set(CLICK_ID_TYPES) == {*TOKENS, "secret:PASS_word1"}


@pytest.mark.parametrize("token", TOKENS)
def test_no_value_is_empty(token: str) -> None:
    template = read_template(f"https://a.example/?a={{{token}}}")
    empty = said({}, state="")
    assert template.filled(empty, {}) == f"https://a.example/?a={'msg_1' if token == 'delivery_id' else ''}"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (4990, "JPY", "4990"),
        (4990, "KWD", "4.990"),
        (4990, "CLF", "0.4990"),
        (1, "USD", "0.01"),
        (0, "USD", "0.00"),
        (-1, "USD", "-0.01"),
        (9_007_199_254_740_993, "USD", "90071992547409.93"),
        (5, None, "0.05"),
        (None, "USD", ""),
    ],
)
def test_payouts_have_the_decimals_of_their_currency(minor: int | None, currency: str, text: str) -> None:
    facts = {"value_minor": minor, "currency": currency}
    assert read_template("https://a.example/{payout}").filled(said(facts), {}).endswith(f"/{text}")


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_means_more_than_itself(value: str) -> None:
    """As bytes; what servers make of them is tested with real ones."""
    url = read_template("https://a.example/p/{tx}/q?a={tx}&b={vid}&c=1").filled(said(only(value)), {})
    assert url.isascii() and url.isprintable() and " " not in url
    assert url.startswith("https://a.example/p/") and len(url) <= MOST_CHARACTERS
    path, _, query = url.removeprefix("https://a.example").partition("?")
    assert path.count("/") == 3 and not {".", ".."} & set(path.split("/"))
    assert [pair.partition("=")[0] for pair in query.split("&")] == ["a", "b", "c"]
    form = read_template("a={tx}&b={vid}&c=1", "form").filled(said(only(value)), {})
    assert form == query
    body = read_template('{"a": "{tx}", "b": [{tx}, {"c": {}}]}', "json").filled(said(only(value)), {})
    assert body.isascii() and json.loads(body) == {"a": value, "b": [value, {"c": {}}]}


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100), st.text(max_size=100))
def test_whatever_it_is_is_read_as_it_was(one: str, two: str) -> None:
    told = said({**FACTS, "transaction_id": one, "visitor_id": two})
    query = urlsplit(read_template("https://a.example/{tx}?a={tx}&b=x{vid}y&c=1").filled(told, {})).query
    in_utf8 = [text.encode(errors="replace").decode() for text in (one, two)]
    assert parse_qs(query, keep_blank_values=True) == {
        "a": [in_utf8[0]],
        "b": [f"x{in_utf8[1]}y"],
        "c": ["1"],
    }
    body = read_template('{"a": "x{tx}y", "b": {vid}}', "json").filled(told, {})
    assert json.loads(body) == {"a": f"x{one}y", "b": two}


def is_taken(**change: Any) -> bool:
    try:
        check_templates({**DEFINED, **change}, Operator())
    except ValueError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*'{}"\\:,[] a1%&=#?@/', "{tx}", '"{vid}"', "{x}", '{"a":', "{secret:A}"])))
def test_whatever_is_taken_can_be_filled(parts: list[str]) -> None:
    text = "".join(parts)
    if is_taken(method="POST", body=text, body_format="json"):
        json.loads(read_template(text, "json").filled(said(only('"')), {"A": '"'}))
    if is_taken(url=f"https://a.example/{text}"):
        url = read_template(f"https://a.example/{text}").filled(said(only("\r\n#@")), {"A": " /"})
        assert judge_url(url, Operator()).host == "a.example" and url.isascii()


def test_a_template_is_never_filled_twice() -> None:
    facts = {"transaction_id": "{secret:PASS_word1}", "visitor_id": "{tx}"}
    filled = read_template("https://a.example/?a={tx}&b={vid}").filled(said(facts), {"PASS_word1": "hunter2"})
    assert filled == "https://a.example/?a=%7Bsecret%3APASS_word1%7D&b=%7Btx%7D"


def test_people_see_stars_for_secrets() -> None:
    template = read_template("https://a.example/{secret:A}?b={secret:B}&c={tx}")
    assert template.filled(said(FACTS), None) == "https://a.example/***?b=***&c=order-1"
    sent = template.filled(said(FACTS), {"A": "a/b", "B": "x&y"})
    assert sent == "https://a.example/a%2Fb?b=x%26y&c=order-1"
    assert template.secrets == {"A", "B"}


def test_words_for_states() -> None:
    template = read_template("https://a.example/{status}")
    said_of = {
        state: template.filled(said(FACTS, state), {})[18:] for state in ("pending", "approved", "refunded")
    }
    assert said_of == {"pending": "lead", "approved": "sale", "refunded": "refunded"}
    assert template.filled(said(FACTS, "pending", pending="hold"), {}).endswith("/hold")


@pytest.mark.parametrize(
    ("template", "facts", "lacks"),
    [
        ("https://a.example/?c={clickid}", {}, True),
        ("https://a.example/?c={clickid}", {"click_id": "g", "click_id_type": "gclid"}, False),
        ("https://a.example/?c={clickid}", {"external_click_id": "e"}, False),
        ("https://a.example/?c={external}", {"click_id": "g", "click_id_type": "gclid"}, True),
        ("https://a.example/?c={gclid}&f={fbclid}", {"click_id": "g", "click_id_type": "gclid"}, False),
        ("https://a.example/?c={msclkid}&f={fbclid}", {"click_id": "g", "click_id_type": "gclid"}, True),
        ("https://a.example/?c={tx}&t={click_id_type}", {}, False),
    ],
)
def test_a_template_knows_what_it_lacks(template: str, facts: dict[str, Any], lacks: bool) -> None:
    assert read_template(template).lacks_click_id(said(facts)) is lacks


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"url": "https://a.example/?a={nonsense}"}, r"^url: .*\{nonsense\}"),
        ({"url": "https://a.example/?a={TX}"}, r"^url: .*\{TX\}"),
        ({"url": "https://a.example/?a={tx }"}, r"^url: "),
        ({"url": "https://a.example/?a={}"}, r"^url: .*\{\}"),
        ({"url": "https://a.example/?a={secret:}"}, r"^url: .*\{secret:\}"),
        ({"url": "https://a.example/?a={secret:A-B}"}, r"^url: .*\{secret:A-B\}"),
        ({"url": f"https://a.example/?a={{secret:{'A' * 65}}}"}, r"^url: "),
        ({"url": "https://a.example/?a={{tx}}"}, r"^url: braces"),
        ({"url": "https://a.example/?a={tx"}, r"^url: braces"),
        ({"url": "https://a.example/?a=tx}"}, r"^url: braces"),
        ({"url": "https://{source}.example/"}, r"^url: tokens"),
        ({"url": "https://a.example:{page}/"}, r"^url: tokens"),
        ({"url": "https://{secret:A}@a.example/"}, r"^url: "),
        ({"url": "{source}"}, r"^url: "),
        ({"url": "http://a.example/"}, r"^url: "),
        ({"url": "https://127.0.0.1/"}, r"^url: leads inside"),
        ({"url": f"https://a.example/{'a' * 2048}"}, r"^url: "),
        ({"url": "https://a.example/\r\n"}, r"^url: "),
        (
            {"status_urls": {"pending": None, "refunded": "https://a.example/{x}"}},
            r"^status_urls\.refunded: ",
        ),
        ({"status_urls": {"approved": "http://a.example/{tx}"}}, r"^status_urls\.approved: "),
        ({"body": "a={tx}", "body_format": "form"}, r"^body: belongs to method POST"),
        ({"method": "POST", "body": "a={tx}"}, r"^body: needs body_format"),
        ({"method": "POST", "body_format": "form"}, r"^body: must be there"),
        ({"method": "POST", "body": "a={y}", "body_format": "form"}, r"^body: .*\{y\}"),
        ({"method": "POST", "body": "a={tx} ", "body_format": "form"}, r"^body: "),
        ({"method": "POST", "body": '{"a": "{y}"}', "body_format": "json"}, r"^body: .*\{y\}"),
        ({"method": "POST", "body": '{"a": {y}}', "body_format": "json"}, r"^body: .*\{y\}"),
        ({"method": "POST", "body": '{"a": "{an order}"}', "body_format": "json"}, r"^body: .*\{an order\}"),
        ({"method": "POST", "body": '{"a": {tx}', "body_format": "json"}, r"^body: must be JSON"),
        ({"method": "POST", "body": '{"a": x{tx}}', "body_format": "json"}, r"^body: must be JSON"),
        ({"method": "POST", "body": '{"a": NaN}', "body_format": "json"}, r"^body: must be JSON"),
        ({"method": "POST", "body": "[" * 2000, "body_format": "json"}, r"^body: must be JSON"),
        ({"method": "POST", "body": '"\\{tx}"', "body_format": "json"}, r"^body: must be JSON"),
        ({"method": "POST", "body": '"\ud800"', "body_format": "json"}, r"^body: must be text"),
        ({"method": "POST", "body": "a" * (BODY_CHARACTERS + 1), "body_format": "form"}, r"^body: "),
        ({"url": "https://a.example/{x}", "status_urls": {"pending": "ftp://a"}}, r"^url: .*; status_urls\."),
    ],
)
def test_what_is_no_good_template_is_refused(change: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        check_templates({**DEFINED, **change}, Operator())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"url": "https://a.example/{secret:PATH}/{tx}?ü=1&b={transaction.id}"},
        {"url": "http://a.example/{tx}", "allow_http": True},
        {"status_urls": {"pending": None, "approved": "https://a.example/ok?{tx}"}},
        {"method": "POST"},
        {"method": "POST", "body": "a={tx}&b={secret:B}", "body_format": "form"},
        {
            "method": "POST",
            "body": '{"a": "{tx}",\n "b": {payout}, "{event}": [{}, {"c": "x{tid}\\"y"}]}',
            "body_format": "json",
        },
        {"method": "POST", "body": "{payout}", "body_format": "json"},
        {"method": "POST", "body": '{"open": "{", "closed": "}"}', "body_format": "json"},
    ],
)
def test_good_templates_are_taken(change: dict[str, Any]) -> None:
    check_templates({**DEFINED, **change}, Operator())


def test_what_does_not_fit_is_left_out() -> None:
    facts = {"transaction_id": "a" * (MOST_CHARACTERS - 20), "visitor_id": "v"}
    assert read_template("https://a.example/?a={tx}&b={vid}").filled(said(facts), {}).endswith("?a=&b=v")
