"""Rebuilding the catalogue from what the storages hold: manifests, records of verifications and marks.

What the catalogue knows already is kept, and one odd object never keeps the rest from being read: it is reported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from services.backups.candidates import Candidate, choose
from services.backups.check_records import CheckRecord, read_check_record
from services.backups.manifest import Manifest, read_manifest
from services.backups.marks import Mark, latest_of, read_mark
from services.backups.naming import MANIFEST_SUFFIX, is_check_key, is_mark_key, manifest_key
from services.backups.reconcile import reconcile
from services.backups.signing import signing_key
from services.catalog.engine import savepoints
from services.catalog.model import Backup
from services.catalog.pins import Pin
from services.catalog.summaries import StorageUse, storage_use
from services.errors import BackupsError, StorageUnavailable, UnknownName, UntrustedManifest
from services.installation import Installation
from services.settings.model import StorageSettings
from services.storage.protocol import Storage, StoredObject

_PATIENCE = 3
"""So many objects in a row that a storage does not hand out, and the rest of it is left unread: it has gone away."""


@dataclass
class RebuildReport:
    """What a rebuild found."""

    backups: int = 0
    verifications: int = 0
    untrusted: list[str] = field(default_factory=list)
    """Names of backups whose manifest's signature is not ours, or gone: untrusted, never restored silently."""
    unsigned: list[str] = field(default_factory=list)
    """Names of backups without a signature, where this installation signs: nobody vouches for their fingerprints."""
    unreadable: list[str] = field(default_factory=list)
    """What could not be read or is not believed, each with its reason."""
    empty: list[str] = field(default_factory=list)
    """Names of storages without a single manifest, of which the catalogue knows no copy either."""
    incomplete: list[str] = field(default_factory=list)
    """Manifests whose object is missing or of another size."""
    half_deleted: list[str] = field(default_factory=list)
    """Names of backups whose deletion was begun and not ended: the next cleanup ends it."""

    @property
    def is_well(self) -> bool:
        """Whether something was found, and all of it can be read and believed. An unmounted disk looks like an empty
        storage, and the catalogue may be what was lost."""
        nothing = bool(self.empty) and not self.backups
        return not (self.untrusted or self.incomplete or self.unreadable or nothing)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass
class _Found:
    """What was read from the storages."""

    candidates: list[Candidate] = field(default_factory=list)
    records: dict[str, list[CheckRecord]] = field(default_factory=lambda: defaultdict(list))
    """By the backup's id."""
    marks: dict[str, list[Mark]] = field(default_factory=lambda: defaultdict(list))
    """By the backup's id."""
    made_from: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By the backup's id, the sha256 of what it was before it was compressed anew: checks of that speak for it, too."""
    listing: dict[tuple[str, str], StoredObject] = field(default_factory=dict)


def rebuild(installation: Installation) -> RebuildReport:
    """Read every manifest, record of a verification and mark in every storage into the catalogue.

    No row is removed, and of those that are there nothing is lost: see ``reconcile``. All failures are in the report.
    """
    report = RebuildReport()
    found = _Found()
    use = storage_use(installation.catalog.engine)
    for settings in installation.settings.storages:
        try:
            _read_storage(installation, installation.storage(settings.name), found, report)
            if not any(where == settings.name and key.endswith(MANIFEST_SUFFIX) for where, key in found.listing):
                _say_empty(settings, use.get(settings.name), report)
        except BackupsError as error:
            report.unreadable.append(f"storage {settings.name}: {error}")
    with savepoints(installation.catalog.engine) as connection:
        known = {backup.id: backup for backup in installation.catalog.backups.list()}
        backups, refused = choose(found.candidates, known)
        report.unreadable += [f"{candidate.where}: {reason}" for candidate, reason in refused]
        for backup in backups:
            try:
                with connection.begin_nested():
                    checks = _save(installation, connection, backup, known.get(backup.id), found)
            except sa.exc.SQLAlchemyError as error:
                reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
                report.unreadable.append(f"{backup.database}/{backup.name}: the catalogue does not take it: {reason}")
                continue
            report.backups += 1
            report.verifications += checks
            _remark(backup, known.get(backup.id), installation.catalog.backups.get(backup.id, connection), report)
    if signing_key(installation.settings) is not None:
        report.unsigned = sorted(backup.name for backup in backups if backup.trust == "unsigned")
    report.untrusted.sort()
    report.half_deleted.sort()
    return report


def _say_empty(settings: StorageSettings, use: StorageUse | None, report: RebuildReport) -> None:
    if use is None or not use.backups:
        report.empty.append(settings.name)
        return
    copies = "a copy" if use.backups == 1 else f"{use.backups:,} copies"
    report.unreadable.append(
        f"storage {settings.name}: no manifest is in {settings.url}, though the catalogue knows {copies} there. Is its "
        "disk mounted, and is it the right folder or bucket? What the catalogue says of them was left as it is."
    )


