"""What the command line prints to be pasted into pages."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import TRACKER_BUILT, Settings
from funnelhouse.snippet import snippet
from record.landing import open_store

STUB = (TRACKER_BUILT / "stub.js").read_text(encoding="utf-8")


def printed(home: Path, *arguments: str, **environment: str) -> tuple[str, str]:
    """stdout and stderr of `funnelhouse tracker snippet …`."""
    done = subprocess.run(
        [sys.executable, "-m", "command_line", "tracker", "snippet", *arguments],
        env={**os.environ, "FUNNELHOUSE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_what_to_paste_is_printed_and_what_is_missing_is_said(tmp_path: Path) -> None:
    with closing(open_store(Settings(home=tmp_path).landing_store)) as store:
        create_key(store, "shop", ["admin"])
        for project in ("shop", "shop.test", "none"):
            text, hint = printed(tmp_path, "--project", project)
            assert text == snippet(f"http://127.0.0.1:8001/t/{project}.js", STUB)
            live = project.removesuffix(".test")
            assert f"funnelhouse projects set {live} --origins" in hint
        set_access(store, "shop", origins=["https://shop.example"], host="collect.shop.example")
    text, _ = printed(tmp_path, "--project", "shop")
    assert text == snippet("https://collect.shop.example/t/shop.js", STUB), "as the page Setup shows it"
    text, hint = printed(
        tmp_path,
        *("--project", "shop", "--url", "https://shop.example/"),
        FUNNELHOUSE_TRACKER_PREFIX="stats",
    )
    assert text == snippet("https://shop.example/stats/shop.js", STUB)
    assert hint == ""
