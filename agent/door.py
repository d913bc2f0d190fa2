"""Who may read the dashboard, and who may change something through it.

A page of some other site can make a person's browser ask this server for anything, so that where the question comes
from is looked at before what it asks. Nothing here is about what was asked.
"""

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-nightshift-token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD")
SAID_WITH_EVERY_ANSWER = {
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def refused(status: HTTPStatus, why: str, field: str | None = None) -> JSONResponse:
    """What is answered to a request that is not followed: one line, and which field of a form it is about."""
    return JSONResponse({"error": why, "field": field}, status)


@dataclass(frozen=True)
class Door:
    """What stands before the dashboard: it lets a request pass, or answers it."""

    app: ASGIApp
    token: str
    """Made afresh for each process; what changes something must show it, off loopback what reads as well."""
    loopback: bool
    """Whether only this machine can connect."""
    port: int

    @property
    def cookie(self) -> str:
        """The name under which a browser keeps the token; browsers do not tell ports apart."""
        return f"nightshift-{self.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request in."""

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAID_WITH_EVERY_ANSWER)
            await send(message)

        answer = self.answer(Request(scope)) or self.app
        await answer(scope, receive, say)

    def answer(self, request: Request) -> Response | None:
        """The answer to a request that does not pass; None for one that does."""
        if self.loopback and _host(request) not in LOOPBACK:
            return refused(HTTPStatus.MISDIRECTED_REQUEST, f"this dashboard is at {' and '.join(LOOPBACK[:2])} only")
        if not self.loopback and self._knows(request.query_params.get("token")) and request.method == "GET":
            answer = RedirectResponse(request.url.path, HTTPStatus.SEE_OTHER)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return answer
        if not (self.loopback or self._knows(request.cookies.get(self.cookie))):
            return refused(HTTPStatus.FORBIDDEN, "open the address with ?token= that `nightshift dashboard` printed")
        if not _from_here(request):
            return refused(HTTPStatus.FORBIDDEN, "another site asked for this; only the dashboard's own page may")
        if request.method not in READING and not self._knows(request.headers.get(HEADER)):
            return refused(HTTPStatus.FORBIDDEN, "this page is of an earlier dashboard: load it again")
        return None

    def _knows(self, token: str | None) -> bool:
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())


def _host(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


def _from_here(request: Request) -> bool:
    """Whether no other site had this asked; following a link to the page is no such thing."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    opened = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    host = request.headers.get("host")
    own = origin in (None, f"http://{host}", f"https://{host}")
    return own and (site in ("none", "same-origin") or opened)
