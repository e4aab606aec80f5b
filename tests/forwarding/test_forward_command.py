"""`funnelhouse forward`, with the real platforms: a webhook to a real receiver, verified as one would."""

import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from outbox_home import Home, forwarding
from receivers import Receiver
from standardwebhooks import Webhook

from ingest_api.definitions.destination import DESTINATIONS, read_destination
from record.landing import open_store
from record.secrets import new_secret_key, parse_secret_keys, set_secret

KEY = new_secret_key("test")


def commanded(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """One round of `funnelhouse forward`."""
    return subprocess.run(
        [sys.executable, "-m", "command_line", "forward", "--once"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Forwarding:
    """A home with a webhook, and the command on it."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.home = Home(folder / "home")
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        said = {"name": "Net", "kind": "webhook", "is_active": True, "url": f"{receiver.url}/hook"}
        self.body = DESTINATIONS.stored(read_destination(said))
        self.environment = {
            **os.environ,
            "FUNNELHOUSE_HOME": str(self.home.settings.home_dir),
            "FUNNELHOUSE_LANDING": "",
            "FUNNELHOUSE_SECRET_KEYS": KEY,
            "FUNNELHOUSE_FORWARD_ALLOW": receiver.place,
        }

    def set_secret(self) -> None:
        with closing(open_store(self.home.settings.landing_store)) as store:
            set_secret(store, parse_secret_keys(KEY), ("shop", "net", "signing_secret"), self.secret)

    def once(self) -> tuple[int, str]:
        """Exit code and what it said on stdout."""
        done = commanded(self.environment)
        assert self.secret not in done.stdout + done.stderr
        return done.returncode, done.stdout

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "command_line", "forward"], env=self.environment)


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def test_one_round_says_what_became_of_it(tmp_path, receiver):
    of = Forwarding(tmp_path, receiver)
    assert of.once() == (0, "No destination is defined.\n")
    assert not of.home.settings.outbox_path.exists()
    of.home.define(**of.body)
    assert of.once() == (0, "shop/net: nothing due\n")
    of.home.publish([forwarding("a"), forwarding("b", value_minor=250)])
    # Without its secret it cannot send, and nothing is lost.
    assert of.once() == (1, "shop/net: 2 queued; in all 2 queued (paused)\n")
    of.set_secret()
    of.home.wish("resume")
    assert of.once() == (0, "shop/net: 2 delivered; in all 2 delivered\n")
    assert of.once() == (0, "shop/net: nothing due; in all 2 delivered\n")
    assert len(receiver.requests) == 2
    for request in receiver.requests:
        data = Webhook(of.secret).verify(request.body, dict(request.headers))["data"]
        assert data["value"] == {"a": "10.00", "b": "2.50"}[data["conversion_id"]]


def test_a_running_one_sees_what_is_published_and_ends_when_asked(tmp_path, receiver):
    of = Forwarding(tmp_path, receiver)
    process = of.start()
    try:
        of.set_secret()
        of.home.define(**of.body)
        deadline = time.monotonic() + 60
        while not of.home.settings.outbox_path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        of.home.publish([forwarding("a")])
        while of.home.states() != {"delivered": 1}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert of.once()[0] == 1, "another forwards"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
