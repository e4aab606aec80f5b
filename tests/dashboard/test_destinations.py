"""Destinations and deliveries in the pages: forms of each kind, secrets, wishes, previews, whose it is."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any, get_args
from urllib.parse import parse_qsl

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, publish_rows
from example_outbox import CONVERSION, DELIVERIES, DESTINATIONS, define_destinations, write_outbox
from figures_in_html import Reading
from playwright.sync_api import BrowserContext, expect
from servers import start_ingest, start_read
from shop_pages import House, keep_picture, sign_in, watched
from test_pages import EACH_LOOK, LOOKS, OVERFLOW, UNNAMED
from test_setup import Visitor, alert, copyable, csrf, shown_fields

from forwarding.outbox.store import open_existing_outbox
from funnelhouse.settings import Settings
from ingest_api.definitions import destination
from ingest_api.forwarding.secrets import NAMES
from read_api.dashboard import destination_fields
from record.secrets import new_secret_key
from record.wishes import wishes_after

SECRET = "canary-EAAB-do-not-show"

NOW = datetime.now(UTC).replace(tzinfo=None)
RECENT = [
    {
        **row,
        "occurred_at": NOW - timedelta(hours=number),
        "amount_minor": 1000 + number,
        "net_amount_minor": 1000 + number,
        "state": ("approved", "pending", "rejected", "approved")[number % 4],
        "is_suspected_double": number % 8 == 3,
        "is_forwardable": True,
        "transaction_id": f"o-{number}",
        "name": "purchase" if number % 2 else "lead",
    }
    for number, row in enumerate(EXAMPLE_ROWS["fct_conversions"][:12])
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Figures of the last hours and an outbox; its destinations are those of the project `shop`."""
    home = tmp_path_factory.mktemp("destinations") / "home"
    settings = Settings(home=home)
    publish_rows(
        settings, {**EXAMPLE_ROWS, "fct_conversions": [*RECENT, *EXAMPLE_ROWS["fct_conversions"][12:]]}
    )
    define_destinations(settings)
    write_outbox(settings)
    ingest = start_ingest(home, FUNNELHOUSE_SECRET_KEYS=new_secret_key("k1"))
    read = start_read(home, FUNNELHOUSE_INGEST_URL=ingest.url)
    yield House(ingest, read, ingest.key("shop"), ingest.key("shop", "read"))
    read.stop()
    ingest.stop()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(house: House) -> Iterator[Visit]:
    opened: list[httpx.Client] = []

    def new(project: str = "shop", scopes: str = "read,admin") -> Visitor:
        key = house.ingest.key(project, scopes)
        pages = httpx.Client(base_url=house.read.url, timeout=30)
        pages.post("/app/sign-in", data={"key": key, "csrf": csrf(pages.get("/app/sign-in"))})
        api = httpx.Client(
            base_url=f"{house.ingest.url}/v1/projects/{project}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        opened.extend((pages, api))
        return Visitor(project, pages, api)

    yield new
    for each in opened:
        each.close()


FORMS: dict[str, dict[str, Any]] = {
    "postback": {
        "url": "https://source.example/pb?cid={external}&sum={payout}&pw={secret:password}",
        "method": "POST",
        "body": '{"tx": "{tx}"}',
        "body_format": "json",
        "url_refunded": "https://source.example/back?cid={external}",
        "word_pending": "hold",
        "payout_percent": "70",
        "sample_percent": "50",
        "mode": "first",
        "trigger": "every_change",
    },
    "meta": {
        "dataset_id": "123456",
        "api_version": "26",
        "action_source": "app",
        "event_time": "approved",
        "limited_data_use": "on",
        "limited_data_country": "1",
        "limited_data_state": "1000",
        "test_event_code": "TEST1",
        "default_country": "es",
        "trigger": "created",
    },
    "google": {
        "account_id": "123-456-7890",
        "login_account_id": "1234567891",
        "conversion_action_id": "987",
        "event_source": "PHONE",
        "on_rejection": "nothing",
        "max_age_days": "30",
        "trigger": "approved",
    },
    "webhook": {"url": "https://crm.example/hooks", "include_hashes": "on", "trigger": "every_change"},
}
COMMON = {
    "name": "Told <of> it",
    "since": "2026-01-31T00:00:00Z",
    "names": "purchase\nBig, big sale",
    "goals": "signup",
    "sources": "network\n",
    "sender": "server",
    "value": "gross",
    "consent": "required",
    "event_id": "property:event_id",
    "ours": ["purchase", "a=b", ""],
    "theirs": ["Purchase", "Lead", ""],
    "concurrency": "4",
    "per_second": "2.5",
}


@pytest.mark.parametrize("kind", FORMS)
def test_each_kind_has_all_its_members_in_its_form(visit: Visit, kind: str) -> None:
    shop = visit(f"forms-{kind}")
    answer = shop.post("destinations/new", kind=kind, **COMMON, **FORMS[kind])
    assert answer.status_code == 303, alert(answer)
    assert answer.headers["location"].endswith("/destinations/told-of-it/show?saved=1")
    found = shop.defined("destinations/told-of-it")
    assert (found["name"], found["kind"], found["is_active"]) == ("Told <of> it", kind, False)
    assert found["names"] == ["purchase", "Big, big sale"]
    assert (found["goals"], found["sources"]) == (["signup"], ["network"])
    assert found["event_names"] == {"purchase": "Purchase", "a=b": "Lead"}
    assert (found["concurrency"], found["per_second"]) == (4, 2.5)
    assert found["on" if kind == "postback" else "trigger"] == FORMS[kind]["trigger"]
    for name, value in FORMS[kind].items():
        if name in found and isinstance(found[name], str | int) and not isinstance(found[name], bool):
            assert str(found[name]).casefold() == value.replace("-", "").casefold(), name
    if kind == "postback":
        assert found["status_urls"]["refunded"] == FORMS[kind]["url_refunded"]
        assert found["status_words"]["pending"] == "hold"
    if kind == "webhook":
        assert found["include"] == ["hashes"]
    # Every member that ingest knows has a field: opened and sent as it is, it is the same.
    form = shop.get("destinations/told-of-it/edit")
    assert "<of>" not in form.text
    fields = shown_fields(form) | texts(form)
    assert shop.post("destinations/told-of-it/edit", **fields).status_code == 303
    assert shop.defined("destinations/told-of-it") == found
    assert Reading(form.text).homeless == []
    assert shop.post("destinations/told-of-it/delete").status_code == 303
    assert shop.api.get("destinations/told-of-it").status_code == 404


def texts(page: httpx.Response) -> dict[str, list[str]]:
    """Values of a form's larger fields."""
    found = re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>(.*?)</textarea>', page.text, re.DOTALL)
    return {name: [unescape(value)] for name, value in found}


@pytest.mark.parametrize("kind", FORMS)
def test_a_new_form_is_what_ingest_makes_of_one_that_says_little(visit: Visit, kind: str) -> None:
    shop = visit(f"little-{kind}")
    needed = {
        "postback": {"url": "https://source.example/pb"},
        "meta": {"dataset_id": "1"},
        "google": {"account_id": "1234567890", "conversion_action_id": "1"},
        "webhook": {"url": "https://crm.example/"},
    }[kind]
    form = shop.get("destinations/new", kind=kind)
    fields = shown_fields(form) | texts(form)
    fields |= {"name": ["Little"], "is_active": ["on"], **{name: [value] for name, value in needed.items()}}
    answer = shop.post("destinations/new", **fields)
    assert answer.status_code == 303, alert(answer)
    shop.api.put("destinations/same", json={"name": "Little", "kind": kind, **needed}).raise_for_status()
    little = shop.defined("destinations/little")
    assert {**little, "destination_id": "same"} == shop.defined("destinations/same")


def test_forms_offer_what_ingest_takes() -> None:
    for kind, shape in destination.SHAPES.items():
        of_kind = destination_fields.KINDS[kind]
        members = shape.model_fields
        taken = {value for value, _ in destination_fields.TRIGGERS}
        assert taken == set(get_args(members["trigger"].annotation))
        for name, choices in of_kind.choices.items():
            offered = {value for value, _ in choices} - {""}
            known = {each for arg in get_args(members[name].annotation) for each in (get_args(arg) or (arg,))}
            assert offered == known - {type(None)}, (kind, name)
        # What of a kind's members has no field of its own stands in the form in another way.
        elsewhere = {"event_names", "status_urls", "status_words", "include", "kind", "trigger"}
        shown = {*of_kind.texts, *of_kind.numbers, *of_kind.flags, *of_kind.choices}
        common = set(destination._Common.model_fields)
        assert set(members) - common - elsewhere == shown - {"include_hashes"}, kind
        assert tuple(of_kind.secrets) == tuple(NAMES.get(kind, ()))
    assert destination_fields.STATUS_WORDS == destination.STATUS_WORDS


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("postback", {"url": "https://source.example/{nothing}"}, "url"),
        ("postback", {"url": "http://127.0.0.1/pb"}, "url"),
        ("postback", {"url": ""}, "url"),
        ("postback", {"sample_percent": "all"}, "sample_percent"),
        ("postback", {"method": "GET"}, "body"),
        ("meta", {"api_version": "9" * 5000}, "api_version"),
        ("meta", {"dataset_id": "EAAB…"}, "dataset_id"),
        ("google", {"account_id": "my account"}, "account_id"),
        ("webhook", {"since": "yesterday"}, "since"),
        ("webhook", {"per_second": "fast"}, "per_second"),
        ("webhook", {"id": "No slug"}, "destination_id"),
        ("webhook", {"url": "https://169.254.169.254/latest"}, "url"),
    ],
)
def test_what_ingest_refuses_is_said_and_every_field_stays(
    visit: Visit, kind: str, changed: dict[str, str], said: str
) -> None:
    shop = visit("refused-destinations")
    sent = {"kind": kind, **COMMON, **FORMS[kind], **changed}
    answer = shop.post("destinations/new", **sent)
    assert said in alert(answer)
    shown = shown_fields(answer) | texts(answer)
    assert shown["name"] == ["Told <of> it"]
    assert shown["ours"] == COMMON["ours"]
    for name, value in changed.items():
        assert shown[name] == [value], name
    assert shop.defined("destinations")["destinations"] == []
    # The preview refuses likewise, and saves nothing either.
    assert said in shop.post("destinations/preview", **sent).text


