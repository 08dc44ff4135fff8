"""Local servers: started once, found again, ended."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services.errors import BackupsError, ConnectionFailed, TimedOut
from services.postgres import server as server_module
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import private_shelter, server_user
from tests.support.servers import VERSIONS, bin_dir, make_server


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_starts_and_answers(server: Callable[[int], LocalServer], version: int) -> None:
    with connect(server(version).address) as connection:
        assert connection.info.server_version // 10000 == version
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_starting_twice_leaves_one_server(tmp_path: Path) -> None:
    first = make_server(18, tmp_path / "data")
    try:
        again = LocalServer(first.bin_dir, tmp_path / "data")
        again.start()
        assert again.address.port == first.address.port
    finally:
        first.destroy()
    assert not again.running


def test_two_starts_at_once_leave_one_server(tmp_path: Path) -> None:
    servers = [LocalServer(bin_dir(18), tmp_path / "data") for _ in range(3)]
    threads = [threading.Thread(target=s.start) for s in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({s.address.port for s in servers}) == 1
    finally:
        servers[0].destroy()


def test_it_listens_on_the_loopback_only_and_wants_the_password(server18: LocalServer) -> None:
    with connect(server18.address) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    address = server18.address
    wrong = type(address)(address.host, address.port, address.user, None, address.dbname)
    with pytest.raises(ConnectionFailed, match="wants a password"):
        connect(wrong)


def test_the_password_file_is_private_and_the_password_in_no_argument(tmp_path: Path) -> None:
    server = make_server(18, tmp_path / "data")
    try:
        files = list(server.data_dir.parent.glob("data.password"))
        assert [stat.S_IMODE(f.stat().st_mode) for f in files] == [0o600]
        password = server.address.password
        assert password is not None
        for process in psutil.process_iter(["cmdline"]):
            assert not any(password.get_secret_value() in word for word in process.info["cmdline"] or ())
    finally:
        server.destroy()


def test_a_killed_server_starts_again_beside_its_stale_pid_file(tmp_path: Path) -> None:
    server = make_server(18, tmp_path / "data")
    try:
        lines = (server.data_dir / "postmaster.pid").read_text().splitlines()
        server.stop()
        # The id of a living process that is no server: ours.
        (server.data_dir / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        assert not server.running
        server.start()
        assert server.running
    finally:
        server.destroy()


def test_a_server_killed_with_minus_9_is_not_running(tmp_path: Path) -> None:
    server = make_server(18, tmp_path / "data")
    try:
        pid = int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs([process], timeout=10)
        assert not server.running
        with pytest.raises(ConnectionFailed, match="does not run"):
            _ = server.address
        server.start()
        assert server.running
    finally:
        server.destroy()


def test_a_wrong_option_is_reported_with_the_servers_own_words(tmp_path: Path) -> None:
    server = LocalServer(bin_dir(18), tmp_path / "data", options={"shared_buffers": "very much"})
    try:
        with pytest.raises(BackupsError) as caught:
            server.start()
        assert "shared_buffers" in caught.value.hint
    finally:
        server.destroy()


def test_destroying_leaves_nothing(tmp_path: Path) -> None:
    server = make_server(18, tmp_path / "data")
    folder = server.data_dir.parent
    server.destroy()
    assert not folder.exists() or not any(folder.iterdir())


def test_a_shelter_that_somebody_else_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.postgres.server_user.SHELTER", tmp_path)
    user = server_user()
    made = private_shelter("a purpose", user)
    assert private_shelter("a purpose", user) == made
    made.chmod(0o777)
    with pytest.raises(BackupsError, match="not a private folder"):
        private_shelter("a purpose", user)


def test_a_program_of_the_server_that_hangs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "RUN_SECONDS", 0.01)
    server = LocalServer(bin_dir(18), tmp_path / "data")
    with pytest.raises(TimedOut, match="initdb did not end within") as caught:
        server.start()
    assert caught.value.hint
    server.destroy()
