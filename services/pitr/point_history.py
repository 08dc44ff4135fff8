"""The restores to a point in time that were asked for, with what each reached."""

from __future__ import annotations

from dataclasses import dataclass

from services.catalog.model import Run
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.point_report import PointReport
from services.pitr.target import RecoveryTarget

MOST = 50
"""Runs of each kind that are read."""


@dataclass(frozen=True)
class PointRestore:
    """One test, or one restore for real."""

    run: Run
    target: str
    """What was asked for, in words."""
    report: PointReport | None
    """What was reached; None while it runs, and where nothing was."""


def load_point_restores(installation: Installation, database: str) -> list[PointRestore]:
    """Return the newest tests and restores of a database's server, the newest first. Two queries."""
    runs = installation.catalog.runs
    found = [
        *runs.list(database=database, kind="point_test", limit=MOST),
        *runs.list(database=database, kind="point_restore", limit=MOST),
    ]
    return [point_restore(run) for run in sorted(found, key=lambda run: run.queued_at, reverse=True)]


def point_restore(run: Run) -> PointRestore:
    """Return what a run asked for and reached."""
    try:
        report = PointReport.from_json(run.result["report"])
    except (KeyError, TypeError):
        report = None
    try:
        target = RecoveryTarget.from_params(run.params).label
    except (KeyError, BackupsError):
        target = str(run.params.get("to", ""))
    return PointRestore(run, target, report)
