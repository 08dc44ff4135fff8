"""Marks: small signed objects beside a backup's manifest, for what happened to it since it was made.

A manifest never changes. So that the loss of the catalogue loses neither a pin nor the fact that a deletion was begun,
each is written beside it: ``DATABASE/NAME.mark-pin.json``, ``DATABASE/NAME.mark-deletion.json``. ``backups rebuild``
reads them back. A mark that is not set any more says so (``set: false``), where it cannot be deleted.

Version 1 holds::

    kind, version, mark ("pin" or "deletion"), set, backup_id, backup_name, database, sha256, at, actor, reason,
    signature
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.backups.document_values import BadValue, digest, instant, text, yes_or_no
from services.backups.naming import MARKS, MarkKind, mark_key
from services.backups.signing import check_document, sign_document
from services.catalog.model import Backup
from services.clock import isoformat
from services.errors import UntrustedManifest
from services.settings.model import Settings
from services.storage.protocol import Storage

KIND = "backups mark"
VERSION = 1


@dataclass(frozen=True)
class Mark:
    """What a mark says."""

    kind: MarkKind
    set: bool
    """False: it was set, and is not any more."""
    backup_id: str
    sha256: str
    """Of the stored bytes that it speaks of."""
    at: datetime
    actor: str
    reason: str


def write_mark(
    settings: Settings,
    storage: Storage,
    backup: Backup,
    kind: MarkKind,
    *,
    set: bool,  # noqa: A002 - the mark's own word
    at: datetime,
    actor: str,
    reason: str,
) -> None:
    """Sign a mark and store it beside a backup's copy, in place of an earlier one of its kind. Raise StorageError."""
    document = {
        "kind": KIND,
        "version": VERSION,
        "mark": kind,
        "set": set,
        "backup_id": backup.id,
        "backup_name": backup.name,
        "database": backup.database,
        "sha256": backup.sha256,
        "at": isoformat(at),
        "actor": actor,
        "reason": reason,
    }
    data = json.dumps(sign_document(settings, document), indent=1, ensure_ascii=False).encode()
    storage.put(mark_key(backup.database, backup.name, kind), data)


def read_mark(settings: Settings, storage: Storage, key: str) -> Mark:
    """Given a mark's key, read it. Raise UntrustedManifest when it cannot be read or believed, StorageError."""
    try:
        document = json.loads(storage.get(key))
        if check_document(settings, document) == "untrusted":
            raise UntrustedManifest("The signature of this mark is not ours.", hint="It is not used.")
        if key != mark_key(text(document, "database", 63), text(document, "backup_name", 120), _kind(document)):
            raise BadValue("it lies in another place than it names")
        return Mark(
            kind=_kind(document),
            set=yes_or_no(document, "set"),
            backup_id=text(document, "backup_id", 40, empty=False),
            sha256=digest(document, "sha256"),
            at=instant(document, "at"),
            actor=text(document, "actor", 200),
            reason=text(document, "reason", 100_000),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if isinstance(error, BadValue) else type(error).__name__
        raise UntrustedManifest(f"This mark cannot be read ({why}).", hint="It is not used.") from error


def latest_of(marks: Iterable[Mark], backup: Backup) -> dict[MarkKind, Mark]:
    """Return the last word of each kind on a backup; a mark speaks for no other bytes than those that it names."""
    found: dict[MarkKind, Mark] = {}
    # Of two at one instant the one counts that keeps the backup.
    for mark in sorted(marks, key=lambda mark: (mark.at, mark.set is (mark.kind == "pin"))):
        if (mark.backup_id, mark.sha256) == (backup.id, backup.sha256):
            found[mark.kind] = mark
    return found


def _kind(document: dict[str, Any]) -> MarkKind:
    for kind in MARKS:
        if document["mark"] == kind and document["kind"] == KIND and document["version"] == VERSION:
            return kind
    raise BadValue("its kind or version is not known")
