"""The dashboard's server as a stranger meets it: headers everywhere, names, origins, and errors without details."""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import streamlit
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from dashboard.edge import content_policy
from tests.dashboard.test_server import PASSWORD, served
from tests.support.catalogs import make_catalog

SCRIPT = next(Path(streamlit.__file__).parent.glob("static/static/js/index.*.js")).name
PATHS = (
    "/", "/inventory", "/healthz", "/metrics", "/_stcore/health", "/_stcore/host-config", f"/static/js/{SCRIPT}",
    "/media/nothing", "/component/nothing", "/app/static/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/no/such",
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "streamlit",
}  # fmt: skip


def request(address: str, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        upgraded = answer.status == 101
        return answer.status, dict(answer.getheaders()), "" if upgraded else answer.read().decode(errors="replace")
    finally:
        connection.close()


def draw(address: str, page: str, **headers: str) -> tuple[list[ForwardMsg], bytes]:
    """Return what a browser is sent until the page's script has ended."""
    wish = BackMsg()
    wish.rerun_script.page_name = page
    messages, raw = [], b""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    with connect(
        f"ws://{address}/_stcore/stream", subprotocols=["streamlit"], origin=f"http://{address}",
        additional_headers=more,
    ) as socket:  # fmt: skip
        socket.send(wish.SerializeToString())
        while True:
            data = socket.recv(timeout=60)
            message = ForwardMsg()
            message.ParseFromString(data)
            messages.append(message)
            raw += data
            if message.WhichOneof("type") == "script_finished":
                return messages, raw


def test_strangers_are_told_nothing_and_every_answer_is_guarded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    make_catalog(f"sqlite:///{home / 'catalog.db'}").close()
    more = {"BACKUPS_LOG_FORMAT": "json", "BACKUPS_HOSTS": "backups.localhost", "BACKUP_SCHEDULE": "off"}
    with served(tmp_path, **more) as (url, written):
        address = url.removeprefix("http://")
        for path in PATHS:
            status, headers, body = request(address, "GET", path)
            assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS, (path, status)
            assert "root:x:0" not in body

        for host, expected in (("backups.localhost", 200), ("evil.example", 400), ("backups.localhost.evil", 400)):
            assert request(address, "GET", "/", Host=host)[0] == expected
            status, _, _ = request(address, "GET", "/_stcore/stream", **UPGRADE, Host=host, Origin=f"http://{host}")
            assert status == (101 if expected == 200 else 403), "a page's socket, too"
        for origin in ("https://evil.example", "http://127.0.0.1:3000", f"http://{address}.evil.example", "null"):
            assert request(address, "GET", "/_stcore/stream", **UPGRADE, Origin=origin)[0] == 403, origin
        assert request(address, "PUT", "/_stcore/upload_file/session/file")[0] in (400, 403), "without the XSRF token"

        messages, _ = draw(address, "")
        started = next(message.new_session for message in messages if message.WhichOneof("type") == "new_session")
        assert started.config.gather_usage_stats is False

        with sqlite3.connect(home / "catalog.db") as catalogue:  # an error that nobody foresaw
            catalogue.execute("ALTER TABLE runs RENAME TO elsewhere")
        messages, raw = draw(address, "inventory")
        shown = [str(alert.body) for message in messages if (alert := message.delta.new_element.alert).title]
        assert len(shown) == 1, shown
        (incident,) = re.findall(r"\*\*([0-9a-z]{20})\*\*", shown[0])
        for told in (b"Traceback", b"OperationalError", b"sqlite", b"no such table", b"services/", PASSWORD.encode()):
            assert told not in raw, told
        entry = logged(written, incident)
        assert "no such table" in entry["error"]
        assert entry["error"].startswith("Traceback")
    assert PASSWORD not in "".join(written)
    for line in written:
        assert json.loads(line)["level"], "each line is an object"


def logged(written: list[str], incident: str) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in written:
            if incident in line:
                return json.loads(line)
        time.sleep(0.1)
    raise AssertionError(f"{incident} is not in the log")
