"""Setting a project up: forms that define, keys that are made once, and the steps to the first figures."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, publish_rows
from figures_in_html import Reading
from playwright.sync_api import BrowserContext, expect
from servers import start_ingest, start_read
from shop_pages import House, sign_in, watched

from funnelhouse.keys import CACHE_SECONDS, list_keys
from funnelhouse.snippet import CALLS, built_stub, tag
from read_api.dashboard.defined import TRAFFIC_SOURCES, Defined
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.networks import ANY, networks
from read_api.dashboard.pages.keys import SCOPES

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nothing is published in it, and nothing has arrived."""
    home = tmp_path_factory.mktemp("setup") / "home"
    ingest = start_ingest(home)
    read = start_read(home, FUNNELHOUSE_INGEST_URL=ingest.url)
    yield House(ingest, read, "", "")
    read.stop()
    ingest.stop()


@dataclass
class Visitor:
    """A signed-in browser without its window, and the ingest API with the same key."""

    project: str
    pages: httpx.Client
    api: httpx.Client

    def get(self, path: str, /, **query: str) -> httpx.Response:
        return self.pages.get(f"/app/projects/{self.project}/{path}", params=query)

    def post(self, path: str, /, **fields: Any) -> httpx.Response:
        form = {"csrf": csrf(self.pages.get("/app/keys")), **fields}
        return self.pages.post(f"/app/projects/{self.project}/{path}", data=form)

    def defined(self, path: str) -> dict[str, Any]:
        """As the ingest API has it, without what every version has."""
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        return {k: v for k, v in answer.json().items() if k not in ("version", "received_us")}


Visit = Callable[..., Visitor]


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def alert(page: httpx.Response) -> str:
    assert page.status_code == 422, page.text
    found = re.search(r'role="alert">([^<]+)<', page.text)
    assert found is not None, page.text
    return unescape(found[1])


def copyable(page: httpx.Response, element: str) -> str:
    """The text of an element, as a browser copies it."""
    found = re.search(rf'<pre id="{element}"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    assert found is not None, element
    return unescape(found[1])


def shown_fields(page: httpx.Response) -> dict[str, list[str]]:
    """What the form of a page would send as it is, but for its token."""
    form = page.text.partition('<form class="form"')[2].partition("</form>")[0]
    found: dict[str, list[str]] = {}
    for element in re.findall(r"<input [^>]+>", form):
        said = dict(re.findall(r'([a-z-]+)="([^"]*)"', element))
        if said.get("type") != "checkbox" or " checked" in element:
            found.setdefault(said["name"], []).append(unescape(said.get("value", "on")))
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)">(.*?)</select>', form, re.DOTALL):
        chosen = re.findall(r'<option value="([^"]*)" selected>', options)
        found.setdefault(name, []).extend(chosen or re.findall(r'<option value="([^"]*)"', options)[:1])
    del found["csrf"]
    return found


@pytest.fixture
def visit(house: House) -> Iterator[Visit]:
    opened: list[httpx.Client] = []

    def new(project: str, scopes: str = "ingest,read,admin", is_test: bool = False) -> Visitor:
        key = house.ingest.key(project, scopes, is_test=is_test, name="Who looks")
        pages = httpx.Client(base_url=house.read.url, timeout=20)
        pages.post("/app/sign-in", data={"key": key, "csrf": csrf(pages.get("/app/sign-in"))})
        api = httpx.Client(
            base_url=f"{house.ingest.url}/v1/projects/{project}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=20,
        )
        opened.extend((pages, api))
        return Visitor(f"{project}.test" if is_test else project, pages, api)

    yield new
    for each in opened:
        each.close()


