"""`funnelhouse destinations` and `deliveries` on a home that forwards: shown, tried unsent, asked."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from google_receiver import GoogleReceiver, TokenServer
from meta_receiver import MetaReceiver
from outbox_home import Home, forwarding
from receivers import PostbackReceiver, Receiver, settings_for

from command_line.cli import main
from ingest_api.definitions.destination import DESTINATIONS
from record.contract import Definition, row_values
from record.landing import Location, open_store
from record.secrets import parse_secret_keys, set_secret

NOW = datetime.now(UTC).replace(microsecond=0)
CANARY = "canary-77aa"

WANTED = {"occurred_at": NOW - timedelta(hours=1), "learnt_at": NOW, "approved_at": NOW}


def run(home: Home, *words: str, expect: int = 0, **settings: str) -> str:
    """Run `funnelhouse …` on the home; returns what it prints, which is never a secret."""
    environment = {
        **os.environ,
        "FUNNELHOUSE_HOME": str(home.settings.home_dir),
        "FUNNELHOUSE_LANDING": home.settings.landing,
        **settings,
    }
    done = CliRunner().invoke(main, words, env=environment)
    assert done.exit_code == expect, done.output
    assert CANARY not in done.output
    return done.output


def define(home: Home, destination_id: str, **body: Any) -> None:
    """As the route does."""
    assert DESTINATIONS.read is not None
    stored = DESTINATIONS.stored(DESTINATIONS.read({"name": "Told", **body}))
    row = Definition(
        project_id="shop",
        kind="destination",
        key=destination_id,
        received_us=1,
        body=orjson.dumps(stored).decode(),
    )
    with closing(open_store(home.settings.landing_store)) as store:
        store.append([("definitions", [row_values(Definition)(row)])])


def give(home: Home, destination_id: str, **secrets: str) -> None:
    keys = parse_secret_keys(os.environ["FUNNELHOUSE_SECRET_KEYS"])
    with closing(open_store(home.settings.landing_store)) as store:
        for name, value in secrets.items():
            set_secret(store, keys, ("shop", destination_id, name), value)


def allowed(*receivers: Receiver) -> dict[str, str]:
    assert settings_for(*receivers).forward_allow
    return {"FUNNELHOUSE_FORWARD_ALLOW": ",".join(receiver.place for receiver in receivers)}


@pytest.fixture
def home(tmp_path: Path, new_location: Callable[[], Location]) -> Iterator[Home]:
    """When it was used, no file of it has a secret."""
    location = new_location()
    home = Home(tmp_path / "home", location if isinstance(location, str) else None)
    yield home
    files = [file for file in home.settings.home_dir.rglob("*") if file.is_file()]
    assert files and not [file for file in files if CANARY.encode() in file.read_bytes()]


def test_a_postback_from_its_dry_run_to_what_became_of_it(home: Home) -> None:
    with PostbackReceiver() as receiver:
        may_send = allowed(receiver)
        url = f"{receiver.url}/conv?c={{external}}&v={{payout}}&pw={{secret:pw}}"
        define(home, "net", kind="postback", url=url, since=(NOW - timedelta(days=2)).isoformat())
        give(home, "net", pw=CANARY)
        assert "nothing is published yet" in run(home, "destinations", "dry-run", "net", expect=1)
        home.publish([], at=NOW - timedelta(hours=2), has_mart=False)
        assert "has no forwardings" in run(home, "destinations", "dry-run", "net", expect=1)
        postback = {"destination_kind": "postback", **WANTED}
        home.publish(
            [
                forwarding("c1", **postback),
                forwarding("c2", **postback, external_click_id=None),
                forwarding("c3", **postback, is_wanted=False, not_wanted_reason="pending", state="pending"),
                forwarding("c4", **{**postback, "occurred_at": NOW - timedelta(days=20)}),
            ],
            at=NOW - timedelta(hours=1),
        )
        said = run(home, "destinations", "dry-run", "net", **may_send).splitlines()
        assert {"would be told: 1", "not told because no_click_id: 1"} <= set(said)
        assert "not told because pending: 1" in said
        assert f"GET {receiver.url}/conv?c=click-c1&v=10.00&pw=***" in said
        earlier = f"{NOW - timedelta(days=30):%Y-%m-%d}"
        options = ("--since", earlier, "--limit", "0", "--project", "shop")
        said = run(home, "destinations", "dry-run", "net", *options).splitlines()
        assert "would be told: 2" in said and not any("GET" in line for line in said)
        refused = run(home, "destinations", "dry-run", "net", "--ask", expect=2)
        assert "--ask is for Meta and Google" in refused
        assert not receiver.requests

        assert "Nothing was ever planned" in run(home, "destinations", "show", "net", "--project", "shop")
        assert run(home, "deliveries", "list") == ""
        # An outbox that is newer than what is published holds everything: it may be a copy.
        run(home, "forward", "--once", **may_send, expect=1)
        held = run(home, "destinations", "list").splitlines()[1].split()
        assert held[3:8] == ["held", "0", "0", "2", "0"] and not receiver.requests
        run(home, "destinations", "release", "net")
        run(home, "forward", "--once", **may_send)
        assert [request.path for request in receiver.requests] == ["/conv"] * 2

    listed = run(home, "destinations", "list", "--project", "shop").splitlines()
    assert listed[1].split()[:8] == ["net", "shop", "postback", "active", "2", "0", "0", "0"]
    shown = run(home, "destinations", "show", "net")
    assert '"on": "approved"' in shown and "skipped because no_click_id: 1" in shown
    assert "secret pw: set" in shown and "conversions told: 2" in shown
    filters = ("--destination", "net", "--state", "delivered", "--conversion", "c1", "--since", earlier)
    (line,) = run(home, "deliveries", "list", *filters, "--limit", "5", "--project", "shop").splitlines()[1:]
    delivery_id = line.split()[0]
    whole = run(home, "deliveries", "show", delivery_id, "--project", "shop")
    assert f"GET {receiver.url}/conv?c=click-c1&v=10.00&pw=***" in whole
    assert "state: delivered" in whole and "Attempt 1, " in whole and "ms: 200" in whole
    assert "No delivery msg_none" in run(home, "deliveries", "show", "msg_none", expect=1)

    run(home, "destinations", "pause", "net")
    run(home, "forward", "--once", **may_send, expect=1)
    assert "state: paused\n" in run(home, "destinations", "show", "net")


def test_meta_judges_conversions_as_test_events(home: Home) -> None:
    with MetaReceiver(token=f"EAA{CANARY}") as receiver:
        may_send = {**allowed(receiver), "FUNNELHOUSE_META_URL": receiver.url}
        code = {"kind": "meta", "dataset_id": "1234567890"}
        define(home, "meta", **code)
        row = {"destination_id": "meta", "destination_kind": "meta", **WANTED, "em_meta": f'["{"a" * 64}"]'}
        home.publish([forwarding(f"c{n}", **row) for n in range(12)])
        refused = run(home, "destinations", "dry-run", "meta", "--ask", **may_send)
        assert refused.count("refused: no_test_event_code") == 10
        define(home, "meta", **code, test_event_code="TEST1")
        assert "refused: no_access_token" in run(home, "destinations", "dry-run", "meta", "--ask", **may_send)
        give(home, "meta", access_token=f"EAA{CANARY}")
        said = run(home, "destinations", "dry-run", "meta", "--ask", "--limit", "1", **may_send)
        assert said.count(": taken") == 10 and "would be told: 12" in said
        assert not receiver.book and len(receiver.datasets["1234567890"].tested) == 10
    assert run(home, "deliveries", "list") == ""


def test_google_judges_conversions_without_counting_them(home: Home) -> None:
    with TokenServer() as tokens, GoogleReceiver(tokens) as receiver:
        may_send = {
            **allowed(tokens, receiver),
            "FUNNELHOUSE_GOOGLE_URL": receiver.url,
            "FUNNELHOUSE_GOOGLE_TOKEN_URL": tokens.token_url,
        }
        define(home, "google", kind="google", account_id="123-456-7890", conversion_action_id="987654321")
        give(home, "google", **tokens.refresh_secrets)
        row = {"destination_id": "google", "destination_kind": "google", **WANTED}
        row["em_google"] = f'["{"a" * 64}"]'
        home.publish([forwarding("c1", **row), forwarding("c2", **row)])
        said = run(home, "destinations", "dry-run", "google", "--ask", **may_send)
        assert said.count(": taken") == 2
        assert receiver.validated and not receiver.book
        receiver.poison.add("c2")
        said = run(home, "destinations", "dry-run", "google", "--ask", **may_send)
        assert "asked about c1: taken" in said and "asked about c2: refused" in said
