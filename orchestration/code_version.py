"""Which code made a figure: version, commit, and whether anything was edited since."""

import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from funnelhouse.settings import CHECKOUT

SHORT = 10
"""Digits of a commit that are shown."""

_GIT_WITHIN_S = 20


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """`version`: of the package. `commit`: of the checkout, and `is_dirty`: whether files differed from it;
    None without git. The same of the extensions' folder, where that is in a repository.
    """

    version: str
    commit: str | None = None
    is_dirty: bool | None = None
    extensions_commit: str | None = None
    are_extensions_dirty: bool | None = None

    def shown(self) -> str:
        """In a few words."""
        if self.commit is None:
            return f"version {self.version}"
        return f"commit {self.commit[:SHORT]}{' with changes' if self.is_dirty else ''}"


def code_version(extensions: Path | None) -> CodeVersion:
    """Of the code as it stands now."""
    commit, is_dirty = _git(CHECKOUT, CHECKOUT)
    if extensions is None:
        return CodeVersion(version("funnelhouse"), commit, is_dirty)
    return CodeVersion(version("funnelhouse"), commit, is_dirty, *_git(extensions, None))


def _git(folder: Path, root: Path | None) -> tuple[str | None, bool | None]:
    """Commit of a folder, and whether it has changes; of a repository at `root`, if that is given.

    A package may have been installed below somebody else's repository.
    """
    top = _said(folder, "rev-parse", "--show-toplevel")
    commit = _said(folder, "rev-parse", "--verify", "HEAD")
    if not top or not commit or (root is not None and Path(top).resolve() != root.resolve()):
        return None, None
    changes = _said(folder, "status", "--porcelain", "--", ".")
    return commit, None if changes is None else bool(changes)


def _said(folder: Path, *arguments: str) -> str | None:
    try:
        finished = subprocess.run(  # noqa: S603 (our own command)
            ["git", "-C", str(folder), *arguments],  # noqa: S607 (whichever git is there)
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None
