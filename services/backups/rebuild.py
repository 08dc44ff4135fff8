"""Rebuilding the catalogue from what the storages hold: the manifests and the records of verifications."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from services.backups.manifest import Manifest, read_manifest
from services.backups.naming import MANIFEST_SUFFIX, is_check_key
from services.backups.signing import check_document
from services.catalog.model import Backup, Verification
from services.clock import parse_instant
from services.errors import ObjectMissing, StorageError, UntrustedManifest
from services.installation import Installation
from services.storage.protocol import Storage, StoredObject
from services.verification.record import KIND, VERSION


@dataclass
class RebuildReport:
    """What a rebuild found."""

    backups: int = 0
    verifications: int = 0
    untrusted: list[str] = field(default_factory=list)
    """Names of backups whose manifest's signature is not ours: listed as untrusted, never restored silently."""
    unreadable: list[str] = field(default_factory=list)
    """What could not be read, each with its reason."""
    incomplete: list[str] = field(default_factory=list)
    """Manifests whose object is missing or of another size."""

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def rebuild(installation: Installation) -> RebuildReport:
    """Read every manifest and every record of a verification in every storage into the catalogue.

    Rows that are there are replaced, none is removed. Raise StorageError when a storage cannot be listed.
    """
    report = RebuildReport()
    found: dict[str, Backup] = {}
    records: list[tuple[str, Verification]] = []
    for settings in installation.settings.storages:
        storage = installation.storage(settings.name)
        objects = {entry.key: entry for entry in storage.list()}
        for key in objects:
            if key.endswith(MANIFEST_SUFFIX):
                _take_manifest(installation, storage, key, objects, found, report)
            elif is_check_key(key):
                _take_record(installation, storage, key, records, report)
    with installation.catalog.engine.begin() as transaction:
        for backup in found.values():
            installation.catalog.backups.add(backup, transaction)
        for sha256, record in sorted(records, key=lambda entry: entry[1].finished_at):
            # A record proves the bytes that it names, and no others.
            if record.backup_id in found and found[record.backup_id].sha256 == sha256:
                installation.catalog.verifications.add(record, transaction)
                report.verifications += 1
    report.backups = len(found)
    report.untrusted = sorted(backup.name for backup in found.values() if backup.trust == "untrusted")
    return report


def _take_manifest(
    installation: Installation,
    storage: Storage,
    key: str,
    objects: dict[str, StoredObject],
    found: dict[str, Backup],
    report: RebuildReport,
) -> None:
    try:
        manifest = read_manifest(installation.settings, storage, key)
    except (UntrustedManifest, ObjectMissing) as error:
        report.unreadable.append(str(error))
        return
    backup = as_stored(manifest, objects)
    if backup.copies[0].state != "stored":
        report.incomplete.append(f"{backup.name}: {backup.copies[0].location} is {backup.copies[0].state}")
    known = found.get(backup.id)
    if known is None:
        found[backup.id] = backup
    else:  # a further copy of the same backup
        found[backup.id] = replace(known, copies=known.copies + backup.copies)


def as_stored(manifest: Manifest, objects: dict[str, StoredObject]) -> Backup:
    """Given a manifest and what its storage lists (by key), return the backup with its copy as it is."""
    backup = manifest.backup
    copy = backup.copies[0]
    stored = objects.get(copy.key)
    if stored is None:
        copy = replace(copy, state="missing")
    elif stored.bytes != backup.stored_bytes:
        copy = replace(copy, state="damaged", etag=stored.etag, storage_class=stored.storage_class)
    else:
        copy = replace(copy, etag=stored.etag, storage_class=stored.storage_class)
    return replace(backup, copies=(copy,))


def _take_record(
    installation: Installation,
    storage: Storage,
    key: str,
    records: list[tuple[str, Verification]],
    report: RebuildReport,
) -> None:
    try:
        document = json.loads(storage.get(key))
        if check_document(installation.settings, document) == "untrusted":
            report.unreadable.append(f"{storage.location(key)}: its signature is not ours")
            return
        records.append((document["sha256"], _to_verification(document)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        report.unreadable.append(f"{storage.location(key)}: cannot be read ({type(error).__name__})")
    except StorageError as error:
        report.unreadable.append(str(error))


def _to_verification(document: dict[str, Any]) -> Verification:
    """Return the verification that ``services.verification.record.to_document`` wrote. Raise ValueError, KeyError."""
    if document["kind"] != KIND or document["version"] != VERSION:
        raise ValueError(f"{document['kind']!r}, version {document['version']!r}, is not known")
    return Verification(
        id=document["id"],
        run_id=document["run_id"],
        backup_id=document["backup_id"],
        database=document["database"],
        level=document["level"],
        storage=document["storage"],
        outcome=document["outcome"],
        reason=document["reason"],
        started_at=parse_instant(document["started_at"]),
        finished_at=parse_instant(document["finished_at"]),
        actor=document["actor"],
        detail=document["detail"],
    )
