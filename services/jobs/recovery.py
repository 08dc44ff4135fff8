"""After a crash: what a dead process left is recorded or removed, and its run is queued again, or said to be lost."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from services.backups.copy_recovery import clean_up_copy, give_up_copy
from services.backups.manifest import read_manifest
from services.backups.rebuild import as_stored
from services.backups.signing import own_trust
from services.catalog.model import Backup, LogLine, Run
from services.catalog.runs import Enqueue
from services.errors import BackupsError, ObjectMissing, UnknownName, UntrustedManifest
from services.installation import Installation
from services.jobs.identity import DeathWatch, is_group_of, is_same_process, process_identity
from services.restores.scratch import drop_leftover_scratch_databases

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A run that has died as often is not started again: it may be what kills the worker."""
ABANDONED_AFTER = timedelta(minutes=10)
"""A run that was asked for in the foreground begins within seconds, or never."""
_one_at_a_time = threading.Lock()
_REPEATABLE = (
    "backup",
    "verification",
    "restore_test",
    "janitor",
    "health",
    "cleanup",
    "copy",
    "archive",
    "thaw",
    "compress",
    "base_backup",
    "point_test",
    "rotate",
)
"""What may be started again by itself. A restore or an adoption is repeated by the person who asked for it."""
_MAKES_BACKUPS = ("backup", "adopt", "base_backup")
"""What is started again once its backup is recorded, whoever asked for it: only the closing verification is left."""


def recover_dead_runs(
    installation: Installation,
    watch: DeathWatch,
    *,
    enqueue: Enqueue | None,
    attended: bool = True,
    looks_after: Callable[[Run], bool] = lambda _run: True,
) -> list[Run]:
    """Look after every run whose process is gone and that nobody else looks after; return them as they are now.

    ``enqueue`` puts a run back into the queue; None leaves such runs lost. ``attended`` says whether a worker is there
    to take them up. A run whose leftovers cannot be removed now is lost all the same, and says what is left; the
    janitor removes it later. ``looks_after`` leaves runs to others: what they left may lie on another machine's disk.
    """
    runs = installation.catalog.runs
    recovered = []
    with _one_at_a_time:
        for run in runs.list(states=["running"], limit=None):
            if not watch.is_dead(run) or not looks_after(run):
                continue
            if runs.take_over(run, worker=process_identity(), now=installation.clock()):
                logger.warning("run %s (%s %s) died with %s", run.id, run.kind, run.database, run.worker)
                _recover(installation, run, enqueue, attended=attended)
                recovered.append(runs.get(run.id))
        _end_abandoned(installation)
    return recovered


def recover_now(installation: Installation) -> list[Run]:
    """Look once after the runs of dead processes of this machine, where no worker does it all the time."""
    # Imported here: the queue brings DBOS along, which a command in the foreground need not pay for.
    from services.jobs.queue import enqueuer, prepare_queue

    prepare_queue(installation.catalog)
    return recover_dead_runs(
        installation,
        DeathWatch(),
        enqueue=enqueuer(installation),
        attended=bool(installation.catalog.workers.alive(installation.clock())),
    )


def _end_abandoned(installation: Installation) -> None:
    """End the runs that somebody was to work on in the foreground, and who went away before they began."""
    now = installation.clock()
    for run in installation.catalog.runs.list(states=["queued"], limit=None):
        if not run.params.get("queued") and now - run.queued_at > ABANDONED_AFTER:
            installation.catalog.runs.fail_queued(
                run.id, now=now, error="Whoever asked for it went away before it began.", hint="Start it again."
            )


def _recover(installation: Installation, run: Run, enqueue: Enqueue | None, *, attended: bool) -> None:
    runs = installation.catalog.runs
    now = installation.clock()
    leftovers = runs.leftovers(run.id)
    why = f"The process {run.worker} that worked on it is gone (phase: {run.phase or 'starting'})."
    _end_processes(run, leftovers)
    left = _remove_folders(run, leftovers)
    for entry in leftovers:
        if entry["kind"] in ("object", "upload"):
            try:
                if "backup" in entry:
                    clean_up_copy(installation, entry)
                else:
                    _record_or_remove(installation, run, entry)
            except BackupsError as error:
                left.append(f"{entry['storage']}: {entry['key']} ({error})")
    backup = _made_by(installation, run)
    if enqueue is not None and not left and _may_start_again(run, backup, attended=attended):
        done = "Its backup is stored and listed; what is left is its verification. " if backup else ""
        waiting = "" if attended else ", once a worker is running"
        _log(installation, run, f"{why} {done}Starting again (attempt {run.attempt + 1} of {MAX_ATTEMPTS}){waiting}.")
        runs.take_back(run, state="queued", now=now, enqueue=enqueue)
    else:
        if run.kind == "copy" and run.backup_id is not None:
            give_up_copy(installation, run.backup_id, run.params["storage"])
        remains, hint = _what_remains(run, backup, left)
        advice = f"{remains} {hint}".strip()
        _log(installation, run, f"{why} {advice}")
        runs.take_back(run, state="lost", now=now, error=why, hint=advice)
    _drop_scratch_databases(installation, run, leftovers)


