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
from services.pitr.hold_archiving import AUTO_CONF, release_command, release_statements
from services.pitr.point_report import PointReport
from services.pitr.restore_point import PointPlan, plan_point, restore_to_point
from services.pitr.target import RecoveryTarget
from services.postgres.connection import Address
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
        refuse_unreadable(report, _dbname(installation, run))
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
    keep_archiving = bool(run.params.get("keep_archiving"))
    report = restore_to_point(installation, plan, active, into=into, keep_archiving=keep_archiving)
    try:
        refuse_unreadable(report, _dbname(installation, run))
    except BackupsError as error:  # the folder stays: that is for whoever needs it to judge
        active.log(str(error), "warning")
    steps = [*([report.warning] if report.warning else []), *next_steps(plan, into, keep_archiving=keep_archiving)]
    for line in steps:
        active.log(line)
    return {"report": report.to_json(), "reason": report.summary, "next_steps": steps}


def next_steps(plan: PointPlan, into: Path, *, keep_archiving: bool = False) -> list[str]:
    """Return what to do with a restored folder, in order, as a person reads it."""
    pg_ctl, database = plan.programs.bin_dir / "pg_ctl", plan.base.backup.database
    start = f"Start it, as the user that owns the folder: {pg_ctl} -D {into} -l {into}/server.log start"
    steps = []
    if not (into / "postgresql.conf").exists():
        steps.append(
            f"The source keeps its configuration outside of the data folder (Debian: /etc/postgresql). Put its "
            f"postgresql.conf and pg_hba.conf into {into}."
        )
    steps.append(f"See {into}/postgresql.conf and {AUTO_CONF}: port, addresses, libraries are as they were.")
    if keep_archiving:
        return [
            *steps,
            "It archives as its source did: end the old server first, for two cannot store into one archive.",
            start,
            f"Point the application at it, then take a base backup: backups pitr base-backup {database}",
        ]
    statements = " ".join(release_statements(into, plan.base.server_major))
    place = (
        f"To have it take its source's place: end the old server, and before this one's first start run "
        f"{release_command(into)} (once it was started: {statements} and restart it). Point the application at it, "
        f"then take a base backup: backups pitr base-backup {database}"
    )
    return [*steps, f"It archives nothing, so that it can be looked at beside its source. {start}", place]


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


def refuse_unreadable(report: PointReport, dbname: str) -> None:
    """Raise BackupsError when a database cannot be read, so that nothing was shown of it.

    ``dbname`` is the one that the settings protect. Another one may lack its locale on this machine; not all may.
    """
    troubled = [found for found in report.databases if found.problem]
    others = len(troubled) < len(report.databases)
    for found in troubled:
        if found.name == dbname or not found.lacks_locale or not others:
            raise BackupsError(
                f"The server recovered, but the database {found.name} cannot be read: {found.problem}.",
                hint="Install the source's locale on this machine, then try again."
                if found.lacks_locale
                else "Test with an earlier base backup (--base); look at the source's own state, too.",
            )


def _dbname(installation: Installation, run: Run) -> str:
    """Return what the protected database is called on its server."""
    return Address.parse(installation.settings.database(run.database or "").url.get_secret_value()).dbname


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
