"""How long the tracker's script holds up a page, beside Plausible's, in one headless Chromium.

Run it with `python -m benchmarks.tracker`: it installs Plausible's script from npm into a temporary folder,
opens a page with each script in turn, each time as a new visitor, and prints a markdown table. Umami's script
is in no package; give it as a file, with `--script umami=umami.js`, to have it in the same run.

Start is the time for which the script holds up the page. Script is all that runs until the page has been
quiet for a moment, less what runs on the same page without any. Report is when the first report leaves,
after the start of the script.
"""

import argparse
import json
import shutil
import ssl
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from funnelhouse.settings import CHECKOUT

PEER = "@plausible-analytics/tracker@0.4.6"
HOST = "shop.test"
CONFIG = {
    "landers": [],
    "link_domains": "landers",
    "cross_domains": [],
    "session_minutes": 30,
    "removed": ["token", "code", "password", "email", "phone", "key", "secret"],
    "click_ids": ["gclid", "gbraid", "wbraid", "dclid", "msclkid", "ttclid", "fbclid"],
}
# Reports are noted, not sent: what the network does is no part of the comparison.
BEFORE = """
window.noted = {};
const note = () => { noted.report ??= performance.now() };
window.fetch = () => (note(), new Promise(() => {}));
Navigator.prototype.sendBeacon = () => (note(), true);
XMLHttpRequest.prototype.send = note;
"""


class _Pages(BaseHTTPRequestHandler):
    pages: dict[str, bytes]

    def do_GET(self) -> None:
        """Answer with the page of the path, and nothing else."""
        page = self.pages.get(self.path, b"")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def served(pages: dict[str, bytes], folder: Path) -> Iterator[int]:
    """The pages over https, with a certificate that nobody knows; yields the port."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={HOST}"
    subprocess.run(
        ["openssl", *made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Pages", (_Pages,), {"pages": pages}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def plausible(folder: Path) -> str:
    """Plausible's script, which reports a page view at its start."""
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    subprocess.run(["npm", "install", *options, "--prefix", folder, PEER], check=True)
    text = (folder / "node_modules" / "@plausible-analytics" / "tracker" / "plausible.js").read_text()
    code, _, _ = text.rpartition("export {")
    said = json.dumps({"domain": HOST, "endpoint": f"https://{HOST}/api/event", "captureOnLocalhost": True})
    return f"(()=>{{{code};init({said})}})()"


def page(script: str) -> bytes:
    """A page that notes when a script begins and ends; without one it is the page to compare with."""
    noted = "<script>noted.{} = performance.now()</script>"
    start, end = noted.format("start"), noted.format("end")
    return (
        f"<!doctype html><title>page</title><script>{BEFORE}</script>{start}<script>{script}</script>{end}"
    ).encode()


def visit(browser: Browser, address: str) -> dict[str, float]:
    """What one new visitor's page took, in milliseconds."""
    context = browser.new_context(ignore_https_errors=True)
    tab = context.new_page()
    session = context.new_cdp_session(tab)
    session.send("Performance.enable")
    tab.goto(address)
    tab.wait_for_timeout(300)
    noted: dict[str, float] = tab.evaluate("noted")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    return {
        "start": noted["end"] - noted["start"],
        "report": noted.get("report", float("nan")) - noted["start"],
        "script": metrics["ScriptDuration"] * 1000,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--script", action="append", default=[], metavar="NAME=FILE", help="another script to compare with"
    )
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    built = (CHECKOUT / "tracker" / "built" / "tracker.js").read_text()
    config = json.dumps(CONFIG | {"endpoint": f"https://{HOST}/t/shop"})
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        scripts = {"none": "", "ours": f"{built}({config})", "Plausible": plausible(folder)}
        for each in arguments.script:
            called, _, file = each.partition("=")
            scripts[called] = Path(file).read_text()
        with served({f"/{each}": page(text) for each, text in scripts.items()}, folder) as port:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"],
            )
            found: dict[str, list[dict[str, float]]] = {each: [] for each in scripts}
            for _ in range(arguments.rounds):
                for each in scripts:
                    found[each].append(visit(browser, f"https://{HOST}:{port}/{each}"))
            browser.close()
    medians = {
        each: {what: statistics.median(visit[what] for visit in visits) for what in visits[0]}
        for each, visits in found.items()
    }
    print("| script | start, ms | script, ms | first report, ms |\n|---|---|---|---|")
    for each, median in medians.items():
        if each != "none":
            script = median["script"] - medians["none"]["script"]
            print(f"| {each} | {median['start']:.1f} | {script:.1f} | {median['report']:.1f} |")


if __name__ == "__main__":
    main()
