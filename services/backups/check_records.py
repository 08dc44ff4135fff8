"""Reading back the records that verifications leave beside the manifests (``services.verification.record``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, get_args

from services.backups.document_values import BadValue, digest, instant, text
from services.backups.signing import check_document
from services.catalog.model import Outcome, Verification
from services.errors import UntrustedManifest
from services.settings.model import Settings, VerificationLevel
from services.storage.protocol import Storage
from services.verification.record import KIND, VERSION


@dataclass(frozen=True)
class CheckRecord:
    """A verification, and the stored bytes that it speaks of."""

    sha256: str
    verification: Verification


def read_check_record(settings: Settings, storage: Storage, key: str) -> CheckRecord:
    """Given a record's key, read it. Raise UntrustedManifest when it cannot be read or believed, StorageError."""
    try:
        document = json.loads(storage.get(key))
        if check_document(settings, document) == "untrusted":
            raise UntrustedManifest("The signature of this check record is not ours.", hint="It is not used.")
        return CheckRecord(digest(document, "sha256"), _to_verification(document))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if isinstance(error, BadValue) else type(error).__name__
        raise UntrustedManifest(f"This check record cannot be read ({why}).", hint="It is not used.") from error


def _to_verification(document: dict[str, Any]) -> Verification:
    """Return the verification that ``services.verification.record.to_document`` wrote. Raise BadValue, KeyError."""
    if document["kind"] != KIND or document["version"] != VERSION:
        raise BadValue("its kind or version is not known")
    if document["level"] not in get_args(VerificationLevel) or document["outcome"] not in get_args(Outcome):
        raise BadValue("its level or outcome is not known")
    if not isinstance(document["detail"], dict):
        raise BadValue("detail is not an object")
    return Verification(
        id=text(document, "id", 40, empty=False),
        run_id=None if document["run_id"] is None else text(document, "run_id", 40),
        backup_id=text(document, "backup_id", 40, empty=False),
        database=text(document, "database", 63),
        level=document["level"],
        storage=text(document, "storage", 63),
        outcome=document["outcome"],
        reason=text(document, "reason", 100_000),
        started_at=instant(document, "started_at"),
        finished_at=instant(document, "finished_at"),
        actor=text(document, "actor", 200),
        detail=document["detail"],
    )
