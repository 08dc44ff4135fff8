"""``backups serve``: two children that are kept running and ended, and an address that is this machine's alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from services import serve
from services.errors import BackupsError, InputError
from tests.support.schedules import pause_schedules

ROOT = Path(__file__).resolve().parents[1]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def _until(what: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _has_started(child: serve.Child, times: int) -> bool:
    return child.starts == times and child.process is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "example.com", ""])
def test_without_sign_in_only_this_machine_is_served(address: str) -> None:
    with pytest.raises(InputError, match="Nobody signs in"):
        serve.check_address(address, _free_port())


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "127.0.0.9"])
def test_a_loopback_address_with_a_free_port_is_accepted(address: str) -> None:
    serve.check_address(address, _free_port())


def test_a_port_that_is_taken_is_refused_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError) as refused:
            serve.check_address("127.0.0.1", taken.getsockname()[1])
    assert "--port" in refused.value.hint


def test_a_child_that_dies_is_started_again_and_both_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "FIRST_PAUSE", 0.2)
    supervisor = serve.Supervisor({"worker": SLEEP, "dashboard": SLEEP}, os.environ)
    for child in supervisor.children:
        child.pause = 0.2
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        _until(lambda: all(child.process for child in supervisor.children))
        worker, dashboard = supervisor.children
        assert worker.process is not None
        assert dashboard.process is not None
        kept = dashboard.process.pid
        for start in (2, 3):
            if worker.process is not None:
                worker.process.kill()
            _until(partial(_has_started, worker, start))
        assert worker.pause == pytest.approx(0.8)  # doubled with each death
        assert dashboard.process.pid == kept
        last = worker.process.pid
    finally:
        supervisor.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert not psutil.pid_exists(last)
    assert not psutil.pid_exists(kept)


def test_a_child_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serve, "END_SECONDS", 0.5)
    ready = tmp_path / "ready"
    script = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w'); time.sleep(600)"
    supervisor = serve.Supervisor({"worker": [sys.executable, "-c", script]}, os.environ)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    _until(ready.exists)
    (child,) = supervisor.children
    assert child.process is not None
    supervisor.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert child.process.returncode == -signal.SIGKILL


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    if shutil.which("setpriv", path="/usr/bin:/bin") is None:
        pytest.skip("setpriv is not installed (Debian: util-linux)")
    script = textwrap.dedent(
        f"""
        import os
        from services import serve
        supervisor = serve.Supervisor({{"worker": {SLEEP!r}, "dashboard": {SLEEP!r}}}, os.environ)
        supervisor.run(ready=lambda: print(*[c.process.pid for c in supervisor.children], flush=True))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert len(children) == 2
    _until(lambda: all(child.cmdline() == SLEEP for child in children))  # before that they are setpriv, or our fork
    process.kill()
    process.wait(30)
    _until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))


def test_paths_are_made_absolute_for_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert serve.child_environment({})["BACKUPS_HOME"] == str(tmp_path / "var")
    (tmp_path / "b.toml").write_text(
        'home = "elsewhere"\n[[storages]]\nname = "local"\nurl = "file:///tmp/x"\n'
        '[[databases]]\nname = "d"\nurl = "postgresql://u:p@h/d"\nencrypt = false\n'
    )
    own = serve.child_environment({"BACKUPS_CONFIG": "b.toml"})
    assert own["BACKUPS_CONFIG"] == str(tmp_path / "b.toml")
    assert own["BACKUPS_HOME"] == str(tmp_path / "elsewhere")


def test_a_dashboard_that_never_answers_is_said() -> None:
    with pytest.raises(BackupsError, match="did not answer"):
        serve.wait_until_served("127.0.0.1", _free_port(), seconds=0.5, ended=lambda: False)
    serve.wait_until_served("127.0.0.1", _free_port(), seconds=30, ended=lambda: True)


def test_the_dashboard_is_served_and_the_worker_beats_until_ctrl_c(tmp_path: Path) -> None:
    """The real thing, on settings of its own: no sample environment, a database that is not needed to start."""
    port = _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "BACKUPS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": "postgresql://u:planted-password@127.0.0.1:1/la_factoria",
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    }
    pause_schedules(environment)
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "serve", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    written: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: written.extend(process.stdout or []))
    reader.start()
    try:
        _until(lambda: any(f"Dashboard: http://127.0.0.1:{port}" in line for line in written), seconds=90)
        _until(lambda: any("is ready" in line for line in written), seconds=90)
        children = psutil.Process(process.pid).children()
        arguments = [" ".join(child.cmdline()) for child in children]
        assert len(children) == 2
        assert not any("planted-password" in words for words in arguments)
        listening = {c.laddr.ip for child in children for c in child.net_connections("tcp") if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        reader.join(30)
    assert process.returncode == 0, written
    assert not any(child.is_running() for child in children)
    assert not any("Traceback" in line or "planted-password" in line for line in written)