def test_a_page_is_defined_shown_with_its_codes_changed_and_deleted(visit: Visit) -> None:
    shop = visit("pages")
    payouts = {
        "valid_from": ["2026-01-01", "2026-06-01T12:00:00Z", ""],
        "amount": ["25", "27.50", ""],
        "currency": ["usd", "EUR", ""],
    }
    page = {"name": "Spring <offer>", "kind": "offer", "path": "/offers/spring"}
    answer = shop.post("setup/pages/new", id="offer:1~b", **page, **payouts)
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("/setup?saved=offer%3A1~b#pages")
    wanted = {
        "page_id": "offer:1~b",
        **page,
        "payouts": [
            {"valid_from": "2026-01-01T00:00:00Z", "amount": 25, "currency": "USD"},
            {"valid_from": "2026-06-01T12:00:00Z", "amount": 27.5, "currency": "EUR"},
        ],
    }
    assert shop.defined("pages/offer:1~b") == wanted

    # Opened and sent as it is, it is the same page.
    form = shop.get("setup/pages/offer:1~b/edit")
    assert shown_fields(form)["valid_from"] == ["2026-01-01", "2026-06-01T12:00:00Z"]
    assert shop.post("setup/pages/offer:1~b/edit", **shown_fields(form)).status_code == 303
    assert shop.defined("pages/offer:1~b") == wanted
    changed = {**shown_fields(form), "kind": "lander", "path": ""}
    assert shop.post("setup/pages/offer:1~b/edit", **changed).status_code == 303
    assert shop.defined("pages/offer:1~b") == {**wanted, "kind": "lander", "path": None}

    setup = shop.get("setup")
    assert "<offer>" not in setup.text
    code = copyable(setup, "code-1")
    assert code.endswith('/t/pages.js" data-page="offer:1~b" data-kind="lander"></script>')
    assert built_stub().strip() in code
    assert (
        copyable(setup, "conversion-1").count('flux.track("conversion", {p: "offer:1~b", rev: "VALUE"})') == 1
    )

    assert shop.post("setup/pages/offer:1~b/delete").status_code == 303
    assert shop.api.get("pages/offer:1~b").status_code == 404


def test_what_ingest_refuses_is_said_and_every_field_stays(visit: Visit) -> None:
    shop = visit("refused")
    two = {"valid_from": ["2026-01-01", "x"], "amount": ["25", "1"], "currency": ["USD", "EUR"]}
    page = {"id": "offer-1", "name": "Offer", "kind": "lander", "path": "offers"}
    answer = shop.post("setup/pages/new", **page, **two)
    assert "path" in alert(answer)
    assert "payouts 2, valid_from: must be" in alert(answer), "counted as people do"
    assert shown_fields(answer) == {**{name: [value] for name, value in page.items()}, **two}
    answer = shop.post("setup/pages/new", **{**page, "path": ""}, **{**two, "amount": ["25", "ten"]})
    assert alert(answer) == "payouts 2, amount: must be a number such as 10 or 9.99"
    for wrong, said in (("no id!", "page_id"), ("", "Give it a name or an id")):
        answer = shop.post("setup/pages/new", **{**page, "name": "注文", "path": "", "id": wrong})
        assert said in alert(answer), wrong
    assert shop.defined("pages")["pages"] == []
    # Some fields of a payout are missing: no page of ours sent that.
    assert shop.post("setup/pages/new", **page, valid_from=["2026-01-01"]).status_code == 400

    source = {"id": "ads", "name": "Ads", "source": "google", "medium": "cpc", "is_paid": "no"}
    source["click_id_param"] = "subid"
    assert shop.post("setup/traffic-sources/new", **source).status_code == 303
    answer = shop.post("setup/traffic-sources/new", **source)
    assert "already in use" in alert(answer)
    assert shown_fields(answer) == {name: [value] for name, value in source.items()}


@pytest.mark.parametrize(("chosen", "is_paid"), [("", None), ("yes", True), ("no", False)])
def test_a_traffic_source_says_whether_it_is_paid(visit: Visit, chosen: str, is_paid: bool | None) -> None:
    shop = visit(f"sources-{chosen or 'none'}")
    source = {"name": "Google Ads", "source": "google", "medium": "", "click_id_param": chosen}
    assert shop.post("setup/traffic-sources/new", **source, is_paid=chosen).status_code == 303
    wanted = {**source, "traffic_source_id": "google-ads", "medium": None, "is_paid": is_paid}
    wanted["click_id_param"] = chosen or None
    found = shop.defined("traffic-sources/google-ads")
    assert {name: found[name] for name in wanted} == wanted
    form = shop.get("setup/traffic-sources/google-ads/edit")
    assert shop.post("setup/traffic-sources/google-ads/edit", **shown_fields(form)).status_code == 303
    assert shop.defined("traffic-sources/google-ads") == found
    assert "Google Ads" in shop.get("setup").text
    assert shop.post("setup/traffic-sources/google-ads/delete").status_code == 303
    assert shop.defined("traffic-sources")["traffic_sources"] == []