def test_a_form_that_is_none_of_ours_is_refused(visit: Visit) -> None:
    shop = visit("odd-destinations")
    assert shop.get("destinations/new", kind="pigeon").status_code == 404
    assert shop.post("destinations/new", kind="pigeon", name="x").status_code == 400
    assert (
        shop.post("destinations/new", kind="meta", name="x", ours=["a", "b"], theirs=["c"]).status_code == 400
    )
    answer = shop.pages.post("/app/projects/odd-destinations/destinations/new", data={"kind": "meta"})
    assert answer.status_code == 403, "without the session's token"


def test_a_draft_is_previewed_before_it_is_saved(visit: Visit) -> None:
    shop = visit()
    form = shop.get("destinations/new", kind="postback")
    fields = shown_fields(form) | texts(form)
    fields |= {"name": ["Draft"], "url": ["https://source.example/pb?tx={tx}&sum={payout}&pw={secret:pw}"]}
    piece = shop.post("destinations/preview", **fields).text
    assert "<html" not in piece, "it is a piece of the form"
    sent, skipped, reasons = counted(piece)
    assert (sent, skipped) == (6, 6)
    assert reasons == {"not approved yet": 3, "rejected": 3}
    assert "https://source.example/pb?tx=o-0&amp;sum=10.00&amp;pw=***" in piece
    assert shop.api.get("destinations/draft").status_code == 404
    # Each condition of the form counts.
    some = counted(
        shop.post("destinations/preview", **fields | {"names": ["lead"], "trigger": ["created"]}).text
    )
    assert some == (3, 3, {"rejected": 3})
    doubles = counted(shop.post("destinations/preview", **fields | {"skip_suspected_doubles": ["on"]}).text)
    assert doubles[2]["possibly reported twice"] == 2
    server = counted(shop.post("destinations/preview", **fields | {"sender": ["server"]}).text)
    assert server[0] == 0
    unknown = counted(shop.post("destinations/preview", **fields | {"sources": ["nowhere"]}).text)
    assert unknown[0] == 0
    nothing = shop.post("destinations/preview", **fields | {"names": ["never heard of"]}).text
    assert "No conversion that it picks occurred in the last 7 days." in nothing
    told = shop.post("destinations/preview", **fields | {"mode": ["first"], "sample_percent": ["5"]}).text
    assert "Not counted in this preview: the share that is told, who was first" in told
    # A click id that no conversion has.
    clicks = shop.post("destinations/preview", **fields | {"url": ["https://source.example/{external}"]}).text
    assert counted(clicks)[2]["without a click ID"] == 6
    for kind in ("meta", "google", "webhook"):
        form = shop.get("destinations/new", kind=kind)
        needed = {name: [value] for name, value in FORMS[kind].items() if name != "trigger"}
        piece = shop.post(
            "destinations/preview", **(shown_fields(form) | texts(form) | needed | {"name": ["D"]})
        ).text
        assert sum(counted(piece)[:2]) == 12, kind


