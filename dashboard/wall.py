"""The wall around the server: who may reach it at all, before any route answers.

Who a person is and what they may is looked up by each run of a page (``dashboard.who``). Here is what comes before:
without sign-in requests come from this machine; with a proxy they come from the proxy, with its header, once; and the
numbers for monitoring go to whoever has the token.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.clock import utc_now
from services.errors import SettingsError
from services.serve import TRUSTED_FORWARDERS, is_loopback, refuse_address, refuse_hosts
from services.settings.access import AccessSettings
from services.settings.load import load_access, load_settings

FAILED = "sign-in"
"""The parameter of the URL that says a sign-in did not succeed."""
_CALLBACK, _COOKIE = "/oauth2callback", "_streamlit_user"
BEGAN = "X-Backups-Began"
"""The header in which the wall says when a page's socket was opened, as ISO 8601."""
_built: list[bool] = []
_OPEN = ("/healthz", "/_stcore/health")
_FORWARDED = ("forwarded", "via", "x-real-ip")
_FORWARDED_PREFIX = "x-forwarded-"


def build() -> None:
    """Note that this process is our server, with the wall before every route."""
    _built.append(True)


def stands() -> bool:
    """Say whether there is a wall around this process: not where somebody ran the entry point by itself."""
    return bool(_built)


def access_of(environ: Mapping[str, str]) -> AccessSettings:
    """Return who may get in. Of settings that are wrong each page tells this machine, and nobody else."""
    try:
        settings = load_settings(environ, thorough=False)
        return settings.access if settings is not None else load_access(environ)
    except SettingsError:
        return AccessSettings()


def refuse_to_serve(access: AccessSettings, hosts: Collection[str] = ()) -> None:
    """Raise InputError unless this server, however it was started, listens where its sign-in allows.

    Nor, where nobody signs in, by names of others (``services.serve.hosts_of``).

    A proxy's address is what the connection says, so nothing may put another one in its place.
    """
    refuse_address(str(st.get_option("server.address") or "0.0.0.0"), access)  # nosec B104  # noqa: S104 - what none means
    refuse_hosts(hosts, access)
    if access.mode == "proxy" and os.environ.get(TRUSTED_FORWARDERS) != "":
        raise SettingsError(
            "The server takes the addresses of requests from a header, so it cannot tell the proxy from others.",
            hint=f'Start it with `backups serve` or `backups dashboard`, or set {TRUSTED_FORWARDERS}="".',
        )


def auth_secrets(access: AccessSettings) -> dict[str, Any] | None:
    """Return what Streamlit's sign-in reads as the section ``auth`` of its secrets, from our settings."""
    if access.mode != "oidc":
        return None
    assert access.client_secret is not None, "missing() has said so"
    assert access.cookie_secret is not None, "missing() has said so"
    return {
        "auth": {
            "redirect_uri": f"{access.url}{_CALLBACK}",
            "cookie_secret": access.cookie_secret.get_secret_value(),
            "client_id": access.client_id,
            "client_secret": access.client_secret.get_secret_value(),
            "server_metadata_url": f"{access.issuer}/.well-known/openid-configuration",
            "client_kwargs": {"scope": access.scope, "prompt": "select_account"},
        }
    }


class Wall:
    """ASGI middleware that answers 403 to whoever may not reach the server."""

    def __init__(self, app: ASGIApp, access: AccessSettings) -> None:
        self._app = app
        self._access = access
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in access.proxy_addresses]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        why = self.why_not(scope)
        if why:
            await self._refuse(scope, receive, send, why)
            return
        scope = _with_began(scope)
        if scope["path"] == _CALLBACK:
            send = _telling_failure(send)
        if (self._access.url or "").startswith("https:"):
            send = _securing_cookies(send)
        await self._app(scope, receive, send)

    def why_not(self, scope: Scope) -> str:
        """Return why a request is refused, or nothing."""
        access, path, headers = self._access, scope["path"], Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        if path in _OPEN:
            return ""
        if path == "/metrics" and access.metrics_token is not None:
            given = headers.get("authorization", "").encode()
            wanted = f"Bearer {access.metrics_token.get_secret_value()}".encode()
            return "" if hmac.compare_digest(given, wanted) else "The token is missing or wrong."
        if path == "/metrics" or access.mode == "none":
            is_passed_on = any(name in _FORWARDED or name.startswith(_FORWARDED_PREFIX) for name in headers)
            if is_loopback(peer) and not is_passed_on:
                return ""
            if path == "/metrics":
                return "Metrics are for this machine. Set access.metrics_token (BACKUP_METRICS_TOKEN) for others."
            passed_on = " A proxy has passed this request on." if is_loopback(peer) else ""
            return f"There is no sign-in, so this is served to its own machine only.{passed_on} See docs/access.md."
        if access.mode == "proxy":
            if not self._is_trusted(peer):
                return f"{peer} is not the proxy that signs people in (access.proxy_addresses)."
            if len(headers.getlist(access.proxy_header or "")) != 1:
                return f"The proxy must say who it is in one header {access.proxy_header}."
        return ""

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, why: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
            return
        answer = PlainTextResponse(f"{why}\n", 403, headers={"Cache-Control": "no-store"})
        await answer(scope, receive, send)


def _with_began(scope: Scope) -> Scope:
    """Say in a header of ours, and nobody else's, when a page's socket was opened: it keeps its first headers."""
    name = BEGAN.lower().encode()
    headers = [(known, value) for known, value in scope["headers"] if known.lower() != name]
    if scope["type"] == "websocket":
        headers.append((name, utc_now().isoformat().encode()))
    return {**scope, "headers": headers}


def _telling_failure(send: Send) -> Send:
    """Have a callback that signs nobody in say so: Streamlit leads back to the page without a word."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in (302, 303, 307):
            headers = MutableHeaders(raw=message["headers"])
            cookies = headers.getlist("set-cookie")
            signed_in = any(
                cookie.startswith(f"{_COOKIE}=") and "max-age=0" not in cookie.lower() for cookie in cookies
            )
            if not signed_in and not urlsplit(headers.get("location", "")).query:
                headers["location"] = f"{headers['location']}?{FAILED}=failed"
        await send(message)

    return telling


def _securing_cookies(send: Send) -> Send:
    """Have browsers send our cookies back over TLS alone: Streamlit leaves that out for the sake of plain localhost."""

    def secured(name: bytes, value: bytes) -> bytes:
        is_open = name.lower() == b"set-cookie" and b"secure" not in value.lower()
        return value + b"; Secure" if is_open else value

    async def securing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [(name, secured(name, value)) for name, value in message.get("headers", [])]
        await send(message)

    return securing
