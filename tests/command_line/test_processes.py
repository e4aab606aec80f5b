import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path

import httpx
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.workspace.load import location_origins_from_yaml_paths

from command_line.processes import BuildNews, Processes, ProcessesError
from funnelhouse.last_build import LastBuild, write_last_build
from funnelhouse.settings import Settings
from orchestration.instance import open_instance, write_workspace
from record.secrets import SecretKey

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
    monkeypatch.setattr("command_line.processes.END_WITHIN_S", 1.0)
    with Processes(settings) as processes:
        processes.start("stubborn", [sys.executable, "-c", STUBBORN], log=tmp_path / "log")
        ids = lines_of(tmp_path / "log", 2)
        assert all(map(is_alive, ids))
    assert not any(map(is_alive, ids))


def test_leaving_by_an_error_ends_them_too(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("command_line.processes.END_WITHIN_S", 1.0)
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
    settings = settings.model_copy(update={"host": "127.0.0.2"})
    with Processes(settings) as processes:
        processes.serve()
        assert httpx.get(f"http://127.0.0.2:{settings.ingest_port}/ingest/live").status_code == 200
        assert settings.landing_path.exists()
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{settings.ingest_port}/ingest/live")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.2:{settings.ingest_port}/ingest/live")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_children_end_with_a_parent_that_is_killed(settings, tmp_path):
    code = (
        "import sys, time; from funnelhouse.settings import Settings\n"
        "from command_line.processes import Processes\n"
        "with Processes(Settings()) as all_:\n"
        "    all_.start('child', [sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    print(all_._children[0].process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **variables(settings)},
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def run_up(settings):
    """Start `funnelhouse up` and wait until everything runs; returns it with what it said."""
    started = []

    def run_up():
        up = subprocess.Popen(
            [sys.executable, "-m", "command_line", "up"],
            env={**os.environ, **variables(settings)},
            stdout=subprocess.PIPE,
            text=True,
            # As from a terminal: tests that run in the background may have been told to ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(up)
        said = []
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert up.poll() is None, said
        return up, "".join(said)

    yield run_up
    for up in started:
        if up.poll() is None:
            up.terminate()
            up.wait(60)


@pytest.mark.long
def test_up_starts_everything_and_leaves_nothing(settings, run_up):
    up, _ = run_up()
    # What a library starts beside them, such as Python's resource tracker, leads no group.
    groups = [pid for pid in children_of(up.pid) if os.getpgid(pid) == pid]
    assert len(groups) == 6
    page = httpx.get(f"http://127.0.0.1:{settings.dagster_port}/server_info")
    assert page.status_code == 200

    second = subprocess.run(
        [sys.executable, "-m", "command_line", "up"],
        env={**os.environ, **variables(settings)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: This home is already running: process {up.pid} holds ")
    assert up.poll() is None

    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    for group in groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process in /proc")
def test_up_comes_up_beside_the_orphans_of_one_that_was_killed_and_operators_switches_stay(settings, run_up):
    up, _ = run_up()
    with open_instance(settings) as instance:
        switch_off(settings, instance, "arrivals")
    # One that cannot be asked to end stands for those that do not.
    (code_server,) = [child for child in children_of(up.pid) if "code-server" in command_of(child)]
    os.kill(code_server, signal.SIGSTOP)
    up.kill()
    up.wait()
    up, said = run_up()
    assert "that a killed `funnelhouse up` had left behind." in said
    assert not is_alive(code_server)
    assert httpx.get(f"http://127.0.0.1:{settings.ingest_port}/ingest/ready").status_code == 200
    with open_instance(settings) as instance:
        # The daemon has had its look at the sensors of the new code server.
        wait_until(lambda: len(instance.all_instigator_state()) == 2)
        states = {state.instigator_name: state.status for state in instance.all_instigator_state()}
    assert states["arrivals"] is InstigatorStatus.STOPPED
    assert states["hourly"] is not InstigatorStatus.STOPPED


def switch_off(settings, instance, sensor):
    """As an operator does, on the web page."""
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "funnelhouse",
        "sensorName": sensor,
    }
    graphql = f"http://127.0.0.1:{settings.dagster_port}/graphql"
    ask = "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { id } } }"
    ids = []

    def is_known():
        # The web page may be there before it has heard of the sensors.
        found = httpx.post(graphql, json={"query": ask, "variables": {"s": selector}}, timeout=60).json()
        ids[:] = [found["data"]["sensorOrError"].get("id")]
        return ids[0]

    wait_until(is_known)
    stop = "mutation($id: String) { stopSensor(id: $id) { __typename } }"
    wanted = {"id": ids[0]}
    answer = httpx.post(graphql, json={"query": stop, "variables": wanted}, timeout=60).json()
    assert answer["data"]["stopSensor"]["__typename"] == "StopSensorMutationResult", answer


def command_of(process_id):
    return Path(f"/proc/{process_id}/cmdline").read_text()


def wait_until(condition, within_s=120):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_code_has_a_name_of_its_own_whatever_its_port(settings):
    for port in (1234, 4321):
        (origin,) = location_origins_from_yaml_paths([str(write_workspace(settings, port))])
        assert (origin.location_name, origin.port) == ("funnelhouse", port)


def test_the_terminal_says_when_builds_fail_and_when_they_are_well_again(settings, capsys):
    news = BuildNews(settings.last_build_path)

    def said(*failures, build_id=None):
        outcome = "published" if build_id else "failed"
        build = LastBuild(
            outcome=outcome, build_id=build_id, started_us=1, ended_us=next(ends), failures=failures
        )
        write_last_build(settings.last_build_path, build)
        news.look()
        news.look()
        return capsys.readouterr().out

    ends = count(12_000_001, 60_000_000)
    news.look()
    assert said(build_id="a") == ""
    assert said("critical x: 1 row", "and y") == (
        "1970-01-01 00:01 UTC  A build failed after 72 s; readers still see the last publication.\n"
        "    critical x: 1 row\n    and y\n"
    )
    assert said("critical x: 1 row", "and y") == (
        "1970-01-01 00:02 UTC  A build failed after 132 s, for the same reasons.\n"
    )
    assert said(build_id="b") == "1970-01-01 00:03 UTC  Builds are well again: published as b.\n"
    assert said(build_id="c") == ""


@pytest.mark.long
def test_up_says_which_process_could_not_run(settings):
    with socket.create_server(("127.0.0.1", settings.read_port)):
        up = subprocess.run(
            [sys.executable, "-m", "command_line", "up"],
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
        update={
            "trusted_proxies": (IPv4Network("10.0.0.0/8"), IPv4Network("127.0.0.1/32")),
            "secret_keys": (SecretKey("new", b"k" * 32), SecretKey("old", b"o" * 32)),
            "forward_allow": ("127.0.0.1:8005", "[::1]:8006"),
        }
    )
    say = "from funnelhouse.settings import Settings; print(Settings().model_dump_json())"
    for chosen in (settings.model_copy(update={"secret_keys": ()}), given):
        log = tmp_path / "settings.json"
        log.unlink(missing_ok=True)
        with Processes(chosen) as processes:
            processes.start("settings", [sys.executable, "-c", say], log)
            deadline = time.monotonic() + 60
            while not log.exists() or not log.read_text().endswith("\n"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert Settings.model_validate_json(log.read_text()) == chosen
