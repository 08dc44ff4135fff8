"""Which use case works on which kind of run. A use case returns what the run's row keeps as its result."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.alerts.store import forget_old
from services.backups.adopt import adopt_file
from services.backups.archive_backups import Wish, archive_backups
from services.backups.compress_backup import compress_backups
from services.backups.copy_backup import copy_backup
from services.backups.create import create_backup, verify_new_backup
from services.backups.locking import lock_copies
from services.backups.missing_copies import queue_copies
from services.backups.request import BackupRequest
from services.backups.thaw_backup import describe_thaw, thaw_backup
from services.backups.thaw_state import expected_at
from services.catalog.model import Backup, Run, RunKind, Verification
from services.clock import isoformat
from services.commands.gate import following
from services.emergency.backup import emergency_backup
from services.emergency.request import EmergencyRequest
from services.health.probe import check_health
from services.installation import Installation
from services.janitor import sweep
from services.jobs.active_run import ActiveRun
from services.jobs.kept_versions import KeptVersions
from services.keys.rotate import rotate_backups
from services.pitr.base_backup import create_base_backup
from services.pitr.expire import expire_windows
from services.pitr.point_runs import hold_point_test, perform_point_restore
from services.restores.parts import PartRequest
from services.restores.restore import restore_backup
from services.retention.cleanup import clean_up
from services.retention.report import add_windows
from services.retention.request import CleanupRequest
from services.verification.levels import verify_backup

UseCase = Callable[[Installation, Run, ActiveRun], dict[str, Any]]


def _backup(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    request = BackupRequest.from_params(run.params)
    if run.backup_id is None and "emergency" in run.params:
        backup = emergency_backup(installation, EmergencyRequest.from_params(run.params, run.reason), active)
    elif run.backup_id is None:
        backup = create_backup(installation, request, active)
    else:
        backup = _verify_made(installation, run.backup_id, active)
    _copy_later(installation, run, backup, active)
    return _made(backup)


def _verify_made(installation: Installation, backup_id: str, active: ActiveRun) -> Backup:
    """Do what is left when an earlier attempt got as far as a stored backup: its closing verification."""
    return verify_new_backup(installation, installation.catalog.backups.get(backup_id), active)


def _made(backup: Backup) -> dict[str, Any]:
    return {"backup_id": backup.id, "name": backup.name, "stored_bytes": backup.stored_bytes}


STORES: tuple[RunKind, ...] = ("backup", "adopt", "base_backup", "copy", "compress", "rotate", "health")
"""After these, what is to be locked in its storage is (``services.backups.locking``)."""
DELETES: tuple[RunKind, ...] = ("cleanup", "compress", "rotate", "janitor")
"""Of these it is said where what they deleted or replaced stays as an older version."""


def carry_out_use_case(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    """Do what a run is for, and lock what it stored; return what its row keeps as its result."""
    kept = KeptVersions(installation)
    result = USE_CASES[run.kind](installation, run, active)
    result |= kept.tell(active) if run.kind in DELETES else {}
    if run.kind in STORES:
        lock_copies(installation, active)
    return result


def _copy_later(installation: Installation, run: Run, backup: Backup, active: ActiveRun) -> None:
    """Queue the further copies of a backup that the worker has made; in the foreground whoever asked for it goes on."""
    if run.params.get("queued"):
        with following():
            queued = queue_copies(installation, backup.id, actor=run.actor)
        for run_id in queued:
            storage = installation.catalog.runs.get(run_id).params["storage"]
            active.log(f"A copy in {storage} is queued (run {run_id}).")


def _copy(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    copy = copy_backup(installation, run.backup_id or "", run.params["storage"], active)
    words = f"{copy.location}, {copy.state}"
    return {"storage": copy.storage, "location": copy.location, "stored_bytes": copy.bytes, "reason": words}


def _archive(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    wishes = [Wish(*values) for values in run.params["moves"]]
    older_than = timedelta(seconds=run.params["older_than_seconds"])
    return _summed_up(archive_backups(installation, wishes, older_than, active).to_json())


def _compress(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    return _summed_up(compress_backups(installation, run.params["backups"], active).to_json())


def _rotate(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    return _summed_up(rotate_backups(installation, run.params["backups"], active).to_json())


def _summed_up(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a run over several backups; one of which something failed is not shown as a success."""
    failed = report["failed"]
    if not failed:
        return report
    return report | {"outcome": "failed", "reason": f"{len(failed)} could not be done; {failed[0]}"}


def _thaw(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    backup = installation.catalog.backups.get(run.backup_id or "")
    days, tier = run.params["days"], run.params["tier"]
    copy = thaw_backup(installation, backup, run.params["storage"], active, days=days, tier=tier)
    return {
        "storage": copy.storage,
        "thawed": copy.thawed_at is not None,
        "expected_at": isoformat(expected_at(copy)),
        "thawed_until": isoformat(copy.thawed_until),
        "reason": describe_thaw(copy, backup.name),
    }


def _verification(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    backup = installation.catalog.backups.get(run.backup_id or "")
    level, storage = run.params["level"], run.params.get("storage")
    wait = bool(run.params.get("wait_for_thaw"))
    return _found(verify_backup(installation, backup, level, storage, active, wait_for_thaw=wait))


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
        storage=run.params.get("storage"),
        wait_for_thaw=bool(run.params.get("wait_for_thaw")),
        request=PartRequest(tuple(run.params.get("tables", ())), tuple(run.params.get("schemas", ()))),
    )
    return {"target": run.params["target"], "outcome": report.outcome, "report": report.to_json()}


def _adopt(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    if run.backup_id is not None:
        return _made(_verify_made(installation, run.backup_id, active))
    backup = adopt_file(
        installation,
        Path(run.params["path"]),
        run.database or "",
        active,
        name=run.params["name"],
        note=run.params.get("note", ""),
    )
    _copy_later(installation, run, backup, active)
    return _made(backup)


def _janitor(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    apply = bool(run.params.get("apply", True))
    report = sweep(installation, apply=apply, run=active)
    if apply:
        gone, messages = forget_old(installation.catalog.engine, installation.clock())
        if gone or messages:
            active.log(f"Forgot {gone} alerts resolved over two years ago, {messages} messages of over 90 days.")
    return report.to_json()


def _health(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    return check_health(installation, run, active)


def _cleanup(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    request = CleanupRequest.from_params(run.params)
    report = clean_up(installation, request, active).to_json()
    if request.apply and not request.by_hand and request.only is None:
        windows = expire_windows(installation, request.database, active)
        report = add_windows(report, [window.to_json() for window in windows])
    return report


def _base_backup(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    if run.backup_id is not None:
        return _made(_verify_made(installation, run.backup_id, active))
    backup = create_base_backup(
        installation,
        run.database or "",
        active,
        name=run.params.get("name"),
        note=run.params.get("note", ""),
        incremental=bool(run.params.get("incremental")),
    )
    _copy_later(installation, run, backup, active)
    return _made(backup)


USE_CASES: dict[RunKind, UseCase] = {
    "backup": _backup,
    "verification": _verification,
    "restore_test": _verification,
    "restore": _restore,
    "adopt": _adopt,
    "janitor": _janitor,
    "health": _health,
    "copy": _copy,
    "archive": _archive,
    "thaw": _thaw,
    "cleanup": _cleanup,
    "compress": _compress,
    "base_backup": _base_backup,
    "point_test": hold_point_test,
    "point_restore": perform_point_restore,
    "rotate": _rotate,
}
