import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from orchestration.build_lock import GLANCE_S, BuildRunningError, build_lock, is_build_running

HOLD = """
import subprocess, sys, time
from pathlib import Path
from orchestration.build_lock import build_lock
with build_lock(Path(sys.argv[1])):
    # As dagster_dbt starts dbt: every descriptor closed but the standard ones.
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({sys.argv[2]})"])
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "home" / "build.lock"


@pytest.fixture
def hold(lock):
    """Start a process that holds the lock while a child of it works for some seconds."""
    started = []

    def start(seconds):
        command = [sys.executable, "-c", HOLD, str(lock), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_nobody_builds_at_first_or_afterwards(lock):
    assert not is_build_running(lock)
    with build_lock(lock):
        assert is_build_running(lock)
    assert not is_build_running(lock)
    with build_lock(lock):
        assert is_build_running(lock)


def test_it_is_free_again_after_an_error(lock):
    with pytest.raises(ZeroDivisionError), build_lock(lock):
        1 / 0  # noqa: B018
    assert not is_build_running(lock)


def test_a_second_build_says_who_builds(lock, hold):
    builder = hold(60)
    with pytest.raises(BuildRunningError, match=f"process {builder.pid} holds"), build_lock(lock):
        pytest.fail("two builds at once")
    assert is_build_running(lock)


def test_a_second_build_in_the_same_process_is_refused_too(lock):
    with build_lock(lock):
        with pytest.raises(BuildRunningError, match=f"process {os.getpid()}"), build_lock(lock):
            pytest.fail("two builds at once")
        assert is_build_running(lock)


def test_a_child_of_a_killed_build_still_counts(lock, hold):
    builder = hold(60)
    builder.kill()
    builder.wait()
    assert is_build_running(lock)
    with (
        pytest.raises(BuildRunningError, match=f"process {builder.pid} was killed"),
        build_lock(lock, orphan_patience_s=1.5),
    ):
        pytest.fail("the orphan still writes")


def test_the_next_build_waits_for_the_child_of_a_killed_one(lock, hold):
    builder = hold(GLANCE_S + 2)
    builder.kill()
    builder.wait()
    started = time.monotonic()
    with build_lock(lock):
        assert time.monotonic() - started > GLANCE_S


def test_a_glance_does_not_turn_a_build_away(lock):
    looker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from orchestration.build_lock import is_build_running\n"
            "print(flush=True)\n"
            "while True: is_build_running(Path(sys.argv[1]))",
            str(lock),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        looker.stdout.readline()
        for _ in range(200):
            with build_lock(lock):
                pass
    finally:
        looker.kill()
        looker.wait()


def test_standard_input_is_given_back(lock):
    before = os.fstat(0)
    with build_lock(lock):
        assert os.path.samestat(os.fstat(0), lock.stat())
    assert os.path.samestat(os.fstat(0), before)