def test_a_network_fills_the_postback_of_every_offer(house: House, visit: Visit) -> None:
    shop = visit("postbacks")
    for kind in ("offer", "lander", "page"):
        shop.api.put(f"pages/{kind}-1", json={"name": kind, "kind": kind}).raise_for_status()
    setup = shop.get("setup").text
    assert "--postbacks secret" in setup, "it says how to switch them on"
    assert "postback-" not in setup
    house.ingest.set_postbacks("postbacks", "open")
    for network in (ANY, *networks().values()):
        setup = shop.get("setup", network=network.network_id)
        # What converts stands first.
        for number, kind in enumerate(("offer", "lander"), 1):
            assert f'data-page="{kind}-1"' in copyable(setup, f"code-{number}")
            assert copyable(setup, f"postback-{number}").startswith(
                f"{house.ingest.url}/pb/postbacks/?hit={network.click_id}&tx="
            )
        assert setup.text.count("Postback by visitor") == 2, "other pages are not converted by postbacks"
        if network is not ANY:
            assert f'href="{network.source}"' in setup.text
            assert network.link_parameter in unescape(setup.text)


def test_a_postback_as_it_stands_is_taken_once_its_macros_are_replaced(house: House, visit: Visit) -> None:
    shop = visit("taken")
    house.ingest.set_postbacks("taken", "open")
    shop.api.put("pages/offer-1", json={"name": "Offer", "kind": "offer"}).raise_for_status()
    for network in networks().values():
        address = copyable(shop.get("setup", network=network.network_id), "postback-1")
        for name, macro in network.parameters.items():
            address = address.replace(f"{name}={macro}", f"{name}={'12.50' if name == 'rev' else 'x1'}")
        answer = httpx.get(address)
        assert (answer.status_code, answer.json()) == (200, {"accepted": 1}), address
    address = copyable(shop.get("setup"), "visitor-1")
    assert httpx.get(address).status_code == 400, "REPLACE is no visitor"
    answer = httpx.get(address.replace("vid=REPLACE", "vid=v1"))
    assert answer.json() == {"accepted": 1}


def test_a_secret_is_asked_for_where_postbacks_have_one(house: House, visit: Visit) -> None:
    shop = visit("secretive")
    shop.api.put("pages/offer-1", json={"name": "Offer", "kind": "offer"}).raise_for_status()
    path = house.ingest.set_postbacks("secretive", "secret")
    assert path is not None
    setup = shop.get("setup")
    assert copyable(setup, "postback-1").startswith(f"{house.ingest.url}/pb/secretive/SECRET/?hit=")
    assert path.split("/")[3] not in setup.text


def test_the_tag_is_the_commands_and_its_script_is_served(house: House, visit: Visit) -> None:
    shop = visit("tagged")
    assert "--origins" in shop.get("setup").text
    house.ingest.set_access("tagged", origins=["https://shop.example"])
    setup = shop.get("setup")
    script = f"{house.ingest.url}/t/tagged.js"
    assert copyable(setup, "tag") == tag(script, built_stub())
    assert httpx.get(script).status_code == 200
    for number, call in enumerate(CALLS, 1):
        assert copyable(setup, f"call-{number}") == call.code
    # Test keys share the origins.
    tester = visit("tagged", is_test=True)
    script = f"{house.ingest.url}/t/tagged.test.js"
    assert copyable(tester.get("setup"), "tag") == tag(script, built_stub())
    assert httpx.get(script).status_code == 200


def test_goals_without_room_in_the_script_are_counted(visit: Visit) -> None:
    shop = visit("crowded")
    assert "has no room" not in shop.get("setup").text
    for number in range(12):
        goal = {"name": f"{number}" + "g" * 900, "match": {"type": "event_name", "value": "x"}}
        shop.api.put(f"goals/goal-{number}", json=goal).raise_for_status()
    # The script's side knows a definition within a second.
    time.sleep(1)
    left_out = shop.defined("tracker")["left_out_goals"]
    assert 0 < left_out < 12
    assert f'<span class="said">{left_out}</span> goals' in shop.get("setup").text


