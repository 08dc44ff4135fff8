"""Downloads: by a link that works once and for a short time, or into a file; each of them is in the audit log."""

from __future__ import annotations

import hashlib
import http.client
import io
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from dashboard import downloads as route
from services import commands
from services.access.roles import Role
from services.audit.address import client_address
from services.audit.model import AuditRow
from services.audit.verify import verify
from services.catalog.model import Backup
from services.downloads.links import GOOD_FOR, Link, write_link
from services.errors import AlreadyExists, CorruptBackup, InputError, NotPermitted
from services.installation import Installation
from services.jobs.unwatched import Unwatched
from services.settings.access import AccessSettings
from services.stream.write import write_stream
from tests.access.people import add
from tests.audit.test_wishes import log, seen
from tests.pages.worlds import add_backup
from tests.support.installations import make_installation
from tests.support.sinks import free_port
from tests.support.time import TestClock

DUMP = b"PGDMP" + bytes(range(256)) * 20_000
"""5 MB of what is to be a dump: only its bytes matter here."""


def store(inst: Installation, data: bytes = DUMP, *, encrypt: bool = True) -> Backup:
    """Store a backup of these bytes as a real one is stored, and note it in the catalogue."""
    name = f"la_factoria_backup_{len(inst.catalog.backups.list())}"
    key = f"la_factoria/{name}.dump.zst{'.age' if encrypt else ''}"
    storage = inst.storage("primary")
    recipients = inst.settings.recipients if encrypt else ()
    writer = storage.writer(key)
    result = write_stream(io.BytesIO(data), writer, level=1, recipients=recipients, run=Unwatched())
    writer.commit()
    backup = add_backup(
        inst, "la_factoria", inst.clock(), name=name, stored_bytes=result.stored_bytes, sha256=result.stored_sha256,
        plain_bytes=result.plain_bytes, plain_sha256=result.plain_sha256, recipients=recipients, copies=(),
        encryption="age" if encrypt else "none",
    )  # fmt: skip
    copy = replace(
        add_backup(inst, "la_factoria", inst.clock(), name="template").copies[0], storage="primary", key=key,
        location=storage.location(key), bytes=result.stored_bytes,
    )  # fmt: skip
    inst.catalog.backups.add(replace(backup, copies=(copy,)))
    return inst.catalog.backups.get(backup.id)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def inst(tmp_path: Path, clock: TestClock) -> Iterator[Installation]:
    made = make_installation(tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def server(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The route, served over HTTP."""
    monkeypatch.setattr(route, "opened", lambda: inst)
    port = free_port()
    app = Starlette(routes=[Route(route.PATH, route.download)])
    running = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(20)


def get(url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def downloads(inst: Installation) -> list[AuditRow]:
    return [row for row in log(inst) if row.action == "download"]


def last_download(inst: Installation) -> AuditRow:
    """Return the row that ends a download, once it is written: the browser has its bytes a moment before."""
    deadline = time.monotonic() + 20
    while (rows := downloads(inst))[-1:] == [] or rows[-1].outcome == "begun":
        assert time.monotonic() < deadline, rows
        time.sleep(0.02)
    return rows[-1]


def test_a_backup_is_fetched_once_as_it_is_stored_and_all_of_it_is_recorded(inst: Installation, server: str) -> None:
    backup = store(inst)
    ticket = commands.ask_download(inst, backup.id, actor="ada")
    assert (ticket.presigned, ticket.bytes) == (False, backup.stored_bytes)
    assert get(server + ticket.url, "HEAD")[0] == 405, "a look ahead does not use it up"
    status, headers, body = get(server + ticket.url)
    assert (status, hashlib.sha256(body).hexdigest()) == (200, backup.sha256)
    assert headers["content-length"] == str(backup.stored_bytes)
    assert 'filename="la_factoria_backup_0.dump.zst.age"' in headers["content-disposition"]
    assert last_download(inst).outcome == "done"
    asked, begun, done = log(inst)
    assert seen(asked) == ("ada", "backup.download", "backup", backup.name, "done")
    assert seen(begun) == ("ada", "download", "backup", backup.name, "begun")
    assert (begun.origin, done.values["bytes"], done.values["link"]) == ("127.0.0.1", len(body), asked.values["link"])
    status, _, words = get(server + ticket.url)
    assert (status, b"used already" in words) == (403, True)
    assert downloads(inst)[-1].outcome == "refused"
    assert verify(inst).severity == "ok"


def test_a_link_that_expired_was_changed_or_made_elsewhere_is_refused(
    inst: Installation, server: str, clock: TestClock, tmp_path: Path
) -> None:
    backup = store(inst)
    ticket = commands.ask_download(inst, backup.id, actor="ada")
    link = ticket.url.rpartition("/")[2]
    body, _, signature = link.partition(".")
    (tmp_path / "other").mkdir()
    other = make_installation(tmp_path / "other")
    foreign = write_link(other, Link("x", backup.id, "primary", "plain", "ada", int(clock().timestamp()) + 99, 0))
    other.close()
    for bad in (
        foreign,
        f"{body}A.{signature}",
        f"{body}.{signature[:-2]}AA",
        body,
        ".",
        "é" * 3000,
        f"{body}.{'A' * 43}",
    ):
        status, _, words = get(f"{server}/download/{urllib.request.quote(bad)}")
        assert (status, b"not made here" in words) == (403, True), bad
    assert downloads(inst) == [], "what anybody can send fills no audit log"
    clock.forward(seconds=GOOD_FOR.total_seconds() + 1)
    status, _, words = get(server + ticket.url)
    assert (status, b"expired" in words) == (403, True)


def test_two_who_use_one_link_at_once_get_it_once(inst: Installation, server: str) -> None:
    url = server + commands.ask_download(inst, store(inst).id, actor="ada").url
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(get(url)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [200, 403, 403, 403]


def test_a_decrypted_backup_is_for_admins_with_a_reason(inst: Installation, server: str) -> None:
    backup = store(inst)
    with pytest.raises(InputError, match="reason"):
        commands.ask_download(inst, backup.id, form="plain", actor="ada")
    ticket = commands.ask_download(inst, backup.id, form="plain", actor="ada", reason="a support case")
    status, headers, body = get(server + ticket.url)
    assert (status, body == DUMP) == (200, True)
    assert "content-length" not in headers
    assert f'"{backup.name}.dump"' in str(headers)
    asked = next(row for row in log(inst) if row.action == "backup.decrypt" and row.outcome == "done")
    assert (asked.reason, asked.target) == ("a support case", backup.name)
    assert last_download(inst).values["form"] == "plain"


def test_a_backup_without_encryption_is_handed_out_as_a_decrypted_one_alone(inst: Installation) -> None:
    backup = store(inst, encrypt=False)
    with pytest.raises(InputError, match="not encrypted"):
        commands.ask_download(inst, backup.id, actor="ada")
    assert commands.ask_download(inst, backup.id, form="plain", actor="ada", reason="why not").url


def test_who_may_no_longer_is_refused_though_the_link_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inst = make_installation(tmp_path, access=AccessSettings(mode="proxy", admins=("boss",)))
    backup = store(inst)
    add(inst, "proxy:eve", "viewer")
    with pytest.raises(NotPermitted):
        commands.ask_download(inst, backup.id, actor="proxy:eve")
    commands.set_role(inst, "eve", Role.OPERATOR, actor="proxy:boss")
    with pytest.raises(NotPermitted, match="role admin"):
        commands.ask_download(inst, backup.id, form="plain", actor="proxy:eve", reason="x")
    ticket = commands.ask_download(inst, backup.id, actor="proxy:eve")
    commands.disable_person(inst, "eve", actor="proxy:boss")
    with pytest.raises(NotPermitted):
        route.begin(inst, ticket.url.rpartition("/")[2], origin="10.0.0.1")
    assert seen(downloads(inst)[-1]) == ("proxy:eve", "download", "backup", backup.name, "refused")


def test_a_download_that_is_broken_off_is_recorded_as_such_and_reads_no_further(
    inst: Installation, server: str
) -> None:
    noise = hashlib.shake_256(b"noise").digest(40_000_000)
    backup = store(inst, noise)
    for form in ("stored", "plain"):
        ticket = commands.ask_download(inst, backup.id, form=form, actor="ada", reason="x")
        host, port = server.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET {ticket.url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            connection.recv(100_000)
        ended = last_download(inst)
        assert (ended.outcome, ended.values["error"]) == ("failed", "broken off by the browser")
        assert ended.values["bytes"] < len(noise)
    deadline = time.monotonic() + 20
    while any(thread.name == "download" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "nothing goes on reading"
        time.sleep(0.05)


def test_a_damaged_backup_never_arrives_whole(inst: Installation, server: str) -> None:
    backup = store(inst)
    path = Path(backup.copies[0].location.removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for form in ("stored", "plain"):
        ticket = commands.ask_download(inst, backup.id, form=form, actor="ada", reason="x")
        with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError)):
            get(server + ticket.url)
        ended = last_download(inst)
        assert ended.outcome == "failed"
        assert "not what was recorded" in ended.values["error"] or "damaged" in ended.values["error"].lower()


def test_a_file_is_whole_and_right_or_not_there(inst: Installation, tmp_path: Path) -> None:
    backup = store(inst)
    target = tmp_path / "out.age"
    size, digest = commands.download_to_file(inst, backup.id, target, actor="ada")
    assert (size, digest) == (backup.stored_bytes, backup.sha256)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [(row.action, row.outcome) for row in log(inst)] == [
        ("backup.download", "begun"),
        ("backup.download", "done"),
    ]
    with pytest.raises(AlreadyExists):
        commands.download_to_file(inst, backup.id, target, actor="ada")
    commands.download_to_file(inst, backup.id, tmp_path / "out.dump", form="plain", actor="ada", reason="x")
    assert (tmp_path / "out.dump").read_bytes() == DUMP
    path = Path(backup.copies[0].location.removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptBackup):
        commands.download_to_file(inst, backup.id, tmp_path / "cut.age", actor="ada")
    assert not (tmp_path / "cut.age").exists()
    assert (log(inst)[-1].outcome, log(inst)[-1].reason) == ("failed", "")


def test_the_address_of_a_request_is_the_connections_unless_a_trusted_proxy_says_whose() -> None:
    trusted = ["10.0.0.0/24", "::1"]
    for peer, forwarded, address in (
        ("192.0.2.7", ["203.0.113.9"], "192.0.2.7"),
        ("10.0.0.5", ["203.0.113.9"], "203.0.113.9 (through 10.0.0.5)"),
        ("10.0.0.5", ["6.6.6.6, 203.0.113.9, 10.0.0.6"], "203.0.113.9 (through 10.0.0.5)"),
        ("10.0.0.5", ["6.6.6.6", "203.0.113.9"], "203.0.113.9 (through 10.0.0.5)"),
        ("10.0.0.5", ["<b>x</b>"], "10.0.0.5"),
        ("10.0.0.5", ["203.0.113.9, <script>"], "10.0.0.5"),
        ("10.0.0.5", [], "10.0.0.5"),
        ("::1", ["2001:db8::7"], "2001:db8::7 (through ::1)"),
        ("", [], "unknown"),
    ):
        assert client_address(peer, forwarded, trusted) == address
    assert client_address("10.0.0.5", ["203.0.113.9"], []) == "10.0.0.5"
    assert timedelta(minutes=5) >= GOOD_FOR
