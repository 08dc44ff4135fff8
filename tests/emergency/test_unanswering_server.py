"""A server that stops answering keeps nobody for ever: each visit to it has an end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from services.emergency import read_only
from services.emergency.read_only import read_facts, visit
from services.errors import BackupsError
from services.installation import Installation


def test_a_session_that_stops_answering_is_left(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only, "CONNECTION_SECONDS", 1.0)
    database = installation.settings.databases[0]
    began = time.monotonic()
    backend: list[int] = []

    def ask_a_stopped_session() -> None:
        with visit(database) as connection:
            backend.append(connection.info.backend_pid)
            os.kill(backend[0], signal.SIGSTOP)
            read_facts(connection, database)

    try:
        with pytest.raises(BackupsError, match="the connection to it was lost"):
            ask_a_stopped_session()
    finally:
        os.kill(backend[0], signal.SIGCONT)
    assert time.monotonic() - began < 30