LINK = {
    "name": "Spring, from the advertorial",
    "page_id": "advertorial",
    "to": [
        {"url": "https://offers.example/spring?sub={hit}", "weight": 3, "page_id": "offer-1"},
        {"url": "https://offers.example/b?sub={visitor}", "weight": 1, "page_id": None},
    ],
    "pass": ["utm_*", "gclid"],
    "append_vid": False,
    "is_active": False,
    "fallback_url": "https://shop.example/",
    "fires": {"type": "conversion", "name": "Offer clicked", "value": {"amount": 0.5, "currency": "USD"}},
}
LINK_FIELDS: dict[str, Any] = {
    "id": "spring",
    "name": LINK["name"],
    "page_id": "advertorial",
    "url": ["https://offers.example/spring?sub={hit}", "https://offers.example/b?sub={visitor}", ""],
    "weight": ["3", "", "1"],
    "to_page_id": ["offer-1", "", ""],
    "pass": " utm_*,gclid ",
    "fallback_url": "https://shop.example/",
    "fires": "conversion",
    "fires_name": "Offer clicked",
    "amount": "0.5",
    "currency": "usd",
}


def test_a_link_has_all_members_in_its_form(visit: Visit) -> None:
    shop = visit("linked")
    assert shop.post("links/new", **LINK_FIELDS).status_code == 303
    assert shop.defined("links/spring") == {"link_id": "spring", **LINK}
    assert shop.defined("goals/link-spring")["counts_as_conversion"] is True
    # Opened and sent as it is, it is the same link.
    fields = shown_fields(shop.get("links/spring/edit"))
    assert shop.post("links/spring/edit", **fields).status_code == 303
    assert shop.defined("links/spring") == {"link_id": "spring", **LINK}
    # What is left out is the default, or none; a click that fires nothing takes its goal along.
    least = {**fields, "page_id": "", "fires": "", "fallback_url": "", "append_vid": "on", "is_active": "on"}
    assert shop.post("links/spring/edit", **least).status_code == 303
    found = shop.defined("links/spring")
    assert (found["page_id"], found["fires"], found["fallback_url"]) == (None, None, None)
    assert (found["append_vid"], found["is_active"]) == (True, True)
    assert shop.api.get("goals/link-spring").status_code == 404
    assert shop.post("links/spring/delete").status_code == 303
    assert shop.defined("links")["links"] == []


def test_what_fires_an_event_has_no_value_whatever_its_hidden_fields_say(visit: Visit) -> None:
    shop = visit("valueless")
    assert shop.post("links/new", **{**LINK_FIELDS, "fires": "event"}).status_code == 303
    assert shop.defined("links/spring")["fires"] == {"type": "event", "name": "Offer clicked", "value": None}


def test_a_new_link_is_what_ingest_makes_of_a_link_that_says_little(visit: Visit) -> None:
    shop = visit("little")
    fields = shown_fields(shop.get("links/new"))
    fields |= {"name": ["Little"], "url": ["https://offers.example/"]}
    assert shop.post("links/new", **fields).status_code == 303
    little = {"name": "Little", "to": [{"url": "https://offers.example/"}]}
    shop.api.put("links/same", json=little).raise_for_status()
    assert {**shop.defined("links/little"), "link_id": "same"} == shop.defined("links/same")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": ["javascript:alert(1)", "", ""]}, "to 1, url"),
        ({"url": ["https://a.example/", "https://b.example/{nothing}", ""]}, "to 2, url"),
        ({"weight": ["3", "101", ""]}, "to 2, weight"),
        ({"url": ["", "", ""], "to_page_id": ["", "", ""]}, "to"),
        ({"amount": "half"}, "amount: must be a number"),
        ({"amount": "1", "currency": ""}, "fires.value.currency"),
        ({"fires": "event", "fires_name": ""}, "fires.name"),
        ({"pass": "a b"}, "pass"),
        ({"id": "No slug"}, "link_id"),
        ({"fallback_url": "/here"}, "fallback_url"),
    ],
)
def test_a_link_that_ingest_refuses_keeps_its_fields(
    visit: Visit, changed: dict[str, Any], said: str
) -> None:
    shop = visit("refusing")
    sent = {**LINK_FIELDS, **changed}
    answer = shop.post("links/new", **sent)
    assert said in alert(answer)
    as_lists = {name: value if isinstance(value, list) else [value.strip()] for name, value in sent.items()}
    assert shown_fields(answer) == as_lists
    assert shop.defined("links")["links"] == []


