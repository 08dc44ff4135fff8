"""The outside watchdog hears from a worker that lives while nothing has failed, and nothing else."""

from __future__ import annotations

import socket
import threading

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

import services.alerts.watch as watching
from services.alerts.watch import TICK_SECONDS, AlertWatch
from services.health.model import INSTALLATION, HealthCheck, make_report
from services.installation import Installation
from services.notify.heartbeat import address, beat
from tests.support.sinks import WebServer
from tests.support.time import TestClock

TOKEN = "0f5c2e7a-planted-uuid"


@pytest.fixture
def watched(inst: Installation, web: WebServer) -> Installation:
    alerts = inst.settings.alerts.model_copy(
        update={"email": (), "urls": (), "heartbeat_url": SecretStr(f"http://127.0.0.1:{web.port}/ping/{TOKEN}?x=1")}
    )
    inst.settings = inst.settings.model_copy(update={"alerts": alerts})
    return inst


@pytest.mark.parametrize(
    ("severity", "path"),
    [("ok", f"/ping/{TOKEN}?x=1"), ("warning", f"/ping/{TOKEN}?x=1"), ("failure", f"/ping/{TOKEN}/fail?x=1"),
     ("unknown", f"/ping/{TOKEN}/fail?x=1")],
)  # fmt: skip
def test_the_watchdog_is_told_how_things_stand(
    watched: Installation, web: WebServer, clock: TestClock, severity: str, path: str
) -> None:
    check = HealthCheck("x", INSTALLATION, severity, "secret sentence")  # type: ignore[arg-type]
    assert beat(watched, make_report(clock(), [check]), by="w") is True
    [request] = web.requests
    assert request.path == path
    assert b"secret sentence" not in request.body, "what is wrong stays here"


def test_several_workers_ping_once_in_each_interval(watched: Installation, web: WebServer, clock: TestClock) -> None:
    report = make_report(clock(), [HealthCheck("x", INSTALLATION, "ok", "fine")])
    assert [beat(watched, report, by=f"w{n}") for n in range(3)] == [True, None, None]
    clock.forward(minutes=5)
    assert [beat(watched, report, by=f"w{n}") for n in range(3)] == [True, None, None]
    assert len(web.requests) == 2


def test_a_watchdog_that_is_away_or_refuses_stops_nobody_and_is_not_named(
    watched: Installation, web: WebServer, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    report = make_report(clock(), [HealthCheck("x", INSTALLATION, "ok", "fine")])
    web.status = 500
    assert beat(watched, report, by="w") is False
    web.close()
    clock.forward(minutes=5)
    assert beat(watched, report, by="w") is False
    assert "500" in caplog.text
    assert TOKEN not in caplog.text


def test_what_answers_but_speaks_no_http_stops_nobody(
    watched: Installation, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = SecretStr(f"http://127.0.0.1:{server.getsockname()[1]}/{TOKEN}")
        alerts = watched.settings.alerts.model_copy(update={"heartbeat_url": url})
        watched.settings = watched.settings.model_copy(update={"alerts": alerts})

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        assert beat(watched, make_report(clock(), []), by="w") is False
        answering.join(10)
    assert "BadStatusLine" in caplog.text


def test_a_worker_says_that_its_catalogue_is_away_and_the_dashboard_pings_never(
    watched: Installation, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    worker, page = (AlertWatch(watched, by=by, heartbeat=by == "w", clock=lambda: now) for by in ("w", "page"))
    page.tick()
    assert web.requests == []
    worker.tick()
    assert len(web.requests) == 1

    def away(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    monkeypatch.setattr("services.alerts.watch.evaluate", away)
    for each in (worker, page):
        now += TICK_SECONDS
        with pytest.raises(OperationalError):
            each.tick()
    assert [request.path for request in web.requests][1:] == [f"/ping/{TOKEN}/fail?x=1"]
    now += TICK_SECONDS
    with pytest.raises(OperationalError):
        worker.tick()
    assert len(web.requests) == 2, "not with every tick"


def test_the_watchdog_is_told_before_a_slow_delivery_begins(
    watched: Installation, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(watching, "deliver_due", lambda _installation: told.append(len(web.requests)))
    AlertWatch(watched, by="w", heartbeat=True).tick()
    assert told == [1]


def test_a_process_looks_no_oftener_than_it_should(watched: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("services.alerts.watch.evaluate", lambda *_, **__: looks.append(1))
    monkeypatch.setattr("services.alerts.watch.deliver_due", lambda *_: None)
    now = 0.0
    watch = AlertWatch(watched, by="w", heartbeat=False, clock=lambda: now)
    for _ in range(7):
        watch.tick()
        now += 5
    assert len(looks) == 3


def test_fail_goes_to_the_end_of_the_path() -> None:
    assert address("https://hc-ping.com/uuid/", well=False) == "https://hc-ping.com/uuid/fail"
    assert address("https://hc-ping.com/uuid", well=True) == "https://hc-ping.com/uuid"
