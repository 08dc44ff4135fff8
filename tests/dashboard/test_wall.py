"""The wall before the server: who is answered at all, by address, header and token."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dashboard import wall
from dashboard.wall import Wall, access_of, auth_secrets
from services import serve
from services.clock import parse_instant, utc_now
from services.errors import InputError
from services.settings.access import AccessSettings
from tests.access.test_sign_in import OIDC
from tests.support.sinks import free_port

ROOT = Path(__file__).resolve().parents[2]
PROXY = AccessSettings(
    mode="proxy", proxy_header="Remote-User", proxy_addresses=("10.0.0.5", "fd00::/8"), admins=("root",)
)
TOKEN = AccessSettings(**OIDC, metrics_token=SecretStr("planted-token"))
NONE = AccessSettings()
OPEN = AccessSettings(**OIDC)
PASSED_ON = ("Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto")
"""What a proxy adds; the snippet of docs/deployment.md sends the last of them."""


async def answer(access: AccessSettings, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = (
            [(b"location", b"/"), (b"set-cookie", b"_streamlit_session=x")]
            if scope["path"] == "/oauth2callback"
            else []
        )
        await send({"type": "http.response.start", "status": 302 if headers else 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await Wall(app, access)(scope, receive, send)
    return sent


def told(access: AccessSettings, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is answered. Nothing here waits, so no loop is needed: another test's browser may run one."""
    try:
        answer(access, scope).send(None)
    except StopIteration as end:
        return list(end.value)
    raise AssertionError("it waited")


