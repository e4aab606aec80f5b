"""`funnelhouse destinations`, `deliveries`, `secrets`: wishes are written down, secrets are not shown."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from command_line.cli import main
from funnelhouse.settings import Settings
from ingest_api.definitions.destination import DESTINATIONS
from record.contract import Definition, row_values
from record.landing import Location, open_store
from record.secrets import new_secret_key, parse_secret_keys, read_secret
from record.wishes import Wish, wishes_after

OLD, NEW = new_secret_key("old"), new_secret_key("new")
CANARY = "canary-5be1"

EXAMPLES = {"net": DESTINATIONS.example, **DESTINATIONS.more_examples}


class House:
    """A home with a landing store, and the commands on it."""

    def __init__(self, home: Path, location: Location) -> None:
        self.location = location
        self.environment = {
            **os.environ,
            "FUNNELHOUSE_HOME": str(home),
            "FUNNELHOUSE_LANDING": location if isinstance(location, str) else "",
            "FUNNELHOUSE_SECRET_KEYS": OLD,
        }

    def run(self, *words: str, typed: str = "", expect: int = 0) -> str:
        """Run `funnelhouse …` here; returns all that it prints, which is never a secret that was typed."""
        done = CliRunner().invoke(main, words, input=typed, env=self.environment)
        assert done.exit_code == expect, done.output
        assert CANARY not in done.output
        return done.output

    def run_process(self, *words: str, typed: str = "") -> str:
        """The same as a process, as people do."""
        done = subprocess.run(
            [Path(sys.executable).with_name("funnelhouse"), *words],
            input=typed.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            check=False,
        )
        said = done.stdout.decode()
        assert done.returncode == 0 and CANARY not in said, said
        return said

    def define(self, project: str, key: str, body: dict[str, Any] | None) -> None:
        """As the route does."""
        kept = None
        if body is not None:
            assert DESTINATIONS.read is not None
            kept = orjson.dumps(DESTINATIONS.stored(DESTINATIONS.read(body))).decode()
        row = Definition(project_id=project, kind="destination", key=key, received_us=1, body=kept)
        with closing(open_store(self.location)) as store:
            store.append([("definitions", [row_values(Definition)(row)])])

    def wishes(self) -> list[Wish]:
        with closing(open_store(self.location)) as store:
            return wishes_after(store, 0)

    def secret(self, *place: str) -> str | None:
        keys = parse_secret_keys(self.environment["FUNNELHOUSE_SECRET_KEYS"])
        with closing(open_store(self.location)) as store:
            found = read_secret(store, keys, place)  # type: ignore[arg-type]
        return found and found.value


@pytest.fixture
def house(tmp_path: Path, new_location: Callable[[], Location]) -> House:
    """`shop` has a destination of each kind, `zoo` has one that is called as one of `shop`."""
    home = tmp_path / "home"
    location = new_location()
    house = House(home, location if isinstance(location, str) else Settings(home=home).landing_path)
    for key, body in EXAMPLES.items():
        house.define("shop", key, body)
    house.define("zoo", "net", EXAMPLES["net"])
    house.define("zoo", "gone", EXAMPLES["net"])
    house.define("zoo", "gone", None)
    return house


def test_what_is_wished_is_written_down(house: House) -> None:
    house.run("destinations", "pause", "meta", "--note", "moving")
    house.run("destinations", "resume", "net", "--project", "zoo")
    house.run("destinations", "release", "google")
    house.run("destinations", "test", "webhook", "--project", "shop")
    house.run_process("deliveries", "replay", "msg_a", "msg_b", "--fresh", "--project", "shop")
    by_time = ("--since", "2026-03-01", "--until", "2026-03-02", "--state", "skipped", "--state", "dead")
    house.run("deliveries", "replay", "--destination", "meta", *by_time)
    house.run("deliveries", "dismiss", "msg_a", "--project", "shop")
    house.run("deliveries", "dismiss", "--destination", "google")
    house.run("deliveries", "split", "batch-1", "--project", "shop")
    ids = {"delivery_ids": ["msg_a", "msg_b"], "states": [], "since_us": None, "until_us": None}
    times = {"since_us": 1772323200000000, "until_us": 1772409600000000}
    assert [(w.project_id, w.destination_id, w.action, w.body) for w in house.wishes()] == [
        ("shop", "meta", "pause", {"note": "moving"}),
        ("zoo", "net", "resume", {"note": None}),
        ("shop", "google", "release", {"note": None}),
        ("shop", "webhook", "test", {"note": None}),
        ("shop", None, "replay", {**ids, "fresh": True}),
        (
            "shop",
            "meta",
            "replay",
            {"delivery_ids": [], "states": ["skipped", "dead"], **times, "fresh": False},
        ),
        ("shop", None, "dismiss", {"delivery_ids": ["msg_a"]}),
        ("shop", "google", "dismiss", {"delivery_ids": []}),
        ("shop", None, "split", {"batch_id": "batch-1"}),
    ]


def test_everything_is_stopped_at_once(house: House) -> None:
    house.run_process("destinations", "pause", "--all")
    everything = [("shop", key) for key in sorted(EXAMPLES)] + [("zoo", "net")]
    assert [(w.project_id, w.destination_id) for w in house.wishes()] == everything
    house.run("destinations", "pause", "--all", "--project", "zoo")
    assert [(w.project_id, w.destination_id) for w in house.wishes()] == [*everything, ("zoo", "net")]


@pytest.mark.parametrize(
    ("words", "expect", "said"),
    [
        ("destinations pause", 2, "Name a destination, or --all"),
        ("destinations pause meta --all", 2, "Name a destination, or --all"),
        ("destinations pause net", 2, "add --project, of: shop, zoo"),
        ("destinations resume nobody", 1, "No destination nobody;"),
        ("destinations resume gone", 1, "No destination gone;"),
        ("destinations resume meta --project zoo", 1, "No destination meta in project zoo;"),
        ("deliveries replay", 2, "Name ids; or"),
        ("deliveries replay msg_a --destination meta", 2, "Name ids; or"),
        ("deliveries replay msg_a", 2, "Add --project, of: shop, zoo"),
        ("deliveries replay --destination meta --state sending", 2, "--state is one of"),
        ("deliveries dismiss", 2, "Name ids, or --destination"),
        ("deliveries split batch-1", 2, "Add --project"),
        ("secrets set net pw", 2, "add --project, of: shop, zoo"),
        ("secrets set meta pw", 1, "a destination of kind meta has access_token"),
        ("secrets set meta access_token", 1, "value: send the secret"),
        ("secrets set meta access_token --generate", 1, "only a webhook's"),
        ("secrets set webhook signing_secret", 1, "value: send the secret"),
        ("secrets new-key a:b", 2, "1 to 32 letters"),
    ],
)
def test_what_cannot_be_wished_is_said(house: House, words: str, expect: int, said: str) -> None:
    assert said in house.run(*words.split(), expect=expect)
    assert not house.wishes()


def test_secrets_are_typed_listed_and_rotated(house: House) -> None:
    typing = ("secrets", "set", "net", "password", "--project", "shop")
    assert "Set password of shop/net (" in house.run_process(*typing, typed=f"{CANARY}\n")
    assert house.secret("shop", "net", "password") == CANARY
    assert house.secret("zoo", "net", "password") is None
    house.run("secrets", "set", "meta", "access_token", typed=CANARY)
    listed = house.run("secrets", "list", "net", "--project", "shop").splitlines()
    assert [line.split()[0] for line in listed] == ["name", "password"] and listed[1].endswith("old")
    house.environment["FUNNELHOUSE_SECRET_KEYS"] = NEW
    assert "unreadable: needs key old" in house.run("secrets", "list", "net", "--project", "shop")
    assert "which FUNNELHOUSE_SECRET_KEYS has not" in house.run("secrets", "rotate", expect=1)
    house.environment["FUNNELHOUSE_SECRET_KEYS"] = f"{NEW},{OLD}"
    assert house.run("secrets", "rotate").startswith("2 secrets are encrypted anew with key new")
    house.environment["FUNNELHOUSE_SECRET_KEYS"] = NEW
    assert house.secret("shop", "net", "password") == CANARY
    house.environment["FUNNELHOUSE_SECRET_KEYS"] = ""
    refused = house.run("secrets", "set", "meta", "access_token", typed=CANARY, expect=1)
    assert "funnelhouse secrets new-key" in refused
    assert "FUNNELHOUSE_SECRET_KEYS has no key" in house.run("secrets", "rotate", expect=1)


def test_a_signing_secret_is_printed_once_and_a_new_key_is_one(house: House) -> None:
    first, second = (
        house.run("secrets", "set", "webhook", "signing_secret", "--generate").splitlines() for _ in range(2)
    )
    assert first[0].startswith("whsec_") and first[0] != second[0]
    assert house.secret("shop", "webhook", "signing_secret") == second[0]
    assert first[0] not in house.run("secrets", "list", "webhook")
    for words in (("secrets", "new-key"), ("secrets", "new-key", "mine")):
        (key,) = parse_secret_keys(house.run(*words).splitlines()[0])
        assert len(key.key) == 32
    assert key.key_id == "mine"
