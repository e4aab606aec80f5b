"""What is pasted into pages, as an HTML parser reads it."""

from html.parser import HTMLParser

from funnelhouse.snippet import CALLS, conversion_call, snippet, tag

SCRIPT = "https://collect.example/t/shop.js"
STUB = "window.flux={q:[]}\n"


class Scripts(HTMLParser):
    """The script elements of a text: their attributes and what stands in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._inside = True
            self.found.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, before = self.found[-1]
            self.found[-1] = (attributes, before + data)


def test_a_tag_is_the_stub_and_the_deferred_tracker() -> None:
    assert Scripts(tag(SCRIPT, STUB)).found == [({}, STUB.strip()), ({"defer": None, "src": SCRIPT}, "")]


def test_a_page_node_is_named_whatever_its_id() -> None:
    page_id = """offer"><script>alert('1')</script>"""
    _, (attributes, _) = Scripts(tag(SCRIPT, STUB, page_id, "offer")).found
    assert attributes == {"defer": None, "src": SCRIPT, "data-page": page_id, "data-kind": "offer"}
    [(_, call)] = Scripts(conversion_call(page_id)).found
    assert call.count("flux.track") == 1


def test_pasted_as_a_whole_it_calls_nothing() -> None:
    text = snippet(SCRIPT, STUB)
    assert Scripts(text).found == Scripts(tag(SCRIPT, STUB)).found
    assert all(call.code in text and "--" not in call.code + call.purpose for call in CALLS)


def test_every_vendor_that_promises_a_script_has_its_calls() -> None:
    assert {"FunnelFlux", "OpenAnalytics", "Pagent", "Superfunnel"} < {call.vendor for call in CALLS}
