"""Which use case works on which kind of run. A use case returns what the run's row keeps as its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.backups.adopt import adopt_file
from services.backups.create import create_backup, verify_new_backup
from services.backups.request import BackupRequest
from services.catalog.model import Run, RunKind, Verification
from services.installation import Installation
from services.janitor import sweep
from services.jobs.active_run import ActiveRun
from services.restores.restore import restore_backup
from services.retention.cleanup import clean_up
from services.retention.request import CleanupRequest
from services.verification.levels import verify_backup

UseCase = Callable[[Installation, Run, ActiveRun], dict[str, Any]]


def _backup(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    request = BackupRequest.from_params(run.params)
    if run.backup_id is None:
        backup = create_backup(installation, request, active)
    else:  # an earlier attempt got as far as the verification
        backup = verify_new_backup(installation, installation.catalog.backups.get(run.backup_id), active)
    return {"backup_id": backup.id, "name": backup.name, "stored_bytes": backup.stored_bytes}


def _verification(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    backup = installation.catalog.backups.get(run.backup_id or "")
    return _found(verify_backup(installation, backup, run.params["level"], run.params.get("storage"), active))


def _found(verification: Verification) -> dict[str, Any]:
    return {"verification_id": verification.id, "outcome": verification.outcome, "reason": verification.reason}


def _restore(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    backup = installation.catalog.backups.get(run.backup_id or "")
    server_url = installation.settings.restore_test_url if run.params.get("server") == "restore-test" else None
    report = restore_backup(
        installation,
        backup,
        run.params["target"],
        active,
        server_url=server_url.get_secret_value() if server_url else None,
    )
    return {"target": run.params["target"], "outcome": report.outcome, "report": report.to_json()}


def _adopt(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    backup = adopt_file(
        installation,
        Path(run.params["path"]),
        run.database or "",
        active,
        name=run.params["name"],
        note=run.params.get("note", ""),
    )
    return {"backup_id": backup.id, "name": backup.name, "stored_bytes": backup.stored_bytes}


def _janitor(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    return sweep(installation, apply=bool(run.params.get("apply", True)), run=active).to_json()


def _cleanup(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    return clean_up(installation, CleanupRequest.from_params(run.params), active).to_json()


USE_CASES: dict[RunKind, UseCase] = {
    "backup": _backup,
    "verification": _verification,
    "restore_test": _verification,
    "restore": _restore,
    "adopt": _adopt,
    "janitor": _janitor,
    "cleanup": _cleanup,
}
