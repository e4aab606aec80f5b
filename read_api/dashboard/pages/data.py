"""Data: what arrives right now, and how far the figures can be trusted."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from publication.layout import BUILD_FILE
from read_api.dashboard import reasons
from read_api.dashboard.access import AnySignedIn, AnyViewer, Form, Viewer
from read_api.dashboard.defined import ingest_of, see_other
from read_api.dashboard.figures import ago, moment
from read_api.dashboard.ingest import UnreachableError
from read_api.dashboard.rendering import html
from read_api.dashboard.view import ALL, View, frame, frame_with_steps, viewing
from read_api.models import model_docs
from read_api.parameters import Days, Page
from read_api.publications import Publications
from read_api.reports import builds, data_trust
from read_api.reports.projects import project, today
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}"

SHOWN_EVENTS = 50
KINDS = ("visit", "event", "conversion", "refund", "identify", "alias", "unalias")
REJECTED = "rejected"
TEST_EVENT = {"event_type": "event", "event_name": "test event", "anonymous_id": "test-visitor"}
"""What the page sends when somebody wants to see something arrive: it is no visit and no conversion."""

MOST_PAGES = 5
"""That are looked through for events of one kind, or with a text in them."""

MOST_LETTERS = 200
"""Of a text that is looked for."""

MOST_MEASURED = 2000
MOST_DETAILS = 100
"""Of one measure, on a page."""

_TIMES = "sum(occurrences)"
_EPOCH = datetime(1970, 1, 1)

_COMMIT_DIGITS = 10

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/live")
def live(request: Request, viewer: AnyViewer) -> Response:
    """The newest events, as they arrive, before any build."""
    view = frame_with_steps(request, viewer, "live")
    return view.render("live.html", _events(request, viewer, view))


@router.get(f"{PATH}/live/rows")
def live_rows(request: Request, viewer: AnyViewer) -> Response:
    """The same as a piece of the page, which asks for it every few seconds.

    A stream per open page would hold a connection of two servers each, and begin with this list.
    """
    view = frame(request, viewer, "live")
    return html("live_rows.html", {"view": view, **_events(request, viewer, view)})


@router.post(f"{PATH}/live/test-event")
def send_test_event(request: Request, viewer: AnyViewer, form: Form) -> Response:
    """Send an event as a server would, once for each form, and show it among the newest ones."""
    if viewer.send is None:
        raise Refusal(403, "Sending needs a key with the scope ingest; add one under Keys.")
    event = {**TEST_EVENT, "event_id": f"test-{form.text('once')[:MOST_LETTERS]}"}
    ingest_of(request).post(viewer.send, viewer.project_id, "events", body=event)
    return see_other(frame(request, viewer, "live").url("live"))


@router.get(f"{PATH}/live/event")
def one_event(request: Request, viewer: AnyViewer) -> Response:
    """All reports with one event id: as received, and as understood."""
    event_id = request.query_params.get("id", "")
    found = ingest_of(request).get(viewer.read, viewer.project_id, "events", event_id) if event_id else None
    if found is None:
        raise Refusal(404, "No such event is in the landing store, which keeps the last days only.")
    view = frame(request, viewer, "live", "Event")
    return view.render("event.html", {"event": _shown_event(found, view.time_zone)})


@router.get("/app/models")
def model_pages(request: Request, _: AnySignedIn) -> Response:
    """What every figure is made of: the models that builds use, with their SQL, tests and lineage."""
    return model_docs(request)


@router.get(f"{PATH}/data-trust")
def data_trust_page(request: Request, viewer: AnyViewer) -> Response:
    """How fresh the figures are, what could skew them, and what the last builds checked."""
    with viewing(request, viewer, "data-trust", default=ALL, said_when_empty=True) as view:
        if view.dates == ALL:
            # Reports count on their day of arrival, which may be long after the last day of sessions.
            view.days = Days(view.days.first, today(view.reading, view.project_id, datetime.now(UTC)))
        filters = data_trust.Filters(view.days, page=Page(MOST_MEASURED))
        measured = data_trust.data_trust(view.reading, view.project_id, filters)
        publications: Publications = request.app.state.publications
        known = project(view.reading, view.project_id)
        context = {
            "project": known,
            "now": datetime.now(UTC),
            "ago": ago,
            "events": view.figure("dim_projects", "max(events)", known.events),
            "warnings": _by_measure(view, measured, "warning"),
            "infos": _by_measure(view, measured, "info"),
            "kinds": view.rows("rpt_data_trust", severity="warning").figure(
                "count(distinct measure)", len({row.measure for row in measured if row.severity == "warning"})
            ),
            "builds": [
                _shown_build(view, build)
                for build in builds.builds(publications.published_dir, view.build or "")
            ],
        }
        return view.render("data_trust.html", context)


def _by_measure(view: View, rows: list[data_trust.Measure], severity: str) -> list[dict[str, Any]]:
    """Each measure of a severity: its name in words, how often it was met, and its details."""
    found = []
    for (measure, meaning), each in groupby(rows, lambda row: (row.measure, row.meaning)):
        details = list(each)
        if details[0].severity == severity:
            met = _Met(view, measure)
            counted = [
                {
                    "words": reasons.of_measure(measure, row.detail),
                    "first": row.first_date,
                    "last": row.last_date,
                    "times": met.figure(row.occurrences, row.detail),
                }
                for row in details
            ]
            found.append(
                {
                    "name": measure.replace("_", " ").capitalize(),
                    "meaning": meaning,
                    "lacks_rates": measure in ("amounts_without_rate", "costs_without_rate"),
                    "since": min((row.first_date for row in details if row.first_date), default=None),
                    "total": met.figure(sum(row.occurrences for row in details)),
                    "details": counted[:MOST_DETAILS],
                    "left": max(0, len(counted) - MOST_DETAILS),
                }
            )
    return found


_FACTS: dict[str, tuple[str, str, dict[str, object], str | None]] = {
    "conversions": ("fct_conversions", "conversion_date", {}, "state"),
    "conversions_unmatched": (
        "fct_conversions",
        "conversion_date",
        {"unmatched_reason.is": "set", "matched_by": "none"},
        "unmatched_reason",
    ),
    "conversions_without_visit": (
        "fct_conversions",
        "conversion_date",
        {"unmatched_reason.is": "set", "matched_by.not": "none"},
        "unmatched_reason",
    ),
    "conversions_without_amount": (
        "fct_conversions",
        "conversion_date",
        {"amount_minor.is": "null", "state.not": "rejected"},
        "name",
    ),
    "default_payouts": ("fct_conversions", "conversion_date", {"is_default_payout": True}, "page_id"),
    "suspected_doubles": ("fct_conversions", "conversion_date", {"is_suspected_double": True}, "name"),
    "sessions": ("fct_sessions", "session_date", {}, None),
    "bot_sessions": ("fct_sessions", "session_date", {"is_bot": True}, None),
}
"""Of measures that count rows of a fact: the mart, its day, which rows, and the column that is the detail."""


class _Met:
    """Figures of a measure: of the rows that it counts, where a mart has them, else of its own count."""

    def __init__(self, view: View, measure: str) -> None:
        fact = _FACTS.get(measure)
        if fact is None:
            self._rows, self._detail, self._column = (
                view.rows("rpt_data_trust", measure=measure),
                "detail",
                _TIMES,
            )
        else:
            mart, days_column, conditions, detail = fact
            self._rows = Slice(mart, view.project_id).on(days_column, view.days).having(conditions)
            self._detail, self._column = detail or "", "count(*)"

    def figure(self, times: int, *detail: str | None) -> Figure:
        """How often it was met, or one detail of it was."""
        of = self._rows.where(self._detail, detail[0]) if detail and self._detail else self._rows
        return of.figure(self._column, times)


def _shown_build(view: View, build: dict[str, Any]) -> dict[str, Any]:
    facts = build["facts"]
    of = Slice(BUILD_FILE, view.project_id).where("build", build["build"])
    return {
        "build": build["build"],
        "is_current": build["is_current"],
        "published": datetime.fromisoformat(build["published_at"]).replace(tzinfo=None),
        "code": _shown_code(facts.get("code")),
        # Builds of older versions did not write down what they checked.
        "passed": of.figure("checks_passed", facts.get("checks_passed")),
        "failed": facts.get("checks", []),
        "took": of.figure("seconds", int(sum(facts["seconds"].values())) if "seconds" in facts else None),
    }


def _shown_code(code: dict[str, Any] | None) -> dict[str, str] | None:
    """What a build was made with, in a few words and in full; None of builds of older versions."""
    if code is None:
        return None
    commit = code.get("commit")
    shown = commit[:_COMMIT_DIGITS] if commit else code["version"]
    edited = " edited" if code.get("is_dirty") or code.get("are_extensions_dirty") else ""
    full = {"version": code["version"], "commit": commit, "fingerprint": code.get("fingerprint")}
    return {
        "shown": shown + edited,
        "full": ", ".join(f"{name} {said}" for name, said in full.items() if said),
    }


def _events(request: Request, viewer: Viewer, view: View) -> dict[str, Any]:
    """The newest events, of one kind where one is chosen, and how many came within a minute."""
    kind = request.query_params.get("kind", "")
    kind = kind if kind in (*KINDS, REJECTED) else ""
    kinds = [("", "All"), *((each, each) for each in (*KINDS, REJECTED))]
    text = request.query_params.get("text", "").strip()[:MOST_LETTERS]
    known: dict[str, Any] = {"kind": kind, "kinds": kinds, "text": text}
    found: list[dict[str, Any]] = []
    before: str | None = ""
    ingest = ingest_of(request)
    try:
        if kind in ("", REJECTED):
            answer = ingest.get(viewer.read, viewer.project_id, REJECTED, "recent", limit=SHOWN_EVENTS) or {}
            found += [each for each in _shown_rejected(answer.get(REJECTED, [])) if _contains(each, text)]
        for _ in range(0 if kind == REJECTED else MOST_PAGES if kind or text else 1):
            asked: dict[str, str | int] = {"limit": SHOWN_EVENTS, "before": before or ""}
            answer = ingest.get(viewer.read, viewer.project_id, "events", "recent", **asked) or {}
            events = [_shown(event) for event in answer.get("events", [])]
            found += [event for event in events if kind in ("", event["kind"]) and _contains(event, text)]
            before = answer.get("next")
            if before is None or len(found) >= SHOWN_EVENTS:
                break
    except UnreachableError as refused:
        return {**known, "events": [], "problem": refused.detail}
    found.sort(key=lambda event: event["received"], reverse=True)
    since = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    shown = found[:SHOWN_EVENTS]
    latest = [event["kind"] == REJECTED for event in shown if event["received"] >= since]
    of_kind = kind if kind in KINDS else None
    accepted = view.rows("events", None, kind=of_kind).where("received_at.from", since)
    rejected = view.rows(REJECTED, None).where("received_at.from", since)
    return {
        **known,
        "events": shown,
        "latest": None if kind == REJECTED else accepted.figure("count(*)", latest.count(False)),
        "latest_rejected": None if of_kind else rejected.figure("count(*)", latest.count(True)),
        "is_latest_cut": len(latest) == SHOWN_EVENTS,
        "problem": "",
    }


def _contains(event: Mapping[str, Any], text: str) -> bool:
    """Whether something that is known of an event has the text in it."""
    return not text or text.lower() in " ".join(map(str, _values(event))).lower()


def _values(known: Mapping[str, Any]) -> Iterator[Any]:
    for value in known.values():
        if isinstance(value, Mapping):
            yield from _values(value)
        else:
            yield value


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    known = event["understood"]
    who = [f"{name.removesuffix('_id')} {known[name]}" for name in ("user_id", "visitor_id") if name in known]
    return {
        **event,
        # Rows keep their place while the list moves; an event id may hold what no HTML id may.
        "row_id": "e" + hashlib.sha256(event["event_id"].encode()).hexdigest()[:16],
        "received": datetime.fromisoformat(event["received_at"]).astimezone(UTC).replace(tzinfo=None),
        "kind": known.get("kind", ""),
        "name": known.get("name"),
        "who": who[0] if who else None,
        "what": known.get("url"),
        "amount": _shown_amount(known),
        "is_minor": known.get("amount_unit") == "minor",
    }


def _shown_rejected(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = []
    equals: Counter[str] = Counter()
    for report in reports:
        # A batch may hold the same bad item twice.
        said = "\n".join(str(value) for value in report.values())
        equals[said] += 1
        row_id = hashlib.sha256(f"{said}\n{equals[said]}".encode()).hexdigest()[:16]
        received = datetime.fromisoformat(report["received_at"]).astimezone(UTC).replace(tzinfo=None)
        shown.append({**report, "row_id": f"r{row_id}", "received": received, "kind": REJECTED})
    return shown


def _shown_amount(known: dict[str, Any]) -> str | None:
    """As the sender wrote it; what a refund takes away has a sign."""
    amount = known.get("amount_text")
    if not amount:
        return None
    if known.get("kind") == "refund":
        amount = "\N{MINUS SIGN}" + amount.removeprefix("-")
    return f"{amount} {known.get('currency', '')}".strip()


def _shown_event(event: dict[str, Any], time_zone: str) -> dict[str, Any]:
    reports = [
        {
            **report,
            "received": _shown(report)["received"],
            "understood": {
                name: _readable(name, value, time_zone) for name, value in report["understood"].items()
            },
        }
        for report in event["reports"]
    ]
    return {"event_id": event["event_id"], "reports": reports}


def _readable(name: str, value: Any, time_zone: str) -> Any:
    """Microseconds as a time; all else as it is."""
    if not name.endswith("_us"):
        return value
    return moment(_EPOCH + timedelta(microseconds=value), "milliseconds", time_zone)