def _made_by(installation: Installation, run: Run) -> Backup | None:
    """Return the backup that the run made, which may have been recorded just now; None when it made none."""
    backup_id = installation.catalog.runs.get(run.id).backup_id if run.kind in _MAKES_BACKUPS else None
    return installation.catalog.backups.get(backup_id) if backup_id else None


def _may_start_again(run: Run, backup: Backup | None, *, attended: bool) -> bool:
    """Say whether the run goes back to the queue.

    Whoever worked in the foreground is gone with what was to be done, but for a backup that is stored: that is to be
    verified, by a worker if there is one.
    """
    if run.cancel_requested_at is not None or run.attempt >= MAX_ATTEMPTS:
        return False
    if backup is not None:
        return attended or bool(run.params.get("queued"))
    return run.kind in _REPEATABLE and bool(run.params.get("queued"))


def _what_remains(run: Run, backup: Backup | None, left: list[str]) -> tuple[str, str]:
    """Return what is left of a lost run, and what to do."""
    unclean = f"Still to be removed: {'; '.join(left)}." if left else ""
    if run.kind == "restore":
        # It works in a database of its own, and gives it the target's name before it compares the two.
        target = run.params["target"]
        said = f"The database {target} may be there: if so it is whole, but may not have been compared with its backup."
        return f"{said} {unclean}".strip(), f"Look for {target} on the server before you start the restore again."
    if run.kind == "point_restore" and not left:
        return f"The folder {run.params['into']} was emptied again.", "Start the restore again."
    if backup is None:
        return unclean or "What it had begun was removed.", "Start it again."
    if backup.verification_passed is None:
        said = "Its backup is stored and listed, but was not verified."
        return f"{said} {unclean}".strip(), f"Verify it: `backups verify {backup.name}`."
    outcome = "passed" if backup.verification_passed else "failed"
    return f"Its backup is stored and listed; its verification {outcome}. {unclean}".strip(), ""


def _drop_scratch_databases(installation: Installation, run: Run, leftovers: list[dict[str, str]]) -> None:
    """Drop what the attempt restored into; after its end, since a scratch database belongs to its active attempt."""
    if any(entry["kind"] == "scratch database" for entry in leftovers):
        try:
            drop_leftover_scratch_databases(installation)
        except BackupsError as error:
            _log(installation, run, f"Its scratch database is still there: {error}")


def _on_this_machine(run: Run) -> bool:
    return (run.worker or "").rsplit(":", 2)[0] == socket.gethostname()


def _end_processes(run: Run, leftovers: list[dict[str, str]]) -> None:
    """Kill the child processes that outlived their parent; each leads a process group of its own."""
    for entry in leftovers:
        if entry["kind"] != "process" or not _on_this_machine(run):
            continue
        pid, started = int(entry["pid"]), float(entry["started"])
        if is_same_process(pid, started) or is_group_of(pid, started):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _remove_folders(run: Run, leftovers: list[dict[str, str]]) -> list[str]:
    left = []
    for entry in leftovers:
        if entry["kind"] != "folder" or not _on_this_machine(run):
            continue
        try:
            shutil.rmtree(Path(entry["path"]))
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"{entry['path']} ({error.strerror})")
    return left


def _record_or_remove(installation: Installation, run: Run, entry: dict[str, str]) -> None:
    """Given an object that the run was storing, record its backup if the manifest is there; otherwise remove it.

    An object that a manifest of somebody else names, or beside which a manifest lies that cannot be read, is let be.
    """
    storage = installation.storage(entry["storage"])
    key = entry["key"]
    try:
        manifest = read_manifest(installation.settings, storage, entry["manifest"])
    except ObjectMissing:
        storage.delete(key)
    except UntrustedManifest as error:
        _log(installation, run, f"{storage.location(key)} was not removed: {error}")
    else:
        if manifest.backup.run_id != run.id or manifest.backup.trust != own_trust(installation.settings):
            _log(installation, run, f"{storage.location(key)} was not removed: its manifest is of another run.")
            return
        backup = as_stored(manifest, {key: storage.stat(key)})
        with installation.catalog.engine.begin() as transaction:
            if _is_known(installation, backup, transaction):  # from the storage that was written at once with this one
                installation.catalog.backups.save_copy(backup.id, backup.copies[0], transaction)
            else:
                installation.catalog.backups.add(backup, transaction)
            installation.catalog.runs.set_backup(run.id, backup.id, transaction)
        return
    for upload in storage.unfinished():
        if upload.key == key:
            storage.abort_unfinished(upload)


def _is_known(installation: Installation, backup: Backup, transaction: sa.Connection) -> bool:
    try:
        return bool(installation.catalog.backups.get(backup.id, transaction))
    except UnknownName:
        return False


def _log(installation: Installation, run: Run, message: str) -> None:
    installation.catalog.runs.add_log(run.id, [LogLine(installation.clock(), "warning", message)])
