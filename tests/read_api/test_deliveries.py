"""Deliveries and destinations over HTTP: paged, of one tenant, without secrets, whatever there is to read."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, ReadServer, contract, new_key, publish_rows, read_server
from example_outbox import (
    CONVERSION,
    DELIVERIES,
    DESTINATIONS,
    PAUSED,
    define_destinations,
    write_outbox,
)

from forwarding.deliveries import Destination
from forwarding.platforms import PLATFORMS
from forwarding.preview import preview
from funnelhouse.settings import Settings
from publication.publishing import new_build_id, publish
from read_api.reports.forwardings import MART

REPORTS = "/v1/projects/shop/reports"


def rows(server: ReadServer, path: str, **asked: Any) -> list[dict[str, Any]]:
    answer = server.get(f"{REPORTS}/{path}", **asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [int(each["delivery_id"].removeprefix("msg_")) for each in found]


def test_pages_of_deliveries_join(server: ReadServer) -> None:
    walked, after = list[int](), ""
    while True:
        answer = server.get(f"{REPORTS}/deliveries", limit=5, after=after).json()
        walked += numbers(answer["rows"])
        if answer["next"] is None:
            break
        after = answer["next"]
    assert walked == [*range(12, 0, -1)]
    assert numbers(rows(server, "deliveries", destination="meta", state="dead")) == [6]
    assert numbers(rows(server, "deliveries", conversion=CONVERSION)) == [11, 1]
    assert numbers(rows(server, "deliveries", since="2026-11-02T12:11:00Z")) == [12, 11]
    assert numbers(rows(server, "deliveries", since="2026-11-03")) == []
    assert rows(server, "deliveries", destination="' or 1=1 --") == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("deliveries?state=lost", "state must be one of"),
        ("deliveries?after=2026", "after must be"),
        ("deliveries?after=1.msg_a%00", "after must be"),
        (f"deliveries?after={'9' * 30}.msg_a", "after must be"),
        ("deliveries?limit=1001", "limit must be"),
        ("deliveries?since=soon", "since must be"),
        ("deliveries?since=9999-12-31T23:59:59-23:59", "since must be"),
        ("deliveries?destinatoin=meta", "Unknown parameter"),
        ("destinations?limit=1", "Unknown parameter"),
        ("destinations/meta/dry-run?limit=11", "limit must be"),
        ("destinations/meta/dry-run?since=0", "since must be"),
    ],
)
def test_what_cannot_be_asked_is_named(server: ReadServer, path: str, said: str) -> None:
    answer = server.client.get(f"{REPORTS}/{path}")
    assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text


@pytest.mark.parametrize("odd", ["%00", "..%2f..", "a/b", "%ff", "%0a", "x" * 3000, "%27", "msg_1%0a"])
def test_ids_that_name_nothing_are_not_found(server: ReadServer, odd: str) -> None:
    for path in (f"deliveries/{odd}", f"destinations/{odd}/dry-run"):
        assert server.client.get(f"{REPORTS}/{path}").status_code == 404, path
    for parameter in ("destination", "conversion"):
        answer = server.client.get(f"{REPORTS}/deliveries?{parameter}={odd}")
        assert (answer.status_code, answer.json()["rows"]) == (200, []), (parameter, odd)


def test_another_tenants_are_not_found(server: ReadServer) -> None:
    theirs = str(DELIVERIES[-1]["delivery_id"])
    assert server.get(f"{REPORTS}/deliveries/{theirs}").status_code == 404
    key = new_key(server.settings, "other")
    other = httpx.Client(base_url=server.client.base_url, headers={"x-api-key": key}, timeout=30)
    with other:
        prefix = "/v1/projects/other/reports"
        assert other.get(f"{prefix}/deliveries/{theirs}").status_code == 200
        assert numbers(other.get(f"{prefix}/deliveries").json()["rows"]) == [99]
        assert other.get(f"{prefix}/deliveries/{DELIVERIES[0]['delivery_id']}").status_code == 404
        [row] = other.get(f"{prefix}/destinations").json()["rows"]
        assert (row["destination_id"], row["state"], row["name"]) == ("meta", "deleted", None)
        assert other.get(f"{prefix}/destinations/meta/dry-run").status_code == 404
    # What test keys see is a project of its own.
    tester = httpx.get(
        f"{server.client.base_url}{REPORTS}/deliveries",
        headers={"x-api-key": new_key(server.settings, "shop", is_test=True)},
    )
    assert (tester.status_code, tester.json()["rows"]) == (200, [])


def test_one_delivery_is_shown_as_it_is_sent_and_without_secrets(server: ReadServer) -> None:
    waiting = server.get(f"{REPORTS}/deliveries/{DELIVERIES[6]['delivery_id']}").json()["delivery"]
    url = "https://network.example/pb?cid=Cl1ck%26x%3D1&sum=49.99&pw=***"
    assert waiting["message"] == {"method": "GET", "url": url, "body": ""}
    assert (waiting["due_at"], waiting["attempts"]) == ("2026-11-02T12:08:00Z", [])
    sent = server.get(f"{REPORTS}/deliveries/{DELIVERIES[0]['delivery_id']}").json()["delivery"]
    assert '"access_token":"***"' in sent["message"]["body"]
    assert [each["code"] for each in sent["attempts"]] == ["timeout", ""]
    for number, why in ((10, "was deleted"), (11, "kept for 30 days")):
        it = server.get(f"{REPORTS}/deliveries/{DELIVERIES[number]['delivery_id']}").json()["delivery"]
        assert it["message"] is None
        assert why in it["message_missing"]


def test_how_it_goes_with_destinations(server: ReadServer) -> None:
    found = {each["destination_id"]: each for each in rows(server, "destinations")}
    assert {key: each["state"] for key, each in found.items()} == {
        "asleep": "inactive",
        "crm": "held",
        "meta": "active",
        "network": "paused",
        "old": "deleted",
    }
    meta, network = found["meta"], found["network"]
    assert (meta["name"], meta["kind"]) == ("Meta <pixel>", "meta")
    assert [meta[name] for name in ("delivered", "dead", "told", "told_differently")] == [2, 1, 2, 1]
    assert meta["skipped"] == [{"reason": "too_old", "count": 2}, {"reason": "no_identifier", "count": 1}]
    assert (meta["median_seconds"], meta["p95_seconds"], meta["is_breaker_open"]) == (3600, 7200, True)
    assert (network["reason"], network["waiting"]) == (PAUSED, 2)
    assert network["oldest_waiting_at"] == "2026-11-02T12:07:00Z"


def test_a_dry_run_counts_and_renders(server: ReadServer) -> None:
    answer = server.get(f"{REPORTS}/destinations/network/dry-run", since="2026-11-01", limit=2).json()
    assert (answer["sent"], answer["is_cut"]) == (3, False), "one is from before it was switched on"
    assert answer["skipped"] == [{"reason": "bot", "count": 1}]
    assert [each["conversion_id"][-3:] for each in answer["examples"]] == ["001", "002"], "latest first"
    assert answer["examples"][0]["url"].endswith("&pw=***")
    # From a later time on: fewer.
    later = server.get(f"{REPORTS}/destinations/network/dry-run", since="2026-11-02T10:59:00Z").json()
    assert (later["sent"], later["skipped"]) == (1, [])
    # Meta takes nothing that is a week old.
    meta = server.get(f"{REPORTS}/destinations/meta/dry-run", since="2026-11-01").json()
    assert {each["reason"]: each["count"] for each in meta["skipped"]} == {"too_old": 3, "bot": 1}
    # Of the last seven days, where nothing else is said; and of one that sleeps.
    assert server.get(f"{REPORTS}/destinations/crm/dry-run").json()["examples"] == []
    asleep = server.get(f"{REPORTS}/destinations/asleep/dry-run", since="2026-11-01").json()
    assert asleep["skipped"] == [{"reason": "rejected", "count": 1}]


def test_an_etag_follows_the_outbox(server: ReadServer) -> None:
    for path in ("deliveries", "destinations", f"deliveries/{DELIVERIES[0]['delivery_id']}"):
        first = server.get(f"{REPORTS}/{path}")
        again = server.client.get(f"{REPORTS}/{path}", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304, path


def test_a_preview_looks_at_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forwarding.preview.MOST_ROWS", 3)
    destination = Destination("shop", "crm", 1, DESTINATIONS["crm"])
    facts = [
        {"conversion_id": f"c{number}", "is_wanted": True, "not_wanted_reason": None, "state": "approved"}
        for number in range(9)
    ]
    looked_at = iter(facts)
    found = preview(destination, PLATFORMS["webhook"](Settings()), looked_at, "b", 0, examples=1)
    assert (found.sent, len(found.examples), found.is_cut) == (3, 1, True)
    assert len(list(looked_at)) == 5


@pytest.mark.long
def test_without_an_outbox_and_with_an_older_publication(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    publication = publish_rows(settings, EXAMPLE_ROWS)
    with read_server(settings.home_dir) as server:
        # Nothing is defined, and nothing was ever sent.
        for path in ("deliveries", "destinations"):
            assert rows(server, path) == []
        assert server.get(f"{REPORTS}/deliveries/msg_a").status_code == 404
        define_destinations(settings)
        assert {each["delivered"] for each in rows(server, "destinations")} == {0}
        assert server.get(f"{REPORTS}/destinations/meta/dry-run").json()["sent"] == 0

        # A build of a version that knew no forwardings.
        marts = [name for name in contract() if name != MART]
        publish(
            settings.warehouse_path,
            settings.published_dir,
            marts,
            new_build_id(publication.published_at.replace(year=2027)),
            publication.published_at,
            {"attribution_models": []},
        )
        answer = server.get(f"{REPORTS}/destinations/meta/dry-run", since="2020-01-01").json()
        assert (answer["sent"], answer["skipped"], answer["examples"]) == (0, [], [])

        # An outbox that cannot be read is said; figures are shown all the same.
        settings.outbox_path.write_bytes(b"no database at all, but long enough to look like one" * 100)
        answer = server.get(f"{REPORTS}/deliveries")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert server.get(f"{REPORTS}/conversions").status_code == 200
        settings.outbox_path.unlink()
        write_outbox(settings)
        assert len(rows(server, "deliveries")) == 12
