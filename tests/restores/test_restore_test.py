"""The restore test against real servers: what passes, what fails and how it is named."""

from __future__ import annotations

from pathlib import Path

from services.postgres.server import LocalServer
from services.restores.report import RestoreReport
from tests.restores.lab import SCHEMA, make_lab, on_server
from tests.support.servers import NewDatabase


def test_a_whole_backup_passes_and_is_proven(
    server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    lab = make_lab(tmp_path, database(server15, SCHEMA), **on_server(server18.address))
    backup = lab.back_up()
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "passed", verification.reason
    report = RestoreReport.from_json(verification.detail)
    print(report.summary, report)
