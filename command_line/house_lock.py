"""One `funnelhouse up` per home. What a killed one left running is ended by the next one.

Its processes carry a mark in their environment, made anew by each start and written into the lock file. So
an orphan is told from every other process, whatever became of process ids meanwhile. Where the system does
not show the environment of a process (there is no `/proc`), orphans have to be ended by hand.
"""

import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "FUNNELHOUSE_UP"
"""Environment variable that holds the mark."""

PROCESSES = Path("/proc")

KILLED_WITHIN_S = 10.0
"""How long to wait for what was killed: a process in the middle of a disk's work shows until that is done."""


class HouseRunningError(Exception):
    """A `funnelhouse up` of this home lives. The message names its process."""


@contextmanager
def house_lock(path: Path, end_within_s: float) -> Iterator[tuple[str, int]]:
    """Hold the lock of a home while the block runs; yields a new mark, and how many orphans were ended.

    An orphan may take `end_within_s` to end when asked; then it is killed. Raises HouseRunningError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # No child inherits it: it is held for as long as this process lives.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        before = _said(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HouseRunningError(
                f"This home is already running: process {before.get('process')} holds {path}. "
                "End it first, or give this one another FUNNELHOUSE_HOME and other ports."
            ) from None
        orphans = end_marked(str(before.get("mark", "")), end_within_s)
        mark = secrets.token_hex(16)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"process": os.getpid(), "mark": mark}).encode(), 0)
        yield mark, orphans
    finally:
        os.close(descriptor)


def end_marked(mark: str, within_s: float) -> int:
    """End the processes that carry a mark, asking first; returns how many there were."""
    found = marked(mark)
    _signal(found, signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    deadline = time.monotonic() + KILLED_WITHIN_S
    while left and time.monotonic() < deadline:
        # Again, because a killed one may have started another meanwhile.
        _signal(left, signal.SIGKILL)
        time.sleep(0.1)
        left = marked(mark)
    return len(found)


def marked(mark: str) -> list[int]:
    """Ids of the other processes of this user that carry a mark."""
    if not mark:
        return []
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        # Of one that has ended, or of another user, nothing is shown.
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _said(descriptor: int) -> dict[str, object]:
    """What the last holder wrote; nothing when it was killed before."""
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _signal(process_ids: list[int], number: signal.Signals) -> None:
    for process_id in process_ids:
        with suppress(ProcessLookupError):
            os.kill(process_id, number)
