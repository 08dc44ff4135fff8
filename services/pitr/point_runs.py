"""The runs that restore to a point in time: as a test, whose outcome the base backup keeps, or for real."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from services.catalog.model import Backup, Outcome, Run, Verification
from services.errors import BackupsError
from services.ids import new_id
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.pitr.errors import BaseIsBad
from services.pitr.point_report import PointReport
from services.pitr.restore_point import PointPlan, plan_point, restore_to_point
from services.pitr.target import RecoveryTarget
from services.verification.finding import failed_by
from services.verification.record import record_verification


def hold_point_test(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    """Hold a restore test; the outcome is a verification of the base backup, of level ``restore``.

    What is the log's fault, or the point's, is raised: it says nothing of the base backup.
    """
    plan = _plan(installation, run, active)
    started_at = installation.clock()
    try:
        report = restore_to_point(installation, plan, active)
    except BaseIsBad as error:
        cause = error.__cause__
        assert isinstance(cause, BackupsError)  # it is raised from what was found
        found = failed_by(cause)
        tested = installation.catalog.backups.get(error.backup_id)
        verification = _verification(
            installation, active, tested, error.storage, "failed", f"Restore to {plan.target.label}: {found.reason}",
            found.to_detail() | {"target": plan.target.label}, started_at,
        )  # fmt: skip
        result: dict[str, Any] = {}
    else:
        _refuse_unreadable(report)
        result = {"report": report.to_json()}
        tested = plan.base.backup
        verification = _verification(
            installation, active, tested, plan.parts[-1].copy.storage, "passed", report.summary,
            report.to_json() | {"copy_state": "stored"}, started_at,
        )  # fmt: skip
    active.log(
        f"Restore test {verification.outcome}: {verification.reason}",
        "info" if verification.outcome == "passed" else "error",
    )
    record_verification(installation, tested, verification, active)
    return result | {
        "verification_id": verification.id,
        "outcome": verification.outcome,
        "reason": verification.reason,
    }


def perform_point_restore(installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
    """Restore into the folder that was asked for; the server is ended, and the folder is ready to be started."""
    plan = _plan(installation, run, active)
    into = Path(run.params["into"])
    report = restore_to_point(installation, plan, active, into=into)
    steps = [*([report.warning] if report.warning else []), *next_steps(plan, into)]
    for line in steps:
        active.log(line)
    return {"report": report.to_json(), "reason": report.summary, "next_steps": steps}


def next_steps(plan: PointPlan, into: Path) -> list[str]:
    """Return what to do with a restored folder, in order, as a person reads it."""
    pg_ctl = plan.programs.bin_dir / "pg_ctl"
    steps = []
    if not (into / "postgresql.conf").exists():
        steps.append(
            f"The source keeps its configuration outside of the data folder (Debian: /etc/postgresql). Put its "
            f"postgresql.conf and pg_hba.conf into {into}."
        )
    steps += [
        f"See {into}/postgresql.conf and postgresql.auto.conf: port, archive_command, libraries are as they were.",
        f"Start it, as the user that owns the folder: {pg_ctl} -D {into} -l {into}/server.log start",
        f"Point the application at it, then take a base backup: backups pitr base-backup {plan.base.backup.database}",
    ]
    return steps


def _plan(installation: Installation, run: Run, active: ActiveRun) -> PointPlan:
    """Settle what is used, and keep the base backup from being deleted meanwhile."""
    active.phase("choosing the base backup")
    target = RecoveryTarget.from_params(run.params)
    plan = plan_point(installation, run.database or "", target, base=run.params["base"])
    with active.guarded() as transaction:
        installation.catalog.runs.set_backup(run.id, plan.base.backup.id, transaction)
    with active.guarded() as transaction:
        installation.catalog.deletions.hold(plan.base.backup.id, transaction)
    return plan


def _refuse_unreadable(report: PointReport) -> None:
    """Raise BackupsError when not one of the databases could be looked into: then nothing was shown."""
    if report.databases and all(found.problem for found in report.databases):
        raise BackupsError(
            f"The server recovered, but no database can be opened on this machine: {report.databases[0].problem}.",
            hint="A locale of the source may be missing here; install it, then try again.",
        )


def _verification(
    installation: Installation,
    active: ActiveRun,
    backup: Backup,
    storage: str,
    outcome: Outcome,
    reason: str,
    detail: dict[str, Any],
    started_at: datetime,
) -> Verification:
    finished_at = installation.clock()
    return Verification(
        id=new_id(finished_at),
        run_id=active.run_id,
        backup_id=backup.id,
        database=backup.database,
        level="restore",
        storage=storage,
        outcome=outcome,
        reason=reason,
        started_at=started_at,
        finished_at=finished_at,
        actor=active.actor,
        detail=detail,
    )
