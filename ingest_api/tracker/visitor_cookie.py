"""The cookies of the tracker: whether an answer may set the visitor's, and what a request's own say.

A cookie that an answer sets outlives one that the script sets, where a browser cuts those short. The only
routes that read cookies are those of the tracker and of links; nothing else of ingest imports this.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from funnelhouse.access import host_name
from funnelhouse.proxies import TrustedProxies

VISITOR = "fh_vid"
SESSION = "fh_ses"
CONSENT = "fh_consent"

LIFE_SECONDS = 400 * 24 * 60 * 60
"""Browsers keep no cookie longer."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SESSION = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,15})\.([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Cookies:
    """What a request's cookies say, as far as it can be true; None for the rest."""

    visitor_id: str | None = None
    session_id: str | None = None
    session_seen_ms: int | None = None
    """When something of the session was last seen, Unix milliseconds by the browser's clock."""
    consent: str | None = None
    """granted or denied."""
    ads: str | None = None
    """granted or denied, for ads."""


def cookies_of(request: Request) -> Cookies:
    """The tracker's cookies of a request, which anybody may have written."""
    sent = request.cookies
    visitor_id = sent.get(VISITOR, "")
    session = _SESSION.fullmatch(sent.get(SESSION, ""))
    consent, _, ads = sent.get(CONSENT, "").partition(".")
    return Cookies(
        visitor_id if _ID.fullmatch(visitor_id) else None,
        session[1] if session else None,
        int(session[3]) if session else None,
        _decision(consent),
        _decision(ads),
    )


def may_remember(request: Request, tracker: Mapping[str, Any], consent: str | None) -> bool:
    """Whether a visitor may be known again, by the project's tracker and what the browser says.

    `consent` is the visitor's decision, granted or denied, where one is known.
    """
    headers = request.headers
    if tracker["storage"] != "full" or consent == "denied":
        return False
    if tracker["gpc"] == "all" and headers.get("sec-gpc") == "1":
        return False
    if tracker["dnt"] == "all" and headers.get("dnt") == "1":
        return False
    return tracker["consent"] == "assumed" or consent == "granted"


def visitor_cookie(
    request: Request,
    tracker: Mapping[str, Any],
    visitor_id: str,
    *,
    consent: str | None = None,
    page_host: str | None = None,
) -> str | None:
    """The `Set-Cookie` of an answer that keeps a visitor's id; None where it may not, or is of no use.

    `tracker` is the project's, with every member. `consent` is what the request itself says of it, before
    what its cookie says. `page_host` is the host of the page that sent it; None for an address that the
    browser opens. Without a `cookie_domain` the cookie is of this host alone, so the page has to be, too.
    """
    cookies = cookies_of(request)
    if not may_remember(request, tracker, consent or cookies.consent) or not _ID.fullmatch(visitor_id):
        return None
    if cookies.visitor_id not in (None, visitor_id):
        # What was queued before a log-out must not bring the visitor of then back.
        return None
    host = host_name(request.headers.get("host", ""))
    domain = (tracker["cookie_domain"] or "").removeprefix(".")
    if not domain:
        if page_host not in (None, host):
            return None
    elif host != domain and not host.endswith(f".{domain}"):
        return None
    proxies: TrustedProxies = request.app.state.proxies
    parts = [f"{VISITOR}={visitor_id}", f"Max-Age={LIFE_SECONDS}", "Path=/", "SameSite=Lax"]
    if domain:
        parts.append(f"Domain={domain}")
    if proxies.is_https(request):
        parts.append("Secure")
    return "; ".join(parts)


def _decision(text: str) -> str | None:
    return text if text in ("granted", "denied") else None
