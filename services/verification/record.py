"""Where the outcome of a verification is kept: signed beside the backup's manifest, then in the catalogue.

The record in the storage survives the loss of the catalogue: ``backups rebuild`` reads it back.
"""

from __future__ import annotations

import json
from typing import Any

from services.backups.naming import check_key
from services.backups.signing import sign_document
from services.catalog.model import Backup, Verification
from services.clock import isoformat
from services.errors import StorageError
from services.installation import Installation
from services.jobs.context import RunContext

KIND = "backups check record"
VERSION = 1
_TEXTS = ("id", "run_id", "backup_id", "database", "level", "storage", "outcome", "reason", "actor")


def record_verification(
    installation: Installation, backup: Backup, verification: Verification, run: RunContext
) -> None:
    """Store the signed check record, then add the verification to the catalogue while the run is still ours.

    A storage that does not take the record (read-only, full, away) does not hide the outcome: it is logged, and the
    catalogue has it.
    """
    key = record_key(backup, verification)
    document = sign_document(installation.settings, to_document(backup, verification))
    try:
        installation.storage(verification.storage).put(key, json.dumps(document, indent=1).encode())
    except StorageError as error:
        run.log(f"The check record could not be stored as {key}; only the catalogue has it: {error}", "warning")
    state = verification.detail.get("copy_state")
    with run.guarded() as transaction:  # both or neither: a copy that is condemned may not go on being preferred
        installation.catalog.verifications.add(verification, transaction)
        if state is not None:
            installation.catalog.backups.set_copy_state(
                backup.id,
                verification.storage,
                state,
                checked_at=verification.finished_at,
                connection=transaction,
            )


def record_key(backup: Backup, verification: Verification) -> str:
    """Return the record's key; its time is the end of the verification."""
    at, level = verification.finished_at, verification.level
    return check_key(backup.database, backup.name, at=at, level=level, check_id=verification.id)


def to_document(backup: Backup, verification: Verification) -> dict[str, Any]:
    """Return the record, unsigned. It names the stored bytes that were checked, so that it proves no others."""
    return {
        "kind": KIND,
        "version": VERSION,
        "backup_name": backup.name,
        "sha256": backup.sha256,
        **{name: getattr(verification, name) for name in _TEXTS},
        "started_at": isoformat(verification.started_at),
        "finished_at": isoformat(verification.finished_at),
        "detail": verification.detail,
    }
