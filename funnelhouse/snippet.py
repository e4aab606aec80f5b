"""What is pasted into web pages: the tracker's tag, and the calls that pages make, in each vendor's words.

`funnelhouse tracker snippet` prints it, and the dashboard's page Setup shows it piece by piece.
"""

import json
from dataclasses import dataclass
from functools import cache
from html import escape

from funnelhouse.settings import TRACKER_BUILT


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a page makes once it has the tag. `code` is HTML to paste and to change."""

    vendor: str
    purpose: str
    code: str


CALLS = (
    Call(
        "FunnelFlux",
        "A conversion. Replace VALUE with the amount, or leave it: then the payout of the page counts."
        " With an order number, add tx; without one, the same page loaded again is no second conversion.",
        '<script>flux.track("conversion", {rev: "VALUE"})</script>',
    ),
    Call(
        "FunnelFlux",
        "Any other event.",
        '<script>flux.track("signup", {plan: "pro"})</script>',
    ),
    Call(
        "OpenAnalytics",
        "A conversion. What your server reports under the same name and order number is the same one.",
        """<script>
  oa("conversion", "purchase", {revenue: 49.99, currency: "USD", order_id: "ORDER-NUMBER"})
</script>""",
    ),
    Call(
        "OpenAnalytics",
        "Any other event, and who the visitor is as soon as the page knows.",
        """<script>
  oa("event", "signup", {plan: "pro"})
  oa("identify", "USER-ID", {plan: "pro"})
</script>""",
    ),
    Call(
        "Pagent",
        "What your server sends on as session_data of POST /v2/conversions. The label names a goal.",
        """<script>
  function checkOut(cart) {
    const pagent = window._pgnt.variables("purchase")
    return fetch("/api/checkout", {method: "POST", body: JSON.stringify({cart, pagent})})
  }
</script>""",
    ),
    Call(
        "Superfunnel",
        "On a lander, links to other hosts carry sessionId, sessionHash and visitHash without any call."
        " This is for an address that a script opens; a form has the attribute data-fh-fill.",
        """<button onclick='location.assign(flux.decorate("https://offer.example/"))'>Continue</button>""",
    ),
    Call(
        "All",
        "What a consent manager calls. Where the project requires consent, nothing is stored or sent before.",
        '<script>flux.consent("granted", {ads: "granted"})</script>',
    ),
)


@cache
def built_stub() -> str:
    """The script that keeps calls until the tracker is there, as `tracker/` has built it."""
    return (TRACKER_BUILT / "stub.js").read_text(encoding="utf-8")


def script_url(base_url: str, prefix: str, project_id: str) -> str:
    """Where a project's script is served; `prefix` is the setting `tracker_prefix`."""
    return f"{base_url}/{prefix}/{project_id}.js"


def tag(script: str, stub: str, page_id: str | None = None, kind: str | None = None) -> str:
    """The tag for a page's head; of a page node, with its id and kind.

    `script` is an address as `script_url` makes it, `stub` what `built_stub` reads.
    """
    attributes = {"src": script, "data-page": page_id, "data-kind": kind}
    said = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items() if value is not None)
    return f"<script>{stub.strip()}</script>\n<script defer{said}></script>"


def conversion_call(page_id: str) -> str:
    """The call that converts a page node, on whichever page it is made."""
    # In an element of script no text of ours may begin a tag.
    quoted = json.dumps(page_id).replace("<", "\\u003c")
    return f'<script>flux.track("conversion", {{p: {quoted}, rev: "VALUE"}})</script>'


def snippet(script: str, stub: str) -> str:
    """The tag, and all calls with what each is for, as one text.

    The calls are a comment: pasted as a whole, the text tracks page views and converts nothing.
    """
    calls = "\n\n".join(f"{call.vendor}: {call.purpose}\n{call.code}" for call in CALLS)
    return (
        f"<!-- Funnelhouse: into the head of every page. -->\n{tag(script, stub)}\n\n"
        f"<!-- Calls, each for the pages that it belongs to.\n\n{calls}\n-->\n"
    )
