"""The dashboard's server, really started: the entry point, /healthz, /metrics, and its eye on the worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboard import monitor as monitoring
from dashboard.monitor import Monitor
from services import serve
from services.installation import Installation
from tests.pages.worlds import healthy
from tests.support.catalogs import make_catalog
from tests.support.sinks import WebServer, free_port, web_server

ROOT = Path(__file__).resolve().parents[2]
PASSWORD, TOKEN = "planted-Passw0rd", "Tok3n-planted-5512"


@contextmanager
def served(home: Path, **more: str) -> Iterator[tuple[str, list[str]]]:
    """Run `backups dashboard`; yield its URL and what it writes."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "BACKUPS_HOME": str(home / "home"),
        "DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/la_factoria",
        "BACKUP_STORAGE": f"file://{home / 'storage'}",
        "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    }
    command = [sys.executable, "-m", "services.cli.main", "dashboard", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    written: list[str] = []
    reader = threading.Thread(target=lambda: written.extend(process.stdout or []))
    reader.start()
    try:
        serve.wait_until_served("127.0.0.1", port, seconds=90, ended=lambda: process.poll() is not None)
        yield f"http://127.0.0.1:{port}", written
    finally:
        process.terminate()
        process.wait(30)
        reader.join(30)


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def until(what: object, *, seconds: float = 60) -> None:
    assert callable(what)
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_monitoring_is_answered_and_a_dead_worker_is_told_by_the_dashboard(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    catalog = make_catalog(f"sqlite:///{home / 'catalog.db'}")
    catalog.workers.beat("gone:1:1", version="0.1.0", now=datetime.now(UTC) - timedelta(minutes=10))
    catalog.close()
    with (
        web_server() as sink,
        served(tmp_path, BACKUP_ALERT_URLS=f"json://127.0.0.1:{sink.port}/{TOKEN}") as (url, written),
    ):
        status, kind, body = get(f"{url}/healthz")
        found = json.loads(body)
        assert (status, kind, found["status"], found["catalogue"]) == (200, "application/json", "ok", "ok")
        assert found["worst"] == "failure", "how backups stand is said, and is no matter of the status"
        status, kind, text = get(f"{url}/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        worker = [s for s in families["backups_check_state"].samples if s.labels["check"] == "worker"]
        assert [sample.value for sample in worker] == [2]
        until(lambda: len(titles(sink)) == 2)
        assert sorted(titles(sink)) == ["[FAILURE] Worker silent", "[FAILURE] la_factoria: No recent backup"]

        for path in ("/", "/health", "/inventory"):
            assert "<title>Streamlit</title>" in get(url + path)[2], "a page is drawn by the entry point alone"
        everything = text + body + "".join(written)
        assert PASSWORD not in everything
        assert TOKEN not in everything
        assert "Traceback" not in everything


def titles(sink: WebServer) -> list[str]:
    return [json.loads(request.body)["title"] for request in sink.requests]


def test_a_catalogue_that_is_away_is_no_health_and_a_metric_says_so(tmp_path: Path) -> None:
    away = "postgresql://u:planted-catalog@127.0.0.1:1/c"
    with served(tmp_path, CATALOG_URL=away) as (url, written):
        status, _, body = get(f"{url}/healthz")
        assert (status, json.loads(body)["status"]) == (503, "unavailable")
        assert "backups_catalogue_up 0" in get(f"{url}/metrics")[2]
        assert "planted-catalog" not in body + "".join(written)


def test_the_server_runs_the_entry_point_and_nothing_else() -> None:
    from dashboard.server import app

    assert Path(app.script_path) == ROOT / "dashboard" / "app.py"
    assert serve.dashboard_command("127.0.0.1", 1)[4] == str(ROOT / "dashboard" / "server.py")
    assert "--browser.gatherUsageStats=false" in serve.dashboard_command("127.0.0.1", 1)
    assert not (ROOT / "dashboard" / "pages").exists()


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    inst = healthy(tmp_path, days=3)
    monkeypatch.setattr(monitoring, "open_installation", lambda: inst)
    return Monitor()


def test_answers_are_at_most_fifteen_seconds_old_and_touch_no_storage(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Installation, "storage", lambda *_: pytest.fail("a storage was touched"))
    now = 1000.0
    monkeypatch.setattr(monitoring.time, "monotonic", lambda: now)
    first = monitor.look()
    now += 15
    assert monitor.look() is first
    now += 0.1
    assert monitor.look() is not first


def test_whoever_asks_does_not_wait_for_ever_behind_another(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "WAIT_SECONDS", 0.05)
    with monitor._lock:
        assert monitor.health()[0] == 503
    assert monitor.health()[0] == 200