def once(page: httpx.Response) -> str:
    found = re.search(r'name="once" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("scopes", [value for value, _ in SCOPES])
def test_a_key_is_made_and_shown_once(house: House, visit: Visit, scopes: str) -> None:
    shop = visit("keyed")
    form = shop.get("setup/keys/new")
    fields = {"name": f"For {scopes}", "scopes": scopes, "days": "30", "once": once(form)}
    made = shop.post("setup/keys/new", **fields)
    key = copyable(made, "key")
    assert made.headers["cache-control"] == "no-store"
    # The same form again, as a browser sends it that loads the answer once more.
    again = shop.post("setup/keys/new", **fields)
    assert "made already" in again.text
    assert key not in again.text
    with closing(house.ingest.store()) as store:
        [kept] = [each for each in list_keys(store, "keyed") if each.name == f"For {scopes}"]
    assert key.split("_")[2] == kept.key_id
    assert kept.scopes == set(scopes.split(","))
    answer = httpx.get(
        f"{house.ingest.url}/v1/projects/keyed/goals", headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == (200 if "read" in scopes else 403), "it works"
    setup = shop.get("setup")
    assert f"For {scopes}" in setup.text
    assert key not in setup.text
    assert key.rpartition("_")[2] not in setup.text


def test_keys_are_renamed_and_ended(house: House, visit: Visit) -> None:
    shop = visit("renamed")
    key_id = house.ingest.key("renamed", "ingest", name="Old <name>").split("_")[2]
    form = shop.get(f"setup/keys/{key_id}/edit")
    assert shown_fields(form) == {"name": ["Old <name>"]}
    assert "name" in alert(shop.post(f"setup/keys/{key_id}/edit", name="\x07"))
    assert shop.post(f"setup/keys/{key_id}/edit", name="New name").status_code == 303
    assert "New name" in shop.get("setup").text
    assert shop.post(f"setup/keys/{key_id}/delete").status_code == 303
    setup = shop.get("setup").text
    ended = setup.partition("<summary>Keys that have ended")[2]
    assert "New name" in ended
    assert "New name" not in setup.removesuffix(ended)
    assert shop.get(f"setup/keys/{key_id}/edit").status_code == 303, "what has ended is not changed"
    assert shop.post("setup/keys/000000000000/edit", name="Any").status_code == 422


def test_who_ends_their_own_key_is_signed_out(visit: Visit) -> None:
    shop = visit("own")
    key_id = shop.api.headers["authorization"].split("_")[2]
    assert '<span class="tag accent">yours</span>' in shop.get("setup").text
    assert "You are signed in with it" in shop.get(f"setup/keys/{key_id}/edit").text
    shop.post(f"setup/keys/{key_id}/delete")
    time.sleep(CACHE_SECONDS)
    assert shop.get("setup").headers["location"].startswith("/app/sign-in")


def test_a_key_gives_only_what_its_maker_has(visit: Visit) -> None:
    reader = visit("modest", "read,admin")
    form = reader.get("setup/keys/new")
    answer = reader.post("setup/keys/new", name="n", scopes="ingest", days="1", once=once(form))
    assert "scopes" in alert(answer)
    for fields in ({"days": "0"}, {"days": "9" * 5000}, {"scopes": "everything"}, {"once": "short"}):
        sent = {"name": "n", "scopes": "read", "days": "1", "once": once(form), **fields}
        assert reader.post("setup/keys/new", **sent).status_code == 422, fields
    tester = visit("modest", is_test=True)
    sent = {"name": "Of a test", "scopes": "ingest", "days": "1", "once": once(tester.get("setup/keys/new"))}
    assert copyable(tester.post("setup/keys/new", **sent), "key").startswith("fh_test_")


def test_every_number_is_a_name_or_somebodys_word(house: House, visit: Visit) -> None:
    shop = visit("numbers")
    house.ingest.set_access("numbers", origins=["https://shop.example:8443"], postbacks="open")
    payouts = [{"valid_from": f"2026-0{month}-01", "amount": month, "currency": "USD"} for month in (1, 2)]
    page = {"name": "Offer 1", "kind": "offer", "path": "/1", "payouts": payouts}
    shop.api.put("pages/offer-1", json=page).raise_for_status()
    shop.api.put("traffic-sources/ads-1", json={"name": "Ads 1", "source": "1"}).raise_for_status()
    shop.api.put("links/link-1", json={**LINK, "name": "Link 1"}).raise_for_status()
    for path in ("setup?network=adcombo", "links", "links/link-1/edit", "setup/pages/offer-1/edit"):
        assert Reading(shop.get(path).text).homeless == [], path


def test_whoever_may_only_read_sees_addresses_and_no_key(visit: Visit) -> None:
    owner, reader = visit("seen"), visit("seen", "read")
    owner.api.put("pages/offer-1", json={"name": "Offer", "kind": "offer"}).raise_for_status()
    setup = reader.get("setup")
    assert 'data-page="offer-1"' in copyable(setup, "code-1")
    assert "a key with the scope admin" in setup.text
    assert "Who looks" not in setup.text
    assert "/edit" not in setup.text
    assert "/new" not in setup.text


def test_a_goal_sent_as_it_is_stays_what_it_was(visit: Visit) -> None:
    shop = visit("kept")
    goal = {
        "name": "Signed up",
        "match": {"type": "event_name", "value": "signup"},
        "property": {"key": "plan", "value": "pro"},
        "value": {"amount": 2.5, "currency": "EUR"},
    }
    shop.api.put("goals/signed-up", json=goal).raise_for_status()
    before = shop.defined("goals/signed-up")
    fields = shown_fields(shop.get("goals/signed-up/edit"))
    assert shop.post("goals/signed-up/edit", **fields).status_code == 303
    assert shop.defined("goals/signed-up") == before
    # What is emptied is gone.
    fields |= {"property_key": [""], "amount": [""], "currency": [""]}
    assert shop.post("goals/signed-up/edit", **fields).status_code == 303
    assert shop.defined("goals/signed-up") == {**before, "property": None, "value": None}


def test_an_edit_keeps_what_its_form_does_not_show(house: House, visit: Visit) -> None:
    shop = visit("newer")
    source = {"name": "Google Ads", "source": "google"}
    shop.api.put("traffic-sources/ads", json=source).raise_for_status()
    before = shop.defined("traffic-sources/ads")
    ingest = Ingest(house.ingest.url)
    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(ingest=ingest)))
    key = shop.api.headers["authorization"].partition(" ")[2]
    viewer = SimpleNamespace(project_id="newer", read=key, admin=key)
    # A form that knows one member only, as if it were of an older version.
    Defined(request, viewer).put(TRAFFIC_SOURCES, "ads", {"name": "Ads"}, False)  # type: ignore[arg-type]
    ingest.close()
    assert shop.defined("traffic-sources/ads") == {**before, "name": "Ads"}


