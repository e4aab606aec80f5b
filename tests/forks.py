"""Python processes that find what they import imported already: forked from one that has nothing else to do.

A server is half a second of work and two of importing, and the tests start a hundred.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

_SERVERS = ["ingest_api.server", "ingest_api.app", "read_api.server", "read_api.app"]

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(_SERVERS)


class Fork:
    """A process that runs `code` in a group of its own, with these variables; used as a `subprocess.Popen`.

    It prints to the end of the file `log`; without one what it prints is lost, but for errors.
    """

    def __init__(self, code: str, env: Mapping[str, str], log: str | None = None) -> None:
        self._process = _forks.Process(target=_run, args=(code, dict(env), log))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it to this process alone; to one that has ended nothing is sent."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, and none of its children."""
        self.send_signal(signal.SIGKILL)


def _run(code: str, env: dict[str, str], log: str | None) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    out = os.open(log or os.devnull, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, sys.__stdout__.fileno())
    if log:
        os.dup2(out, sys.__stderr__.fileno())
    exec(compile(code, "<a test's server>", "exec"), {"__name__": "__main__"})
