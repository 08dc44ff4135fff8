"""The four levels of verification; each contains what the one before it looks at.

*Failed* condemns the copy, or the backup with all its copies (``services.catalog.verdict``), and is said only when that
is at fault. When the attempt itself cannot be made (the storage is away, the key is missing, somebody cancelled), the
error is raised, and the backup stands as it stood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from services.catalog.model import Backup, Copy, Outcome, Verification
from services.ids import new_id
from services.installation import Installation
from services.jobs.context import RunContext
from services.names import unknown_name
from services.restores.copies import choose_copy
from services.restores.evidence import UnknownSigner, read_evidence_aloud
from services.restores.fetch import identities_for
from services.restores.restore_test import run_restore_test
from services.restores.thawed import ensure_readable
from services.verification.archive import check_archive
from services.verification.checksum import check_checksum
from services.verification.finding import BACKUP_IS_BAD, Finding, failed_by
from services.verification.record import record_verification
from services.verification.stored import check_stored

Check = Callable[[Installation, Backup, Copy, RunContext], Finding]

_CHECKS: dict[str, Check] = {
    "stored": lambda installation, backup, copy, _: check_stored(installation, backup, copy),
    "checksum": check_checksum,
    "archive": check_archive,
}
LEVELS = (*_CHECKS, "restore")
_SEVERITY: dict[Outcome, Literal["info", "warning", "error"]] = {
    "passed": "info",
    "not testable": "warning",
    "failed": "error",
}


def verify_backup(
    installation: Installation,
    backup: Backup,
    level: str,
    storage: str | None,
    run: RunContext,
    *,
    stored_anew: bool = False,
    wait_for_thaw: bool = False,
) -> Verification:
    """Verify a backup's copy in ``storage`` (None: the best one), record the outcome beside it and in the catalogue.

    ``stored_anew``: the copy there has just been made, so that a pass also clears what was found there before.
    ``wait_for_thaw``: a copy that lies frozen in cold storage is thawed first, for hours perhaps.

    Raise UnknownName for a level or storage that is not there, InputError for a backup without a copy, and what keeps
    the attempt from being made: StorageError (NotThawed), KeyMismatch, UnknownSigner, ClientProgramMissing, Cancelled,
    TimedOut.
    """
    if level not in LEVELS:
        raise unknown_name("level of verification", level, LEVELS)
    if level == "restore":
        verification = run_restore_test(installation, backup, storage, run, wait_for_thaw=wait_for_thaw)
    else:
        copy = choose_copy(installation, backup, storage)
        if level != "stored":  # which looks from outside
            copy = ensure_readable(installation, backup, copy, run, wait=wait_for_thaw)
        verification = _check(installation, backup, level, copy, run)
    if stored_anew:
        verification = replace(verification, detail=verification.detail | {"stored_anew": True})
    run.log(f"Verification {level}: {verification.outcome}. {verification.reason}", _SEVERITY[verification.outcome])
    record_verification(installation, backup, verification, run)
    return verification


def examine(installation: Installation, backup: Backup, level: str, copy: Copy, run: RunContext) -> Finding:
    """Look at a copy at one of the levels below ``restore``, and record nothing; raises what ``verify_backup`` does."""
    if level == "archive":
        identities_for(installation.settings, backup)  # a wrong key is said as such, not as a strange signature
    try:
        manifest = read_evidence_aloud(installation, backup, copy, run)
        return _CHECKS[level](installation, manifest.backup, copy, run)
    except UnknownSigner:
        raise
    except BACKUP_IS_BAD as error:
        return failed_by(error)


def _check(installation: Installation, backup: Backup, level: str, copy: Copy, run: RunContext) -> Verification:
    run.phase("verifying", total_bytes=backup.stored_bytes if level != "stored" else None)
    started_at = installation.clock()
    finding = examine(installation, backup, level, copy, run)
    finished_at = installation.clock()
    return Verification(
        id=new_id(finished_at),
        run_id=run.run_id,
        backup_id=backup.id,
        database=backup.database,
        level=level,
        storage=copy.storage,
        outcome=finding.outcome,
        reason=finding.reason,
        started_at=started_at,
        finished_at=finished_at,
        actor=run.actor,
        detail=finding.to_detail(),
    )
