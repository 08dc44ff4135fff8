"""An emergency backup on a real server: writes stop while it is made, and go on after it, whatever becomes of it."""

from __future__ import annotations

import pytest

from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.postgres.connection import Address
from tests.emergency.conftest import can_write, emergency, setting


def test_writes_stop_while_an_emergency_backup_is_made_and_go_on_after_it(
    installation: Installation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, bool] = {}
    enter = ActiveRun.phase

    def phase(self: ActiveRun, name: str, *, total_bytes: int | None = None) -> None:
        seen[name] = can_write(source)
        enter(self, name, total_bytes=total_bytes)

    monkeypatch.setattr(ActiveRun, "phase", phase)
    run = emergency(installation)
    assert run.state == "finished", (run.error, installation.catalog.runs.log(run.id))
    print(seen, *installation.catalog.runs.log(run.id), sep="\n")
    assert seen["checking"] is False
    assert seen["dumping"] is False
    assert seen["verifying"] is False
    assert can_write(source)
    assert setting(source) == []
    (mode,) = installation.catalog.read_only_modes.of_run(run.id)
    assert (mode.released_by, mode.sql_step) == ("its run", False)
    (backup,) = installation.catalog.backups.list()
    assert (backup.type, [copy.storage for copy in backup.copies]) == ("emergency", ["primary", "second"])
    assert {copy.state for copy in backup.copies} == {"stored"}
    assert backup.verification_passed is True
    levels = {(v.storage, v.level) for v in installation.catalog.verifications.list(backup_id=backup.id)}
    assert levels == {("primary", "checksum"), ("second", "stored")}
