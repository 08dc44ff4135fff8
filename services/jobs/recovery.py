"""After a crash: what a dead process left is cleaned up, and its run is finished, queued again, or said to be lost."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.backups.manifest import read_manifest
from services.backups.rebuild import as_stored
from services.catalog.model import Backup, LogLine, Run
from services.errors import BackupsError, ObjectMissing, UntrustedManifest
from services.installation import Installation
from services.jobs.identity import is_dead, is_same_process, process_identity
from services.restores.scratch import drop_leftover_scratch_databases

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A run that has died as often is not started again: it may be what kills the worker."""
_REPEATABLE = ("backup", "verification", "restore_test", "janitor")
"""What may be started again by itself. A restore or an adoption is repeated by the person who asked for it."""


def recover_dead_runs(installation: Installation, *, requeue: Callable[[Run], None] | None) -> list[Run]:
    """Look after every run whose process is gone and that nobody else looks after; return them as they are now.

    ``requeue`` puts a run back into the queue; None (no worker here) leaves such runs lost. A run whose leftovers
    cannot be removed now is lost all the same, and says what is left; the janitor removes it later.
    """
    runs = installation.catalog.runs
    dead = [run for run in runs.list(states=["running"], limit=None) if is_dead(run, installation.clock())]
    recovered = []
    for run in dead:
        if runs.take_over(run, worker=process_identity(), now=installation.clock()):
            logger.warning("run %s (%s %s) died with %s", run.id, run.kind, run.database, run.worker)
            _recover(installation, run, requeue)
            recovered.append(runs.get(run.id))
    return recovered


def _recover(installation: Installation, run: Run, requeue: Callable[[Run], None] | None) -> None:
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
                completed = _finish_or_remove(installation, run, entry) or completed
            except BackupsError as error:
                left.append(f"{entry['storage']}: {entry['key']} ({error})")
    if completed is not None:
        _log(installation, run, f"{why} Its backup was already complete and signed; it is recorded now.")
        result = {"backup_id": completed.id, "name": completed.name, "stored_bytes": completed.stored_bytes}
        runs.take_back(run, state="finished", now=now, result=result)
        return
    may_repeat = run.kind in _REPEATABLE and run.params.get("queued") and run.cancel_requested_at is None
    if requeue is not None and may_repeat and run.attempt < MAX_ATTEMPTS and not left:
        _log(installation, run, f"{why} Starting again (attempt {run.attempt + 1} of {MAX_ATTEMPTS}).")
        if runs.take_back(run, state="queued", now=now):
            requeue(runs.get(run.id))
        return
    remains = f"Still to be removed: {'; '.join(left)}." if left else "What it had begun was removed."
    _log(installation, run, f"{why} {remains}")
    runs.take_back(run, state="lost", now=now, error=why, hint=f"{remains} Start it again.")
    # Only now, since a scratch database belongs to its run for as long as that is active.
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
    """Given an object that the run was storing, record its backup if the manifest is there; otherwise remove it."""
    storage = installation.storage(entry["storage"])
    key = entry["key"]
    try:
        manifest = read_manifest(installation.settings, storage, entry["manifest"])
    except (ObjectMissing, UntrustedManifest):
        manifest = None
    if manifest is not None and manifest.backup.run_id == run.id and manifest.backup.copies[0].key == key:
        backup = as_stored(manifest, {key: storage.stat(key)})
        installation.catalog.backups.add(backup)
        return backup
    storage.delete(key)
    for upload in storage.unfinished():
        if upload.key == key:
            storage.abort_unfinished(upload)
    return None


def _log(installation: Installation, run: Run, message: str) -> None:
    installation.catalog.runs.add_log(run.id, [LogLine(installation.clock(), "warning", message)])