def asked(
    access: AccessSettings, peer: str, path: str = "/", *headers: tuple[str, str], kind: str = "http"
) -> int | str:
    """Return the status of the answer, or ``closed`` for a websocket that is not let in."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "path": path, "headers": raw, "client": (peer, 5), "method": "GET"}
    first = told(access, scope)[0]
    return "closed" if first["type"] == "websocket.close" else int(first["status"])


def test_who_is_answered() -> None:
    user, twice = ("Remote-User", "mara"), (("Remote-User", "mara"), ("Remote-User", "root"))
    bearer = ("Authorization", "Bearer planted-token")
    for wanted, got in (
        (200, asked(NONE, "127.0.0.1")),
        (200, asked(NONE, "::1", "/metrics")),
        (403, asked(NONE, "10.0.0.9")),
        (403, asked(NONE, "")),
        ("closed", asked(NONE, "10.0.0.9", "/_stcore/stream", kind="websocket")),
        (200, asked(NONE, "10.0.0.9", "/healthz")),
        *((403, asked(NONE, "127.0.0.1", "/", (name, "https"))) for name in PASSED_ON),
        *((403, asked(NONE, "127.0.0.1", "/metrics", (name, "https"))) for name in PASSED_ON),
        *((403, asked(OPEN, "127.0.0.1", "/metrics", (name, "https"))) for name in PASSED_ON),
        ("closed", asked(NONE, "127.0.0.1", "/_stcore/stream", ("X-Forwarded-Proto", "https"), kind="websocket")),
        (200, asked(NONE, "127.0.0.1", "/healthz", ("X-Forwarded-Proto", "https"))),
        (200, asked(OPEN, "127.0.0.1", "/metrics")),
        (200, asked(PROXY, "10.0.0.5", "/", user)),
        (200, asked(PROXY, "fd00::7", "/", user)),
        (403, asked(PROXY, "10.0.0.6", "/", user)),
        (403, asked(PROXY, "127.0.0.1", "/", user)),
        (403, asked(PROXY, "10.0.0.5")),
        (403, asked(PROXY, "10.0.0.5", "/", *twice)),
        ("closed", asked(PROXY, "10.0.0.6", "/_stcore/stream", user, kind="websocket")),
        (403, asked(PROXY, "10.0.0.5", "/media/x.csv")),
        (200, asked(PROXY, "127.0.0.1", "/metrics")),
        (403, asked(PROXY, "127.0.0.1", "/metrics", ("X-Forwarded-For", "8.8.8.8"))),
        (403, asked(PROXY, "10.0.0.5", "/metrics", user)),
        (200, asked(TOKEN, "8.8.8.8")),
        (200, asked(TOKEN, "8.8.8.8", "/metrics", bearer)),
        (403, asked(TOKEN, "127.0.0.1", "/metrics")),
        (403, asked(TOKEN, "8.8.8.8", "/metrics", ("Authorization", "Bearer planted-tokeN"))),
    ):
        assert got == wanted


def test_behind_the_proxy_of_the_docs_no_request_passes_for_this_machine_s() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    snippet = text.partition("```nginx")[2].partition("```")[0]
    headers = dict(re.findall(r"proxy_set_header (\S+) ([^;]+);", snippet))
    assert headers["X-Forwarded-For"] == "$remote_addr", "what a browser says of itself is not passed on"
    for wanted, access, path in ((403, NONE, "/"), (403, NONE, "/metrics"), (403, OPEN, "/metrics"), (200, OPEN, "/")):
        assert asked(access, "127.0.0.1", path, *headers.items()) == wanted
        assert asked(access, "127.0.0.1", path, ("X-Forwarded-Proto", "https")) == wanted


def test_when_a_page_s_socket_began_is_the_wall_s_word_alone() -> None:
    passed: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append([value.decode() for name, value in scope["headers"] if name == wall.BEGAN.lower().encode()])

    for kind in ("websocket", "http"):
        headers = [(b"remote-user", b"mara"), (b"X-BACKUPS-Began", b"2999-01-01T00:00:00Z")]
        scope = {"type": kind, "path": "/", "headers": headers, "client": ("10.0.0.5", 5), "method": "GET"}
        with pytest.raises(StopIteration):
            Wall(app, PROXY)(scope, None, None).send(None)  # type: ignore[arg-type, attr-defined]
    ((began,), nothing) = passed
    assert timedelta(0) <= utc_now() - parse_instant(began) < timedelta(minutes=1)
    assert nothing == []


def test_a_sign_in_that_fails_is_told_and_cookies_go_over_tls_alone() -> None:
    scope = {"type": "http", "path": "/oauth2callback", "headers": [], "client": ("8.8.8.8", 5), "method": "GET"}
    (start,) = told(TOKEN, scope)
    assert dict(start["headers"]) == {
        b"location": b"/?sign-in=failed", b"set-cookie": b"_streamlit_session=x; Secure"
    }  # fmt: skip


def test_what_streamlit_reads_is_made_of_our_settings() -> None:
    made = auth_secrets(TOKEN)
    assert made is not None
    assert made["auth"]["redirect_uri"] == "https://backups.example.com/oauth2callback"
    assert made["auth"]["server_metadata_url"] == "https://id.example.com/.well-known/openid-configuration"
    assert auth_secrets(NONE) is None
    assert auth_secrets(PROXY) is None


def test_wrong_settings_are_told_to_this_machine_alone() -> None:
    assert access_of({"BACKUP_ACCESS": "oidc"}).mode == "none"
    assert access_of({"DATABASE_URL": "nonsense", "BACKUP_ACCESS": "everybody"}).mode == "none"


def test_only_where_people_sign_in_another_address_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("0.0.0.0", "::", "10.0.0.5", "", "example.com"):
        with pytest.raises(InputError, match="this machine only"):
            serve.refuse_address(address, NONE)
        serve.refuse_address(address, TOKEN)
    for hosts in (["backups.example.com"], ["127.0.0.1", "*.example.com"], ["10.0.0.5"]):
        with pytest.raises(InputError, match="not to be reached as"):
            wall.refuse_to_serve(NONE, hosts)
    serve.refuse_hosts(["backups.example.com"], TOKEN)
    serve.refuse_hosts(["localhost", "127.0.0.1", "::1", "backups.localhost"], NONE)
    monkeypatch.setenv(serve.TRUSTED_FORWARDERS, "")
    wall.refuse_to_serve(PROXY)
    monkeypatch.delenv(serve.TRUSTED_FORWARDERS)
    with pytest.raises(InputError, match="cannot tell the proxy from others"):
        wall.refuse_to_serve(PROXY)


def test_a_server_that_is_started_past_our_command_refuses_as_well(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BACKUPS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "dashboard/server.py", "--server.address=0.0.0.0",
         f"--server.port={free_port()}"],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "this machine only" in done.stdout + done.stderr