def counted(piece: str) -> tuple[int, int, dict[str, int]]:
    """What a preview says: how many would be sent, how many skipped, and why."""
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", piece.partition("<details>")[0]))
    found = re.search(
        r"would have sent (\d+) in the last 7 days, and skipped (\d+)(?:: (.*?))?\.(?: |$|T|N)", said
    )
    assert found is not None, said
    reasons = [each.partition(" ") for each in (found[3] or "").split(", ") if each]
    return int(found[1]), int(found[2]), {why: int(number) for number, _, why in reasons}


def test_secrets_are_set_and_never_shown(house: House, visit: Visit) -> None:
    shop = visit()
    answer = shop.post("destinations/meta/secrets", secret="access_token", value=SECRET)
    assert answer.status_code == 303, alert(answer)
    page = shop.get("destinations/meta/show")
    row = re.search(r"access_token</th>.*?<code>([0-9a-f]{8})</code>", page.text, re.DOTALL)
    assert row is not None
    assert "access_token" in alert(shop.post("destinations/meta/secrets", secret="password", value=SECRET))
    # One that is made here is shown this once.
    made = shop.post("destinations/crm/secrets", secret="signing_secret", value="", generate="")
    secret = copyable(made, "secret")
    assert secret.startswith("whsec_")
    assert made.headers["cache-control"] == "no-store"
    assert "value" in alert(shop.post("destinations/meta/secrets", secret="access_token", value=""))
    # By any name that a template may have.
    assert shop.post("destinations/network/secrets", secret="password", value=SECRET).status_code == 303
    reader = visit(scopes="read")
    for who in (shop, reader):
        for path in ("destinations", "destinations/meta/show", "destinations/crm/show", "deliveries"):
            shown = who.get(path).text
            assert SECRET not in shown
            assert secret not in shown
    assert SECRET not in shop.get(f"deliveries/{DELIVERIES[6]['delivery_id']}").text
    assert reader.post("destinations/meta/secrets", secret="access_token", value="x").status_code == 403