def test_steps_are_told_when_they_change(house: House, visit: Visit) -> None:
    shop = visit("stepping", "read,admin")
    page = shop.get("conversions").text
    asked = re.search(r'hx-get="[^"]*setup/steps\?([^"]+)"', page)
    assert asked is not None
    seen = dict(httpx.QueryParams(unescape(asked[1])))
    assert shop.get("setup/steps", **seen).status_code == 204, "nothing to swap"
    assert "Make a key" in page
    # As the step's form does it.
    made = shop.post("setup/keys/new", name="Server", scopes="read", once=once(shop.get("conversions")))
    assert made.status_code == 200
    assert shop.get("setup/steps", **seen).status_code == 204, "a key that reads sends nothing"
    key = house.ingest.key("stepping", "ingest")
    steps = shop.get("setup/steps", **seen)
    assert steps.status_code == 200
    assert steps.text.count('class="is-done"') == 1
    # What was sent and not taken is said, until something is.
    events = f"{house.ingest.url}/v1/projects/stepping/events"
    sent = {"headers": {"Authorization": f"Bearer {key}"}}
    httpx.post(events, json={"event_type": "conversion"}, **sent)
    assert "A report arrived and was not accepted" in shop.get("setup/steps").text
    httpx.post(events, json={"event_type": "event", "event_name": "hello", "user_id": "u"}, **sent)
    steps = shop.get("setup/steps")
    assert "It has arrived" in steps.text
    assert "not accepted" not in steps.text
    assert "Waiting for a build" in steps.text


