"""The cleanup, as the runbook has it: say what is too old, and delete it when asked to. Also deletions by hand.

The plan is always made anew. What somebody confirmed narrows it and never widens it: a backup that was pinned or became
needed since is kept, and one that nobody saw is not deleted. A deletion that fails never keeps the others from being
made; it is tried again by the next cleanup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from services.catalog.deletions import BY_HAND, Cause
from services.installation import Installation
from services.jobs.context import RunContext
from services.retention.delete_backup import AwayStorages, delete_backup
from services.retention.plans import DatabasePlan, load_plans
from services.retention.report import CleanupItem, CleanupReport
from services.retention.request import CleanupRequest
from services.units import format_bytes

LOGGED = 200
"""So many deletions a run's log tells of one by one; failures it always tells."""


def clean_up(installation: Installation, request: CleanupRequest, run: RunContext) -> CleanupReport:
    """Plan, and with ``apply`` delete what nothing keeps. Raise UnknownName, Cancelled, ClaimLost."""
    run.phase("planning")
    databases = None if request.database is None else [installation.settings.database(request.database).name]
    plans = load_plans(installation, databases)
    items = _chosen(plans, request.only) if request.by_hand else _going(plans, request.only)
    report = CleanupReport(request.apply, kept=sum(len(plan.backups) for plan in plans))
    if not request.apply:
        report.items = items
        report.kept -= report.count("planned")
        return report
    minimum = {plan.database: plan.policy.minimum for plan in plans}
    run.phase("deleting", total_bytes=sum(item.bytes for item in items if item.outcome == "planned"))
    away, done = AwayStorages(), 0
    for item in items:
        run.check_cancelled()
        if item.outcome == "planned":
            cause = _cause(item, request, minimum[item.database], run)
            deleted = delete_backup(installation, item.id, cause, away, run)
            item = replace(item, outcome=deleted.outcome, error=deleted.why)
            report.freed_bytes += deleted.freed_bytes
            done += item.bytes
            run.progress(done)
        report.items.append(item)
        _log(item, report, run)
    report.kept -= report.count("deleted")
    run.log(report.summary, "warning" if report.count("failed") else "info")
    return report


def _going(plans: Sequence[DatabasePlan], only: Iterable[str] | None) -> list[CleanupItem]:
    """Return what the plans let go, the oldest first; of what was confirmed, also what is kept since."""
    items = [CleanupItem.of(plan.database, backup, backup.decision.going) for plan in plans for backup in plan.going]
    if only is None:
        return items
    confirmed = set(only)
    kept = [
        CleanupItem.of(plan.database, backup, "", outcome="kept", error=", ".join(backup.decision.reasons))
        for plan in plans
        for backup in plan.kept
        if backup.id in confirmed
    ]
    return [item for item in items if item.id in confirmed] + kept


def _chosen(plans: Sequence[DatabasePlan], only: Iterable[str] | None) -> list[CleanupItem]:
    """Return the backups that somebody chose, the oldest first."""
    chosen = set(only or ())
    return [
        CleanupItem.of(plan.database, backup, BY_HAND, tiers=backup.decision.tiers)
        for plan in plans
        for backup in reversed(plan.backups)
        if backup.id in chosen
    ]


def _cause(item: CleanupItem, request: CleanupRequest, minimum: int, run: RunContext) -> Cause:
    forced = request.by_hand and bool(request.force_reason)
    note = " ".join(part for part in (run.reason, f"Forced: {request.force_reason}" if forced else "") if part)
    return Cause(run.run_id, run.actor, item.why, note, None if forced else minimum)


def _log(item: CleanupItem, report: CleanupReport, run: RunContext) -> None:
    level: Literal["info", "warning"] = "warning" if item.outcome == "failed" else "info"
    if item.outcome == "failed" or len(report.items) <= LOGGED:
        because = f": {item.error}" if item.error else ""
        run.log(f"{item.name} ({item.why or 'kept'}, {format_bytes(item.bytes)}): {item.outcome}{because}", level)
    elif len(report.items) == LOGGED + 1:
        run.log("What follows is in the log of deletions.")
