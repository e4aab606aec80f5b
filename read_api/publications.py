"""The published build that readers see: found once per request, opened once per build.

The link `current` is followed anew for every request: a new build is seen without a restart, and one request
never mixes two.
"""

import errno
import threading
from dataclasses import dataclass, field
from pathlib import Path

from funnelhouse.problems import Refusal
from publication.layout import CURRENT, dev_build, dev_folder
from read_api.opened_build import (
    MEMORY,
    THREADS,
    BuildGoneError,
    OpenedBuild,
    UnusableError,
    cause,
    open_build,
)
from read_api.places import BusyError, Places
from read_api.query_limits import (
    GRACE_SECONDS,
    PROBES,
    QUERIES,
    QUERIES_OF_A_PROJECT,
    QUERY_SECONDS,
    WAIT_SECONDS,
    WAITING_OF_A_PROJECT,
    Queries,
    QueryLimits,
)
from read_api.reader import Reader

# A pruned build between following the link and opening the file is looked up again this often.
_ATTEMPTS = 5

# Builds open at once, each with its memory: the current one, and older ones that are asked for.
OPEN_BUILDS = 4
OLD_BUILDS_OF_A_PROJECT = 2


class NotPublishedError(Refusal):
    """There is no published build to read: 503 until there is one."""

    def __init__(self) -> None:
        super().__init__(503, "Nothing is published to read; run `funnelhouse build`.")


@dataclass
class Publications:
    """The builds below `published_dir` that requests use now; safe to share between threads."""

    published_dir: Path
    memory: str = MEMORY
    threads: int = THREADS
    query_seconds: float = QUERY_SECONDS
    grace_seconds: float = GRACE_SECONDS
    queries: int = QUERIES
    queries_of_a_project: int = QUERIES_OF_A_PROJECT
    wait_seconds: float = WAIT_SECONDS
    open_builds: int = OPEN_BUILDS
    _limits: QueryLimits = field(init=False)
    _opened: dict[str, OpenedBuild] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        places = Places(self.queries, self.queries_of_a_project, self.wait_seconds, WAITING_OF_A_PROJECT)
        probes = Places(1, 1, GRACE_SECONDS, PROBES)
        self._limits = QueryLimits(places, probes, self.query_seconds, self.grace_seconds)

    def current(self, project_id: str = "") -> Reader:
        """The build that `current` names now, for a project's queries.

        Raises NotPublishedError, or UnusableError when something is there that cannot be read.
        """
        for _ in range(_ATTEMPTS):
            build_id = self._current_id()
            try:
                return self.build(build_id, project_id)
            except BuildGoneError:
                # Pruned after the link was followed: `current` names another one by now.
                continue
        raise NotPublishedError

    def build(self, build_id: str, project_id: str = "") -> Reader:
        """A build that is still kept; raises BuildGoneError, UnusableError, or BusyError for one too many.

        `dev-<name>` is the newest of a home to edit in.
        """
        build_id, folder = self._found(build_id)
        with self._lock:
            opened = self._opened.get(build_id)
            if opened is None:
                self._admit(build_id, project_id)
                opened = open_build(build_id, folder, self.memory, self.threads)
                self._opened[build_id] = opened
            # Built under the lock: another request's release must not close it in between.
            cursor = opened.connection.cursor()
            queries = Queries(self._limits, project_id, cursor.interrupt)
            reader = Reader(opened, cursor, queries, lambda: self._release(opened, project_id))
            opened.users[project_id] += 1
            return reader

    def _found(self, build_id: str) -> tuple[str, Path]:
        """What a build is called in full, and its folder. Raises BuildGoneError."""
        folder = dev_folder(self.published_dir, build_id)
        if folder is None:
            return build_id, self.published_dir / build_id
        try:
            folder = folder.resolve(strict=True)
        except OSError:
            raise BuildGoneError from None
        return dev_build(build_id.removeprefix("dev-").partition(".")[0], folder.name), folder

    def _release(self, opened: OpenedBuild, project_id: str) -> None:
        """Count one user of the build less; close builds that have none, but for the current one."""
        with self._lock:
            opened.users[project_id] -= 1
            if not opened.users[project_id]:
                del opened.users[project_id]
            try:
                kept = self._current_id()
            except Refusal:
                kept = None
            for build_id, each in list(self._opened.items()):
                if not each.users and (build_id != kept or each.is_damaged):
                    del self._opened[build_id]
                    each.close()

    def _current_id(self) -> str:
        file = f"{self.published_dir.name}/{CURRENT}"
        try:
            return (self.published_dir / CURRENT).readlink().name
        except FileNotFoundError:
            raise NotPublishedError from None
        except OSError as error:
            # What is there is a folder or a file: a copy of the home that followed links, for instance.
            if error.errno == errno.EINVAL:
                raise UnusableError(
                    file, "it is not a link", "remove it and run `funnelhouse build`"
                ) from error
            raise UnusableError(file, cause(error)) from error

    def _admit(self, build_id: str, project_id: str) -> None:
        """Raises BusyError for one build too many; the current one is always let in."""
        try:
            current = self._current_id()
        except Refusal:
            current = None
        if build_id == current:
            return
        of_project = sum(project_id in each.users for name, each in self._opened.items() if name != current)
        if len(self._opened) >= self.open_builds or of_project >= OLD_BUILDS_OF_A_PROJECT:
            raise BusyError
