"""The edge of the server: who is answered, how much is taken, and which headers go with every answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dashboard.edge import MAX_BODY_BYTES, MAX_MESSAGE_BYTES, Edge, content_policy, is_allowed_host, is_own_origin

HOSTS = ("backups.example.com", "*.la-factoria.com", "10.0.0.7")


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "LOCALHOST:8501", "127.0.0.1:8501", "[::1]:8501", "backups.example.com",
        "Backups.Example.com.:443", "a.la-factoria.com", "a.b.la-factoria.com:1", "10.0.0.7:80",
    ],
)  # fmt: skip
def test_a_name_of_this_server_is_answered(header: str) -> None:
    assert is_allowed_host(header, HOSTS)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "evil.example", "backups.example.com.evil.example", "evilbackups.example.com", "la-factoria.com",
        "backups.example.com:80:80", "backups.example.com:80@evil.example", "user@localhost", "localhost evil.example",
        "localhost\n", "localhost/..", "127.0.0.2", "[::1", "::1", "*.la-factoria.com", ".la-factoria.com", "lоcalhost",
        "localhost:99999999", "x" * 100_000,
    ],
)  # fmt: skip
def test_any_other_name_is_not(header: str | None) -> None:
    assert not is_allowed_host(header, HOSTS)


def test_a_socket_is_opened_by_a_page_of_the_same_host_and_port_alone() -> None:
    own = [
        (None, "127.0.0.1:8501"), ("http://127.0.0.1:8501", "127.0.0.1:8501"), ("http://LOCALHOST", "localhost:80"),
        ("https://backups.example.com", "backups.example.com"), ("https://backups.example.com", "10.0.0.7:8501"),
        ("http://[::1]:8501", "[::1]:8501"),
    ]  # fmt: skip
    foreign = [
        ("http://127.0.0.1:3000", "127.0.0.1:8501"), ("http://localhost:8501", "127.0.0.1:8501"), ("null", "localhost"),
        ("http://127.0.0.1:8501.evil.example", "127.0.0.1:8501"), ("https://evil.example", "backups.example.com"),
        ("http://evil@127.0.0.1:8501", "127.0.0.1:8501"), ("file://", "localhost"), ("", "localhost"),
        ("https://backups.example.com.evil.example", "backups.example.com"), ("http://localhost/", "localhost"),
    ]  # fmt: skip
    assert [pair for pair in own if not is_own_origin(*pair, HOSTS)] == []
    assert [pair for pair in foreign if is_own_origin(*pair, HOSTS)] == []


def test_the_policy_lets_no_text_become_code_and_nobody_frame_a_page() -> None:
    rules = dict(rule.split(" ", 1) for rule in content_policy().split("; "))
    assert rules["script-src"].startswith("'self' 'sha256-"), "Streamlit's one inline script, by its hash"
    assert "unsafe" not in rules["script-src"]
    assert rules["frame-ancestors"] == rules["object-src"] == rules["frame-src"] == "'none'"
    assert not any("http" in sources or "*" in sources for sources in rules.values()), "no other host"


def ask(
    *,
    host: str = "localhost",
    path: str = "/",
    body: list[bytes] | None = None,
    more: dict[str, str] | None = None,
    kind: str = "http",
    received: list[dict[str, Any]] | None = None,
    **options: Any,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what is sent to the browser, and what the application within saw."""
    seen: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body or []]
    queue = iter(received if received is not None else [*parts, {"type": "http.request", "body": b""}])

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            seen.append(message)
            if not message.get("more_body") and message["type"] != "websocket.receive":
                break
        if kind == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOW")]})
            await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Any:
        return next(queue)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in {"host": host, **(more or {})}.items()]
    scope = {"type": kind, "scheme": "http", "path": path, "headers": headers, "method": "GET"}
    call = Edge(application, **options)(scope, receive, send)
    with ThreadPoolExecutor(1) as pool:  # another test's browser may run a loop in this thread
        pool.submit(asyncio.run, call).result()
    return sent, seen


def headers_of(sent: list[dict[str, Any]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}


def test_every_answer_has_the_headers_and_no_page_can_loosen_them() -> None:
    sent, _ = ask()
    assert {name: value for name, value in headers_of(sent).items() if name != "content-security-policy"} == {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": headers_of(sent)["permissions-policy"],
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    assert headers_of(sent)["content-security-policy"] == content_policy()
    assert "camera=()" in headers_of(sent)["permissions-policy"]


def test_browsers_are_told_to_stay_with_tls_where_it_is_used() -> None:
    assert "strict-transport-security" not in headers_of(ask()[0])
    for found in (ask(is_https=True), ask(more={"X-Forwarded-Proto": "https, http"})):
        assert headers_of(found[0])["strict-transport-security"] == "max-age=31536000"


def test_a_wrong_name_is_refused_before_anything_is_run_and_the_watchdog_may_use_its_own() -> None:
    sent, seen = ask(host="evil.example", hosts=HOSTS)
    assert (sent[0]["status"], seen) == (400, [])
    assert b"evil" not in sent[1]["body"], "what was asked for is not sent back"
    assert "content-security-policy" in headers_of(sent)
    sent, seen = ask(kind="websocket", path="/_stcore/stream", host="evil.example")
    assert ([message["type"] for message in sent], seen) == (["websocket.close"], [])
    sent, _ = ask(path="/healthz", host="healthcheck.railway.app")
    assert sent[0]["status"] == 200


def test_a_request_that_is_too_large_is_refused_when_it_says_so_and_cut_when_it_does_not() -> None:
    for length in (str(MAX_BODY_BYTES + 1), "9" * 5000):
        sent, seen = ask(more={"Content-Length": length})
        assert (sent[0]["status"], seen) == (413, [])
    _, seen = ask(body=[b"x" * (MAX_BODY_BYTES // 2)] * 3)
    assert [message["type"] for message in seen] == ["http.request", "http.request", "http.disconnect"]
    assert ask(more={"Content-Length": "nonsense"})[0][0]["status"] == 200, "the server itself refuses that"


def test_a_message_of_a_page_that_is_too_large_ends_its_connection() -> None:
    fits = {"type": "websocket.receive", "bytes": b"x" * MAX_MESSAGE_BYTES}
    large = {"type": "websocket.receive", "bytes": b"x" * (MAX_MESSAGE_BYTES + 1)}
    _, seen = ask(kind="websocket", received=[fits, large])
    assert [(message["type"], message.get("code")) for message in seen] == [
        ("websocket.receive", None),
        ("websocket.disconnect", 1009),
    ]