def test_buttons_are_wishes(house: House, visit: Visit) -> None:
    shop = visit()
    with closing(house.ingest.store()) as store:
        before = len(wishes_after(store, 0))
        for action in ("pause", "resume", "release", "test"):
            answer = shop.post(f"destinations/crm/{action}")
            assert answer.status_code == 303
            assert "Noted: to " in shop.pages.get(answer.headers["location"]).text
        delivery = str(DELIVERIES[5]["delivery_id"])
        assert shop.post(f"deliveries/{delivery}/replay").status_code == 303
        wished = wishes_after(store, 0)[before:]
    assert [(each.destination_id, each.action) for each in wished] == [
        *(("crm", action) for action in ("pause", "resume", "release", "test")),
        (None, "replay"),
    ]
    assert wished[-1].body["delivery_ids"] == [delivery]
    # Nobody wishes for what is another's, or not there.
    theirs = str(DELIVERIES[-1]["delivery_id"])
    assert shop.post(f"deliveries/{theirs}/replay").status_code == 404
    assert "Unknown destination" in shop.post("destinations/old/pause").text
    assert visit(scopes="read").post("destinations/crm/pause").status_code == 403
    with closing(house.ingest.store()) as store:
        assert len(wishes_after(store, 0)) == before + 5


def test_pages_say_how_it_goes_and_whose_it_is(visit: Visit) -> None:
    shop = visit()
    listed = shop.get("destinations").text
    assert "Meta &lt;pixel&gt;" in listed
    for state in ("active", "held", "paused", "inactive", "deleted"):
        assert f">{state}</span>" in listed
    page = shop.get("destinations/meta/show").text
    assert "too old for it" in page
    dead = shop.get("deliveries", state="dead").text
    assert str(DELIVERIES[5]["delivery_id"]) in dead
    assert str(DELIVERIES[0]["delivery_id"]) not in dead
    one = shop.get(f"deliveries/{DELIVERIES[0]['delivery_id']}").text
    assert "graph.facebook.com/v25.0/123/events" in one
    assert "&#34;note&#34;: &#34;&lt;b&gt;&#34;" in one, "what receivers answer is text"
    assert "no answer" in one
    conversion = shop.get(f"conversions/{CONVERSION.replace('/', '%2F')}").text
    told = conversion.partition('id="told-title"')[2]
    assert "Meta &lt;pixel&gt;" in told
    assert "nothing: rejected" in told, "of the one that sleeps"
    assert str(DELIVERIES[0]["delivery_id"]) in told
    for path in (
        "destinations",
        "destinations/meta/show",
        "deliveries",
        f"deliveries/{DELIVERIES[0]['delivery_id']}",
    ):
        assert Reading(shop.get(path).text).homeless == [], path
    other = visit("elsewhere")
    for path in (
        f"deliveries/{DELIVERIES[0]['delivery_id']}",
        "destinations/meta/show",
        "destinations/meta/preview",
    ):
        assert other.get(path).status_code == 404, path
    assert other.get("deliveries/%2e%2e").status_code in (200, 404)


