"""The build lock: one build at a time, from sealing to publication, and its orphans still count as it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import resource_tracker
from pathlib import Path

GLANCE_S = 1.0
"""A look at the lock (`is_build_running`) holds it for microseconds; no build gives up sooner than this."""

ORPHAN_PATIENCE_S = 60.0
"""How long a build waits for a child that outlived its killed build: a dbt that ends with its command."""


class BuildRunningError(Exception):
    """Another build, or a child that it left behind, holds the lock. The message says which process."""


@contextmanager
def build_lock(
    path: Path, orphan_patience_s: float = ORPHAN_PATIENCE_S, is_inherited: bool = True
) -> Iterator[None]:
    """Hold the build lock while the block runs; standard input is the lock file meanwhile.

    Unless `is_inherited`: then children are none of the build's, and standard input stays as it is.

    Raises BuildRunningError within about a second while another build lives, and after `orphan_patience_s`
    while the build is dead but a child of it still works on the warehouse.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, path, orphan_patience_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        with _as_standard_input(descriptor) if is_inherited else nullcontext():
            yield
    finally:
        # Closed, never unlocked: unlocking would take the lock from a child that is still working too.
        os.close(descriptor)


def is_build_running(path: Path) -> bool:
    """Whether a build, or a child that it left behind, holds the lock. Waits for nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _as_standard_input(descriptor: int) -> Iterator[None]:
    """Put the lock file where children inherit it.

    A child inherits no descriptor but standard input, output and error. So the lock goes there: when the
    build is killed, its dbt, which may still write the warehouse, holds the lock until it ends. It reads
    nothing from there.
    """
    # Python's helper for semaphores lives as long as this process: one born now would keep the lock for it.
    resource_tracker.ensure_running()
    before = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def _acquire(descriptor: int, path: Path, orphan_patience_s: float) -> None:
    started = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - started
            builder = _builder(descriptor)
            if _is_alive(builder) and waited > GLANCE_S:
                raise BuildRunningError(
                    f"A build is running: process {builder} holds {path}. Nothing was changed."
                ) from None
            if waited > max(orphan_patience_s, GLANCE_S):
                raise BuildRunningError(
                    f"The build of process {builder} was killed, and a child of it still holds {path} "
                    f"after {waited:.0f} seconds. Wait for it or end it. Nothing was changed."
                ) from None
            time.sleep(0.05)
        else:
            return


def _builder(descriptor: int) -> int:
    """Process id that the last holder wrote, 0 when it hasn't yet."""
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else 0


def _is_alive(process_id: int) -> bool:
    if process_id == 0:
        # Whoever holds the lock is about to write its id.
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
