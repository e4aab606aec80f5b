"""Keys from the command line: made, listed without secrets, rotated with overlap, revoked within a second."""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from servers import Server

MOMENT = "[0-9-]{10} [0-9:]{5}"


def keys(server: Server, *arguments: str, expect: int = 0) -> str:
    """Run `funnelhouse keys …` on the server's store; returns stdout, or stderr when it must fail."""
    done = subprocess.run(
        [sys.executable, "-m", "command_line", "keys", *arguments],
        env={
            **os.environ,
            "FUNNELHOUSE_HOME": str(server.settings.home_dir),
            "FUNNELHOUSE_LANDING": server.settings.landing,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done.stderr if expect else done.stdout


def status(server: Server, key: str, project: str) -> int:
    return httpx.get(f"{server.url}/v1/projects/{project}/goals", headers={"x-api-key": key}).status_code


def status_within_a_second(server: Server, key: str, project: str, expected: int) -> bool:
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        if status(server, key, project) == expected:
            return True
        time.sleep(0.05)
    # However long the machine took over the last answer, the second is over now.
    return status(server, key, project) == expected


def test_a_key_is_printed_once_alone_on_stdout(ingest_server: Server) -> None:
    printed = keys(ingest_server, "create", "--project", "printed", "--scopes", "read, admin")
    key = printed.removesuffix("\n")
    assert key.startswith("fh_live_")
    assert status(ingest_server, key, "printed") == 200
    listed = keys(ingest_server, "list", "--project", "printed")
    key_id, secret = key.split("_")[2:]
    (line,) = listed.splitlines()[1:]
    assert re.fullmatch(rf"{key_id}  -     printed  read,admin  {MOMENT}  {MOMENT}  (never|{MOMENT})", line)
    assert secret not in listed


def last_used(server: Server, project: str) -> list[str]:
    """What the list says of a project's keys, by name."""
    lines = keys(server, "list", "--project", project).splitlines()
    at = lines[0].index("last used")
    return [line[at:] for line in lines[1:]]


@pytest.mark.long
def test_a_key_has_a_name_and_says_when_it_was_used(ingest_server: Server) -> None:
    create = ["create", "--project", "named", "--scopes", "read", "--name"]
    key = keys(ingest_server, *create, " Shop backend ").strip()
    key_id = key.split("_")[2]
    (line,) = keys(ingest_server, "list", "--project", "named").splitlines()[1:]
    assert line.startswith(f"{key_id}  Shop backend  named    read") and line.endswith("  never")
    keys(ingest_server, "rename", key_id, "Läden 🛒")
    assert f"{key_id}  Läden 🛒" in keys(ingest_server, "list", "--project", "named")
    began = datetime.now(UTC)
    assert status(ingest_server, key, "named") == 200
    deadline = time.monotonic() + 20
    while last_used(ingest_server, "named") == ["never"] and time.monotonic() < deadline:
        time.sleep(0.2)
    hours = {f"{moment:%Y-%m-%d %H:00}" for moment in (began, datetime.now(UTC))}
    assert set(last_used(ingest_server, "named")) <= hours
    # Its successor has the name, and was not used yet.
    keys(ingest_server, "rotate", key_id)
    listed = keys(ingest_server, "list", "--project", "named")
    assert listed.count("Läden 🛒") == 2 and listed.count("never") == 1
    assert "name must be" in keys(ingest_server, "rename", key_id, "two\nlines", expect=1)
    assert "there is no key with this id" in keys(ingest_server, "rename", "nothing", "x", expect=1)


@pytest.mark.long
def test_a_revoked_key_stops_within_a_second(ingest_server: Server) -> None:
    key = keys(ingest_server, "create", "--project", "revoked", "--scopes", "read").strip()
    assert status(ingest_server, key, "revoked") == 200
    keys(ingest_server, "revoke", key.split("_")[2])
    assert status_within_a_second(ingest_server, key, "revoked", 401)
    assert " (expired)" in keys(ingest_server, "list", "--project", "revoked")
    # Revoking again changes nothing, and an ended key can't be rotated back to life.
    keys(ingest_server, "revoke", key.split("_")[2])
    assert "create a new one" in keys(ingest_server, "rotate", key.split("_")[2], expect=1)


@pytest.mark.long
def test_a_rotated_key_overlaps_with_its_successor(ingest_server: Server) -> None:
    old = keys(ingest_server, "create", "--project", "rotated", "--scopes", "read", "--test").strip()
    new = keys(ingest_server, "rotate", old.split("_")[2]).strip()
    assert new.startswith("fh_test_")
    assert new != old
    assert status(ingest_server, old, "rotated") == status(ingest_server, new, "rotated") == 200
    last = keys(ingest_server, "rotate", new.split("_")[2], "--overlap-days", "0").strip()
    assert status_within_a_second(ingest_server, new, "rotated", 401)
    assert status(ingest_server, last, "rotated") == 200


def test_keys_end_when_they_were_told_to(ingest_server: Server) -> None:
    first = keys(
        ingest_server, "create", "--project", "ending", "--scopes", "read", "--expires-days", "3"
    ).strip()
    keys(ingest_server, "rotate", first.split("_")[2], "--overlap-days", "1", "--expires-days", "5")
    listed = keys(ingest_server, "list", "--project", "ending")
    ends = sorted(
        datetime.strptime(end, "%Y-%m-%d %H:%M").replace(tzinfo=UTC) - datetime.now(UTC)
        for end in re.findall(rf"{MOMENT}  ({MOMENT})  never", listed)
    )
    # The old one for the overlap; a minute is what the list shows.
    assert [round(end / timedelta(days=1), 1) for end in ends] == [1.0, 5.0]


def test_what_is_refused_is_said(ingest_server: Server) -> None:
    assert "there is no key with this id" in keys(ingest_server, "revoke", "nothing", expect=1)
    assert "scopes must be" in keys(
        ingest_server, "create", "--project", "shop", "--scopes", "write", expect=1
    )
    assert "project must be" in keys(
        ingest_server, "create", "--project", "A shop", "--scopes", "read", expect=1
    )