def test_before_anything_is_built_a_goal_is_defined_all_the_same(visit: Visit) -> None:
    shop = visit("eager")
    preview = shop.get("goals/preview", match_type="event_name", value="signup")
    assert "There are no figures yet" in preview.text
    assert "<html" not in preview.text, "it is a piece of the form"
    fields = shown_fields(shop.get("goals/new")) | {"name": ["Signed up"], "value": ["signup"]}
    answer = shop.post("goals/new", **fields)
    assert answer.status_code == 303
    assert "First steps" in shop.pages.get(answer.headers["location"]).text


@pytest.mark.long
def test_steps_tick_and_figures_come_while_one_looks_at_them(house: House, new_context: NewContext) -> None:
    context = new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen = watched(context, house)
    page = seen.page
    # The project that example marts are of.
    sign_in(page, house, house.ingest.key("shop", "read,admin"))
    page.get_by_role("link", name="Performance", exact=True).click()
    done = page.locator("#first-steps .is-done h3")
    expect(page.locator("#first-steps")).to_contain_text("Waiting for the first event")
    expect(done).to_have_count(0)

    key = house.ingest.key("shop", "ingest")
    expect(done).to_contain_text(["A key for your server"])
    house.ingest.set_access("shop", origins=["https://shop.example"])
    expect(done).to_contain_text(["A key", "The tracker"])
    page.get_by_role("button", name="Copy the tag").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == tag(f"{house.ingest.url}/t/shop.js", built_stub())
    expect(page.get_by_role("button", name="Copied the tag")).to_be_visible()
    event = {"event_type": "pageview", "anonymous_id": "b-1", "url": "https://shop.example/"}
    httpx.post(
        f"{house.ingest.url}/v1/projects/shop/events", json=event, headers={"Authorization": f"Bearer {key}"}
    )
    expect(done).to_contain_text(["A key", "The tracker", "The first event"])
    assert page.url.endswith("/performance")
    publish_rows(house.ingest.settings, EXAMPLE_ROWS)
    expect(page.get_by_role("heading", name="By source")).to_be_visible()
    expect(page.locator("#first-steps")).to_have_count(0)
    assert seen.faults == []


def test_setup_is_used_in_a_browser(house: House, new_context: NewContext) -> None:
    seen = watched(new_context(), house)
    page = seen.page
    house.ingest.key("studio")
    house.ingest.set_postbacks("studio", "open")
    sign_in(page, house, house.ingest.key("studio"))
    page.goto(f"{house.read.url}/app/projects/studio/setup")
    page.get_by_role("link", name="New page").click()
    page.get_by_label("Name", exact=True).fill("Spring offer")
    page.get_by_label("Amount").fill("25")
    page.get_by_label("Valid from").fill("2026-01-01")
    page.get_by_label("Currency").fill("usd")
    page.get_by_role("button", name="Add a payout").click()
    expect(page.locator(".payout")).to_have_count(2)
    expect(page.get_by_label("Valid from").last).to_be_focused()
    page.locator(".payout").last.get_by_role("button", name="Remove").click()
    expect(page.locator(".payout")).to_have_count(1)
    page.get_by_role("button", name="Save page").click()
    page.wait_for_url("**/setup?saved=spring-offer#pages")
    expect(page.locator("#code-1")).to_contain_text('data-page="spring-offer"')
    # What was just saved is open, and choosing a network fills its address.
    page.get_by_label("Affiliate network").select_option("cake")
    page.wait_for_url("**network=cake**")
    expect(page.locator("#postback-1")).to_have_text(re.compile(r"\?hit=#s2#&tx=#leadid#&rev=#price#$"))

    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name").fill("Shop backend")
    page.get_by_role("button", name="Make key").click()
    expect(page.locator("#key")).to_contain_text("fh_live_")
    page.get_by_role("link", name="All keys").click()
    page.get_by_role("link", name="Rename or end Shop backend").click()
    page.get_by_text("End this key").click()
    page.get_by_role("button", name="End Shop backend").click()
    page.wait_for_url("**/setup#keys")
    page.get_by_text("Keys that have ended").click()
    expect(page.get_by_label("Keys that have ended")).to_contain_text("Shop backend")
    assert seen.faults == []