def test_every_number_is_what_the_outbox_has(house: House, visit: Visit) -> None:
    shop = visit()
    compared = 0
    store = open_existing_outbox(house.read.settings.outbox_path)
    assert store is not None
    with closing(store):
        for path in (
            *("destinations", "destinations/meta/show", "destinations/crm/show", "destinations/network/show"),
            *("deliveries", f"deliveries/{DELIVERIES[0]['delivery_id']}"),
            f"conversions/{CONVERSION.replace('/', '%2F')}",
        ):
            for shown in Reading(shop.get(path).text).shown:
                column = shown.said["column"]
                if shown.said["mart"].startswith("outbox.") and "(" in column:
                    asked: dict[str, list[str]] = {"project_id": ["shop"]}
                    for name, value in parse_qsl(shown.said["filter"]):
                        asked.setdefault(name, []).append(value)
                    where = " and ".join(f"{name} in ({', '.join('?' * len(asked[name]))})" for name in asked)
                    values = [value for several in asked.values() for value in several]
                    table = shown.said["mart"].removeprefix("outbox.")
                    ((number,),) = store.query(f"SELECT {column} FROM {table} WHERE {where}", *values)
                    read = re.sub(r"[^\d.]", "", shown.text)
                    assert Decimal(read) == Decimal(number) / (100 if "minor" in column else 1), (path, shown)
                    compared += 1
    assert compared > 60


def test_an_outbox_that_cannot_be_read_is_said(house: House, visit: Visit) -> None:
    shop = visit()
    path = house.read.settings.outbox_path
    aside = path.rename(path.with_suffix(".aside"))
    said = "Deliveries cannot be read at the moment"
    try:
        path.write_bytes(b"no database at all, but long enough to look like one" * 100)
        for page in ("destinations", "deliveries", f"conversions/{CONVERSION.replace('/', '%2F')}"):
            answer = shop.get(page)
            assert (answer.status_code, said in answer.text) == (200, True), page
        assert shop.get("destinations/meta/show").status_code == 503
        assert shop.get(f"deliveries/{DELIVERIES[0]['delivery_id']}").status_code == 503
        path.unlink()
        # None at all: nothing was ever sent.
        assert "Nothing was sent yet" in shop.get("deliveries").text
        assert "destination</a> is active. " in shop.get("deliveries").text
        assert shop.get("destinations/meta/show").status_code == 200
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def test_a_traffic_source_has_a_click_id_of_its_own(visit: Visit) -> None:
    shop = visit("clicks")
    source = {
        "name": "Push network",
        "source": "push",
        "medium": "",
        "is_paid": "",
        "click_id_param": "clickid",
    }
    assert shop.post("setup/traffic-sources/new", **source).status_code == 303
    assert shop.defined("traffic-sources/push-network")["click_id_param"] == "clickid"
    fields = shown_fields(shop.get("setup/traffic-sources/push-network/edit"))
    assert fields["click_id_param"] == ["clickid"]
    assert shop.post("setup/traffic-sources/push-network/edit", **fields).status_code == 303
    assert shop.defined("traffic-sources/push-network")["click_id_param"] == "clickid"
    assert "click_id_param" in alert(
        shop.post("setup/traffic-sources/new", **source | {"id": "other", "click_id_param": "a b"})
    )


