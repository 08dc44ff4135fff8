"""What stands before every answer of the server: whom it answers, how much it takes, and the headers that go with it.

The policy for content is as narrow as Streamlit 1.67 allows. It draws charts through Vega's interpreter, so no text
becomes code (no ``unsafe-eval``); its one inline script is allowed by its hash; its styles are made at run time, hence
``unsafe-inline`` for styles alone. Nothing is ever fetched from another host.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20
"""Of one request. No page takes a file; what sign-in sends is far smaller."""
MAX_MESSAGE_BYTES = 4 << 20
"""Of one message from a browser: the state of a page's widgets. A note of a megabyte still arrives, and is refused by
what it is meant for, in words."""
YEAR_SECONDS = 31_536_000
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY_HOST = frozenset({"/healthz", "/_stcore/health"})
"""Whoever watches over us (a load balancer, Railway, Docker) calls by a name of its own."""
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_TOO_LARGE = 1009
"""WebSocket's own number for a message that is too big."""

PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi",
        "payment", "publickey-credentials-get", "screen-wake-lock", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip


def content_policy() -> str:
    """Return the Content-Security-Policy that fits the installed Streamlit."""
    page = Path(streamlit.__file__).with_name("static") / "index.html"
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE.findall(page.read_bytes())
    ]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *hashes],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'", "blob:"],
        "media-src": ["'none'"],
        "object-src": ["'none'"],
        "frame-src": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
    }
    return "; ".join(f"{rule} {' '.join(sources)}" for rule, sources in rules.items())


def is_allowed_host(header: str | None, hosts: Collection[str]) -> bool:
    """Say whether a Host header names this server: by loopback, or by one of ``hosts`` (``*.`` stands for any below).

    A missing header, two ports, a user, spaces: no.
    """
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9_][A-Za-z0-9._-]*))(?::\d{1,5})?", header or "")
    if found is None:
        return False
    name = (found[1] or found[2]).lower().rstrip(".")
    return name in LOOPBACK or any(
        name == host or (host.startswith("*.") and name.endswith(host[1:]) and name != host[2:]) for host in hosts
    )


def is_own_origin(origin: str | None, host: str, hosts: Collection[str]) -> bool:
    """Say whether the page that opens a socket is one of ours: of the very host and port that it asks, or of ``hosts``.

    Streamlit compares names alone, so a page of another program of this machine, on another port, would pass. No
    Origin at all: no browser, whose page could be somebody else's.
    """
    if origin is None:
        return True
    scheme, _, place = origin.partition("://")
    if scheme not in ("http", "https") or re.search(r"[/?#@\s\\]", place):
        return False
    standard = {"http": ":80", "https": ":443"}[scheme]
    if place.removesuffix(standard).lower() == host.removesuffix(standard).lower():
        return True
    return is_allowed_host(place, hosts) and not is_allowed_host(place, ())


class Edge:
    """Middleware around everything: pages, static files, media, our own routes, and the pages' sockets."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), is_https: bool = False) -> None:
        """``hosts``: see ``is_allowed_host``. ``is_https``: people reach us by TLS alone, whatever a proxy says."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._is_https = is_https
        self._headers = {
            "Content-Security-Policy": content_policy(),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": PERMISSIONS,
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["path"] not in _ANY_HOST and not is_allowed_host(headers.get("host"), self._hosts):
            await self._refuse(
                scope, send, 400, "This server does not answer to that name. Its people can allow it: BACKUPS_HOSTS."
            )
        elif scope["type"] == "websocket":
            if not is_own_origin(headers.get("origin"), headers["host"], self._hosts):
                await self._refuse(scope, send, 403, "A page of another site may not open this.")
                return
            await self._app(scope, _bounded_messages(receive), send)
        elif _announced(headers) > MAX_BODY_BYTES:
            await self._refuse(scope, send, 413, "The request is too large.")
        else:
            await self._app(scope, _bounded_body(receive), self._with_headers(scope, send))

    async def _refuse(self, scope: Scope, send: Send, status: int, words: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": words[:120]})
            return
        answer = PlainTextResponse(f"{words}\n", status, headers={"Cache-Control": "no-store", "Connection": "close"})
        await answer(scope, _nothing_more, self._with_headers(scope, send))

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        is_https = self._is_https or scope["scheme"] == "https"
        is_https = is_https or Headers(scope=scope).get("x-forwarded-proto", "").split(",")[0].strip() == "https"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answer[name] = value
                if is_https:
                    answer["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}"
            await send(message)

        return sending


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        return 0  # the server itself refuses it
    return int(length) if len(length) <= 18 else MAX_BODY_BYTES + 1


def _bounded_body(receive: Receive) -> Receive:
    """Pass on a body's parts up to the limit; what goes on after it counts as a browser that has gone away."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                return {"type": "http.disconnect"}
        return message

    return receiving


def _bounded_messages(receive: Receive) -> Receive:
    async def receiving() -> Message:
        message = await receive()
        size = len(message.get("bytes") or b"") + len(message.get("text") or "")
        if message["type"] == "websocket.receive" and size > MAX_MESSAGE_BYTES:
            return {"type": "websocket.disconnect", "code": _TOO_LARGE, "reason": "The message is too large."}
        return message

    return receiving


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}
