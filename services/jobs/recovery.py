"""After a crash: what a dead process left is cleaned up, and its run is finished, queued again, or said to be lost."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from services.backups.copy_recovery import clean_up_copy, give_up_copy
from services.backups.manifest import read_manifest
from services.backups.rebuild import as_stored
from services.catalog.model import Backup, LogLine, Run
from services.catalog.runs import Enqueue
from services.errors import BackupsError, ObjectMissing, UntrustedManifest
from services.installation import Installation
from services.jobs.identity import DeathWatch, is_same_process, process_identity
from services.restores.scratch import drop_leftover_scratch_databases

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A run that has died as often is not started again: it may be what kills the worker."""
ABANDONED_AFTER = timedelta(minutes=10)
"""A run that was asked for in the foreground begins within seconds, or never."""
_one_at_a_time = threading.Lock()
_REPEATABLE = ("backup", "verification", "restore_test", "janitor", "copy", "archive", "thaw", "compress")
"""What may be started again by itself. A restore or an adoption is repeated by the person who asked for it."""


def recover_dead_runs(installation: Installation, watch: DeathWatch, *, enqueue: Enqueue | None) -> list[Run]:
    """Look after every run whose process is gone and that nobody else looks after; return them as they are now.

    ``enqueue`` puts a run back into the queue; None (no worker here) leaves such runs lost. A run whose leftovers
    cannot be removed now is lost all the same, and says what is left; the janitor removes it later.
    """
    runs = installation.catalog.runs
    recovered = []
    with _one_at_a_time:
        for run in runs.list(states=["running"], limit=None):
            if not watch.is_dead(run):
                continue
            if runs.take_over(run, worker=process_identity(), now=installation.clock()):
                logger.warning("run %s (%s %s) died with %s", run.id, run.kind, run.database, run.worker)
                _recover(installation, run, enqueue)
                recovered.append(runs.get(run.id))
        _end_abandoned(installation)
    return recovered


def recover_now(installation: Installation) -> list[Run]:
    """Look once after the runs of dead processes of this machine, where no worker does it all the time."""
    # Imported here: the queue brings DBOS along, which a command in the foreground need not pay for.
    from services.jobs.queue import enqueue, prepare_queue

    prepare_queue(installation.catalog)
    return recover_dead_runs(
        installation,
        DeathWatch(),
        enqueue=lambda run, transaction: enqueue(installation.catalog, run, transaction),
    )


def _end_abandoned(installation: Installation) -> None:
    """End the runs that somebody was to work on in the foreground, and who went away before they began."""
    now = installation.clock()
    for run in installation.catalog.runs.list(states=["queued"], limit=None):
        if not run.params.get("queued") and now - run.queued_at > ABANDONED_AFTER:
            installation.catalog.runs.fail_queued(
                run.id, now=now, error="Whoever asked for it went away before it began.", hint="Start it again."
            )


def _recover(installation: Installation, run: Run, enqueue: Enqueue | None) -> None:
    runs = installation.catalog.runs
    now = installation.clock()
    leftovers = runs.leftovers(run.id)
    why = f"The process {run.worker} that worked on it is gone (phase: {run.phase or 'starting'})."
    _end_processes(run, leftovers)
    left = _remove_folders(run, leftovers)
    completed = None
    for entry in leftovers:
        if entry["kind"] in ("object", "upload"):
            try:
                if "backup" in entry:
                    clean_up_copy(installation, entry)
                else:
                    completed = _finish_or_remove(installation, run, entry) or completed
            except BackupsError as error:
                left.append(f"{entry['storage']}: {entry['key']} ({error})")
    if completed is not None:
        _log(installation, run, f"{why} Its backup was already complete and signed; it is recorded now.")
        result = {"backup_id": completed.id, "name": completed.name, "stored_bytes": completed.stored_bytes}
        runs.take_back(run, state="finished", now=now, result=result)
        return
    may_repeat = run.kind in _REPEATABLE and run.params.get("queued") and run.cancel_requested_at is None
    if enqueue is not None and may_repeat and run.attempt < MAX_ATTEMPTS and not left:
        _log(installation, run, f"{why} Starting again (attempt {run.attempt + 1} of {MAX_ATTEMPTS}).")
        runs.take_back(run, state="queued", now=now, enqueue=enqueue)
        _drop_scratch_databases(installation, run, leftovers)
        return
    if run.kind == "copy" and run.backup_id is not None:
        give_up_copy(installation, run.backup_id, run.params["storage"])
    if left:
        remains = f"Still to be removed: {'; '.join(left)}."
    elif run.backup_id and run.kind == "backup":
        remains = "Its backup is stored and listed."
    else:
        remains = "What it had begun was removed."
    _log(installation, run, f"{why} {remains}")
    runs.take_back(run, state="lost", now=now, error=why, hint=f"{remains} Start it again.")
    _drop_scratch_databases(installation, run, leftovers)


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
        pid = int(entry["pid"])
        if is_same_process(pid, float(entry["started"])):
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


def _finish_or_remove(installation: Installation, run: Run, entry: dict[str, str]) -> Backup | None:
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
        if manifest.backup.run_id != run.id or manifest.backup.trust == "untrusted":
            _log(installation, run, f"{storage.location(key)} was not removed: its manifest is of another run.")
            return None
        backup = as_stored(manifest, {key: storage.stat(key)})
        installation.catalog.backups.add(backup)
        return backup
    for upload in storage.unfinished():
        if upload.key == key:
            storage.abort_unfinished(upload)
    return None


def _log(installation: Installation, run: Run, message: str) -> None:
    installation.catalog.runs.add_log(run.id, [LogLine(installation.clock(), "warning", message)])