@pytest.mark.parametrize("look", EACH_LOOK)
def test_pages_of_sending_render(house: House, new_context: Callable[..., BrowserContext], look: str) -> None:
    seen = watched(new_context(**LOOKS[look]), house)
    sign_in(seen.page, house, house.admin_key)
    paths = (
        *(
            "destinations",
            "destinations/meta/show",
            "deliveries",
            f"deliveries/{DELIVERIES[0]['delivery_id']}",
        ),
        *(f"destinations/new?kind={kind}" for kind in FORMS),
        *(f"destinations/{key}/edit" for key in DESTINATIONS),
        f"conversions/{CONVERSION.replace('/', '%2F')}",
    )
    for path in paths:
        answer = seen.page.goto(f"{house.read.url}/app/projects/shop/{path}")
        assert answer is not None
        assert answer.status == 200, path
        keep_picture(seen.page, f"{look}-{re.sub('[^a-z]+', '-', path)}")
        assert seen.page.evaluate(OVERFLOW) <= 0, f"{path} is wider than the screen"
        assert seen.page.locator("h1").count() == 1, path
        controls = seen.page.locator("input:visible, select:visible, textarea:visible, button:visible")
        assert controls.evaluate_all(UNNAMED) == [], path
        assert seen.faults == [], path


def test_a_destination_is_defined_in_a_browser(
    house: House, new_context: Callable[..., BrowserContext]
) -> None:
    seen = watched(new_context(), house)
    page = seen.page
    sign_in(page, house, house.admin_key)
    page.get_by_role("link", name="Destinations", exact=True).click()
    page.get_by_role("link", name="Postback", exact=True).click()
    page.get_by_label("Name", exact=True).fill("In a browser")
    page.get_by_label("Address", exact=True).fill("https://source.example/pb?tx={tx}")
    page.get_by_role("button", name="Add a name").click()
    expect(page.get_by_label("Our name or goal")).to_have_count(2)
    expect(page.get_by_label("Our name or goal").last).to_be_focused()
    page.get_by_role("button", name="Remove this name").last.click()
    expect(page.get_by_label("Our name or goal")).to_have_count(1)
    page.get_by_role("button", name="Preview").press("Enter")
    expect(page.locator("#preview")).to_contain_text("would have sent 6 in the last 7 days, and skipped 6")
    page.get_by_text("The latest as it would be sent").press("Enter")
    expect(page.locator("#preview")).to_contain_text("https://source.example/pb?tx=o-0")
    # What a preview refuses is said beside it.
    page.get_by_label("Address", exact=True).fill("https://source.example/{nothing}")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview").get_by_role("alert")).to_contain_text("url")
    page.get_by_label("Address", exact=True).fill("https://source.example/pb?tx={tx}")
    page.get_by_role("button", name="Save destination").click()
    page.wait_for_url("**/destinations/in-a-browser/show?saved=1")
    expect(page.get_by_role("heading", name="In a browser", level=1)).to_be_visible()
    expect(page.locator("#preview")).to_contain_text("is known from the next build on")
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status").first).to_contain_text("Noted: to send a test")
    # By keyboard, from the list to a message and its filters.
    page.goto(f"{house.read.url}/app/projects/shop/deliveries")
    page.get_by_label("State").focus()
    with page.expect_response("**/deliveries?*"):
        page.get_by_label("State").select_option("dead")
    expect(page.locator("table tbody tr")).to_have_count(1)
    expect(page.get_by_label("State")).to_be_focused()
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="As it is sent")).to_be_visible()
    assert seen.faults == []
