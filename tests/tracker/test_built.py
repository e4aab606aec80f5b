"""The built files are what the source gives, and small."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from website import BUILT

SOURCE = BUILT.parent
HOW_TO_GET_IT = "needs Node 18 or newer with npm: https://nodejs.org, or `apt-get install nodejs npm`"


@pytest.mark.long
def test_the_built_files_are_what_the_source_gives(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        # Pip cannot bring it; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip(HOW_TO_GET_IT)
    for name in ("package.json", "build.js"):
        shutil.copy(SOURCE / name, tmp_path)
    shutil.copytree(SOURCE / "source", tmp_path / "source")
    (tmp_path / "built").mkdir()
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(["npm", "install", *options], cwd=tmp_path, check=True, timeout=300)
    subprocess.run(["npm", "run", "build"], cwd=tmp_path, check=True, timeout=60)
    for name in ("tracker.js", "stub.js"):
        assert (tmp_path / "built" / name).read_bytes() == (BUILT / name).read_bytes(), "run `make tracker`"


def test_the_script_is_small() -> None:
    script = (BUILT / "tracker.js").read_bytes()
    assert len(gzip.compress(script, 9)) <= 5 * 1024
    assert len((BUILT / "stub.js").read_bytes()) <= 350


def test_the_script_may_stand_in_any_page() -> None:
    """In one line of ASCII that runs no text as code and writes no markup."""
    script = (BUILT / "tracker.js").read_text("ascii")
    assert script.startswith("(") and script.endswith(")")
    for forbidden in ("eval(", "Function(", "innerHTML", "document.write", "</", ".style"):
        assert forbidden not in script
