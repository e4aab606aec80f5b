import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Network

import httpx
import pytest

from funnelhouse.settings import Settings
from orchestration.processes import Processes, ProcessesError

# Starts a child of its own, which ignores SIGTERM, and tells the ids of both.
STUBBORN = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path, free_ports):
    ingest, read, dagster = free_ports
    return Settings(home=tmp_path / "home", ingest_port=ingest, read_port=read, dagster_port=dagster)


def variables(settings):
    return {
        "FUNNELHOUSE_HOME": str(settings.home_dir),
        "FUNNELHOUSE_INGEST_PORT": str(settings.ingest_port),
        "FUNNELHOUSE_READ_PORT": str(settings.read_port),
        "FUNNELHOUSE_DAGSTER_PORT": str(settings.dagster_port),
    }


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True)
    # A zombie without a parent waits for the system to reap it.
    return not found.stdout.startswith("Z")


def lines_of(path, count):
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(word) for word in path.read_text().split()]


def test_leaving_ends_children_and_what_they_started(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.processes.END_WITHIN_S", 1.0)
    with Processes(settings) as processes:
        processes.start("stubborn", [sys.executable, "-c", STUBBORN], log=tmp_path / "log")
        ids = lines_of(tmp_path / "log", 2)
        assert all(map(is_alive, ids))
    assert not any(map(is_alive, ids))


def test_leaving_by_an_error_ends_them_too(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.processes.END_WITHIN_S", 1.0)
    with pytest.raises(ZeroDivisionError), Processes(settings) as processes:
        processes.start("stubborn", [sys.executable, "-c", STUBBORN], log=tmp_path / "log")
        ids = lines_of(tmp_path / "log", 2)
        1 / 0  # noqa: B018
    assert not any(map(is_alive, ids))


def test_a_process_that_dies_is_named(settings):
    with pytest.raises(ProcessesError, match="fragile ended with exit code 3"), Processes(settings) as all_:
        all_.start("steady", [sys.executable, "-c", "import time; time.sleep(60)"])
        all_.start("fragile", [sys.executable, "-c", "raise SystemExit(3)"])
        all_.watch()


def test_a_process_that_never_answers_is_named(settings):
    with pytest.raises(ProcessesError, match="silent did not answer"), Processes(settings) as processes:
        processes.start("silent", [sys.executable, "-c", "import time; time.sleep(60)"])
        processes.wait_until_ready("silent", f"http://127.0.0.1:{settings.read_port}/", within_s=0.5)


def test_servers_get_the_settings_and_answer(settings):
    with Processes(settings) as processes:
        processes.serve()
        assert httpx.get(f"http://127.0.0.1:{settings.ingest_port}/ingest/live").status_code == 200
        assert settings.landing_path.exists()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{settings.ingest_port}/ingest/live")


def test_up_starts_everything_and_leaves_nothing(settings):
    up = subprocess.Popen(
        [sys.executable, "-m", "funnelhouse", "up"],
        env={**os.environ, **variables(settings)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = []
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert up.poll() is None, said
        groups = children_of(up.pid)
        assert len(groups) == 5
        page = httpx.get(f"http://127.0.0.1:{settings.dagster_port}/server_info")
        assert page.status_code == 200
    finally:
        up.send_signal(signal.SIGINT)
        code = up.wait(30)
    assert code == 0
    for group in groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def test_up_says_which_process_could_not_run(settings):
    with socket.create_server(("127.0.0.1", settings.read_port)):
        up = subprocess.run(
            [sys.executable, "-m", "funnelhouse", "up"],
            env={**os.environ, **variables(settings)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert up.returncode == 1
    assert up.stderr.splitlines()[-1].startswith("Error: read ended with exit code")


def children_of(process_id):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process_id)], capture_output=True, text=True, check=True
    )
    return [int(word) for word in found.stdout.split()]


def test_children_read_the_settings_that_they_are_started_with(settings, tmp_path):
    given = settings.model_copy(
        update={"trusted_proxies": (IPv4Network("10.0.0.0/8"), IPv4Network("127.0.0.1/32"))}
    )
    say = "from funnelhouse.settings import Settings; print(Settings().model_dump_json())"
    for chosen in (settings, given):
        log = tmp_path / "settings.json"
        log.unlink(missing_ok=True)
        with Processes(chosen) as processes:
            processes.start("settings", [sys.executable, "-c", say], log)
            deadline = time.monotonic() + 60
            while not log.exists() or not log.read_text().endswith("\n"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert Settings.model_validate_json(log.read_text()) == chosen
