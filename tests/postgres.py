"""A real PostgreSQL for tests: its own cluster in a temporary folder, on 127.0.0.1, with fsync on."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from servers import free_port

HOW_TO_GET_IT = "needs PostgreSQL 15 or newer: apt-get install --yes postgresql"

USER = "funnelhouse"

PATIENCE_S = 180
"""How long a command may take, seconds."""


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version's; None when they are not installed."""
    on_path = shutil.which("initdb")
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *([Path(on_path)] if on_path else [])]
    versions = {
        int(re.findall(r"\d+", subprocess.check_output([path, "--version"], text=True))[0]): path.parent
        for path in found
    }
    newest = max(versions, default=0)
    return versions[newest] if newest >= 15 else None


class Cluster:
    """A running server; every test takes databases of its own."""

    def __init__(self, folder: Path, bin_dir: Path) -> None:
        self._folder = folder
        self._bin_dir = bin_dir
        self._numbers = count(1)
        self.port = free_port()
        # It refuses to run as root, whose tests therefore hand the folder to somebody else.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._command("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale")
        self.start()

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        # After a crash it replays its log first, for as long as a busy disk takes.
        patience = ("-t", str(PATIENCE_S))
        self._command("pg_ctl", "-D", "data", "-l", "log", "-w", *patience, "-o", self._options(), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends sessions, `immediate` is a crash."""
        self._command("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def _options(self) -> str:
        return f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c max_connections=100"

    def _command(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin_dir / name), *arguments],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE_S + 10,
        )


@contextmanager
def running_cluster(bin_dir: Path) -> Iterator[Cluster]:
    """A cluster that is stopped and removed at the end."""
    # Not below pytest's folder: that is closed to everybody but the user who runs the tests.
    folder = Path(tempfile.mkdtemp(prefix="funnelhouse-postgres-"))
    try:
        cluster = Cluster(folder, bin_dir)
        try:
            yield cluster
        finally:
            cluster.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
