"""Working on one run, from its claim to its end. The worker and the foreground command line both come here."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, Literal

from services.approvals.gate import require_approval
from services.audit.runs import record_reading
from services.catalog.model import MACHINES, Run
from services.catalog.runs import ClaimLost, Enqueue
from services.errors import BackupsError, Cancelled
from services.installation import Installation
from services.jobs.active_run import ActiveRun, Interrupted
from services.jobs.use_cases import carry_out_use_case
from services.log_output import logged_as
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)


def execute_run(
    installation: Installation,
    run_id: str,
    *,
    worker: str,
    started: Callable[[ActiveRun], None] = lambda _active: None,
    enqueue: Enqueue | None = None,
) -> Run:
    """Work on a queued run and return its row as it ended. What went wrong is in the row, not raised.

    ``started`` is handed the active run, so that the caller can stop it from outside; ``enqueue`` puts an interrupted
    one back into the queue. A failed run's result holds ``exit_code`` and ``may_pass`` of its error, and ``refused``
    where it was refused before anything was done, and a person sees that: it is no failure of ours, and neither alerts
    nor counts.

    Raise Busy when another run holds the database, ClaimLost when the run is not queued (any more), Interrupted when
    the worker is told to end (the run is queued again then), KeyboardInterrupt after having cancelled.
    """
    runs = installation.catalog.runs
    claim = runs.claim(run_id, worker=worker, now=installation.clock())
    run = runs.get(run_id)
    database = _database(installation, run.database)
    active = ActiveRun(
        installation,
        claim,
        actor=run.actor,
        reason=run.reason,
        stall_timeout=database.stall_timeout if database else None,
    )
    state: Literal["finished", "failed", "cancelled"] = "finished"
    result: dict[str, Any] = {}
    error: BackupsError | None = None
    with active, logged_as(run_id):
        started(active)
        try:
            _require_second_person(installation, run, active)
            _hold_backup(installation, run)
            record_reading(installation, run, worker=worker)
            result = carry_out_use_case(installation, run, active)
        except KeyboardInterrupt:
            state, error = "cancelled", Cancelled("Cancelled with Ctrl-C.")
            _record_end(active, state, error)
            runs.finish(claim, state=state, now=installation.clock(), error=error.message)
            raise
        except Exception as raised:  # noqa: BLE001 - whatever it was, the run ends as failed and says so
            error = active.stop_error or _as_backups_error(active, raised)
            state = "cancelled" if isinstance(error, Cancelled) else "failed"
            _record_end(active, state, error)
    if isinstance(error, ClaimLost):
        raise error
    if isinstance(error, Interrupted):
        runs.take_back(runs.get(run_id), state="queued", now=installation.clock(), enqueue=enqueue)
        raise error
    message, hint = (active.mask(error.message), active.mask(error.hint)) if error else ("", "")
    if error is not None:
        result = {"exit_code": error.exit_code, "may_pass": error.may_pass}
        if error.is_refusal and not active.has_begun and _somebody_sees(run):
            result["refused"] = True
    runs.finish(claim, state=state, now=installation.clock(), error=message, hint=hint, result=result)
    return runs.get(run_id)


def _somebody_sees(run: Run) -> bool:
    """Say whether a person asked for the run and is told what becomes of it."""
    return run.actor not in MACHINES and not run.params.get("slot") and not run.params.get("unattended")


def _require_second_person(installation: Installation, run: Run, active: ActiveRun) -> None:
    """Raise InputError where two persons are needed and one alone asked; say in the log who approved it."""
    approval = require_approval(installation, run)
    if approval is not None:
        note = f": {approval.note}" if approval.note else "."
        active.log(f"Asked for by {approval.asked_by}, approved by {approval.decided_by}{note}")


def _hold_backup(installation: Installation, run: Run) -> None:
    """Raise InputError when the backup that the run is about is being deleted, or was, since it was asked for.

    The run is active by now, so a deletion that begins after this sees it and leaves the backup alone.
    """
    if run.backup_id is not None:
        with installation.catalog.engine.begin() as transaction:
            installation.catalog.deletions.hold(run.backup_id, transaction)


def _as_backups_error(active: ActiveRun, raised: Exception) -> BackupsError:
    """Given what a use case raised, return what a person is told. An unforeseen error is logged with its traceback."""
    if isinstance(raised, BackupsError):
        return raised
    logger.error("run %s failed unexpectedly", active.run_id, exc_info=raised)
    for line in traceback.format_exception(raised)[-1].splitlines()[:5]:
        active.log(line, "error")
    return BackupsError(
        f"An unforeseen error stopped the run: {type(raised).__name__}.",
        hint=f"The process's own log has the details under run {active.run_id}.",
    )


def _record_end(active: ActiveRun, state: str, error: BackupsError) -> None:
    active.log(f"{state.capitalize()}: {error}", "warning" if state == "cancelled" else "error")


def _database(installation: Installation, name: str | None) -> DatabaseSettings | None:
    known = {database.name: database for database in installation.settings.databases}
    return known.get(name) if name else None