def _remark(backup: Backup, known: Backup | None, saved: Backup, report: RebuildReport) -> None:
    if backup.trust == "untrusted":
        report.untrusted.append(backup.name)
    if saved.state == "deleting":
        report.half_deleted.append(backup.name)
    elif known is None or known.state != "expired":
        missing = [copy for copy in backup.copies if copy.state != "stored"]
        report.incomplete += [f"{backup.name}: {copy.location} is {copy.state}" for copy in missing]


def _save(
    installation: Installation, connection: sa.Connection, backup: Backup, known: Backup | None, found: _Found
) -> int:
    """Save one backup and its checks; return how many checks it has records of."""
    catalog = installation.catalog
    # A record proves the bytes that it names, and no others.
    believed = backup if known is None or known.trust == "untrusted" else known
    proven = {believed.sha256, backup.sha256} if backup.trust == "signed" else {believed.sha256}
    proven |= found.made_from[backup.id]
    checks = [record.verification for record in found.records[backup.id] if record.sha256 in proven]
    marks = latest_of(found.marks[backup.id], backup)
    catalog.backups.add(reconcile(backup, known, checks, marks, found.listing), connection)
    _take_pin(installation, connection, backup, marks.get("pin"))
    for check in checks:
        catalog.verifications.add_missing(check, connection)
    catalog.verifications.settle(backup.id, connection)
    return len(checks)


def _take_pin(installation: Installation, connection: sa.Connection, backup: Backup, mark: Mark | None) -> None:
    """Pin a backup as its mark says, unless the catalogue knows a later word: it may be an older copy of itself."""
    pins = installation.catalog.pins
    known = pins.get(backup.id, connection)
    if mark is not None and (known is None or known.at < mark.at):
        pins.set(Pin(backup.id, mark.set, mark.at, mark.actor, mark.reason, stored=True), connection)


def _read_storage(installation: Installation, storage: Storage, found: _Found, report: RebuildReport) -> None:
    """Read what one storage holds. Raise BackupsError when it cannot be listed, or has gone away."""
    objects = {entry.key: entry for entry in storage.list()}
    found.listing.update({(storage.name, key): entry for key, entry in objects.items()})
    failed_in_a_row = 0
    for key, entry in objects.items():
        try:
            if key.endswith(MANIFEST_SUFFIX):
                manifest = _manifest_in_its_place(installation, storage, key)
                backup = as_stored(manifest, objects)
                made_from = manifest.made_from.sha256 if manifest.made_from is not None else ""
                found.candidates.append(Candidate(backup, storage.location(key), entry.modified_at, made_from))
                if made_from and backup.trust != "untrusted":
                    found.made_from[backup.id].add(made_from)
                if manifest.made_from is not None and backup.trust != "untrusted":
                    found.made_from[backup.id].update(manifest.made_from.earlier)
            elif is_check_key(key):
                record = read_check_record(installation.settings, storage, key)
                found.records[record.verification.backup_id].append(record)
            elif is_mark_key(key):
                mark = read_mark(installation.settings, storage, key)
                found.marks[mark.backup_id].append(mark)
            else:
                continue
            failed_in_a_row = 0
        except BackupsError as error:
            report.unreadable.append(f"{storage.name}: {key}: {error}")
            failed_in_a_row = failed_in_a_row + 1 if isinstance(error, StorageUnavailable) else 0
            if failed_in_a_row == _PATIENCE:
                raise StorageUnavailable("It has gone away while it was being read.", hint="Run it again.") from error


def _manifest_in_its_place(installation: Installation, storage: Storage, key: str) -> Manifest:
    """Read a manifest that lies where its backup's name says. Raise UntrustedManifest, InvalidName, StorageError."""
    manifest = _with_its_signature(installation, read_manifest(installation.settings, storage, key))
    place = manifest_key(manifest.backup.database, manifest.backup.name)
    if key != place:
        raise UntrustedManifest(f"This is the manifest of {place}, in another place.", hint="It is not used.")
    return manifest


def _with_its_signature(installation: Installation, manifest: Manifest) -> Manifest:
    """Return a manifest, untrusted when it has no signature and the catalogue knows that it had one.

    Also one that is untrusted already, for that very reason say: a second look believes it no more than the first.
    """
    if "signature" in manifest.document:
        return manifest
    try:
        known = installation.catalog.backups.get(manifest.backup.id)
    except UnknownName:
        return manifest
    if known.trust == "unsigned":
        return manifest
    return replace(manifest, backup=replace(manifest.backup, trust="untrusted"))


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
