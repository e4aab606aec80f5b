"""One `up` per home: a living one is refused, what a killed one left is ended, nobody else is."""

import json
import os
import subprocess
import sys

import pytest

from command_line.house_lock import MARK, HouseRunningError, end_marked, house_lock, marked

HOLD = """
import subprocess, sys, time
from pathlib import Path
from command_line.house_lock import MARK, house_lock
with house_lock(Path(sys.argv[1]), 5) as (mark, orphans):
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"
    child = subprocess.Popen([sys.executable, "-c", stubborn + "; time.sleep(600)"],
        env={MARK: mark}, stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "home" / "up.lock"


@pytest.fixture
def holder(lock):
    """A process that holds the lock, and its child, which does not end when asked."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    end_marked(json.loads(lock.read_text())["mark"], 0)
    assert not is_alive(child)


def is_alive(process_id):
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def test_a_living_one_is_named_and_left_alone(lock, holder):
    process, child = holder
    named = pytest.raises(HouseRunningError, match=f"already running: process {process.pid} holds")
    with named, house_lock(lock, 0):
        pytest.fail("two at once")
    assert process.poll() is None
    assert is_alive(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process in /proc")
def test_what_a_killed_one_left_is_ended_and_nothing_else(lock, holder):
    process, child = holder
    process.kill()
    process.wait()
    # One of another home, and one whose environment only resembles the mark.
    mark = json.loads(lock.read_text())["mark"]
    others = [
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
        for environment in ({MARK: "of another home"}, {MARK: mark + "0"}, {"X": f"{MARK}={mark}"}, {})
    ]
    try:
        with house_lock(lock, 0.5) as (new_mark, ended):
            assert ended == 1
            assert not is_alive(child)
            assert new_mark != mark
            assert [each.poll() for each in others] == [None] * 4
    finally:
        for each in others:
            each.kill()
            each.wait()


def test_after_a_good_end_there_is_nothing_to_end(lock):
    for _ in range(2):
        with house_lock(lock, 0) as (mark, ended):
            assert ended == 0
            assert json.loads(lock.read_text()) == {"process": os.getpid(), "mark": mark}


@pytest.mark.parametrize("said", ["", "{", "[]", '{"process": 1}'])
def test_a_lock_file_that_says_nothing_is_no_obstacle(lock, said):
    lock.parent.mkdir()
    lock.write_text(said)
    with house_lock(lock, 0) as (_, ended):
        assert ended == 0


def test_without_a_mark_nobody_is_meant():
    assert marked("") == []
