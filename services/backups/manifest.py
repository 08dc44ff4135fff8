"""The manifest: the JSON object beside each backup, written last, that alone suffices to rebuild the catalogue.

Version 1 holds::

    manifest_version, id, name, database, type, actor, reason, note, pinned, adopted, forced,
    source    {server_version, database_bytes, snapshot_at}
    times     {started_at, finished_at}                        ISO 8601, UTC
    object    {key, bytes, sha256, format, compression, compression_level, encryption, recipients}
    plain     {bytes, sha256}                                  the dump before compression
    client    {version}
    excluded  [pattern, …]                                     empty for a whole backup
    excluded_tables  [[schema, name], …]                       what the patterns matched
    excluded_data    [[schema, name], …]                       tables whose rows were left out, and nothing else
    files     {name: [bytes, packed bytes]}                    of directory format: before compression, in the archive
    fingerprint                                                see ``Fingerprint.to_json``; null for an adopted file
    made_from {key, bytes, sha256, compression, compression_level, encryption, recipients, earlier}
                                                               of one that was compressed or encrypted anew: the object
                                                               before that, and the sha256 of those before it
    physical                                                   of a base backup: see ``BaseBackup.to_json``
    signature {algorithm, public_key, value}                   see ``services.backups.signing``
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from services.backups.document_values import BadValue, digest, instant, number, text, texts, yes_or_no
from services.backups.naming import BASE_SUFFIX, check_name, manifest_key
from services.backups.signing import check_document, sign_document
from services.catalog.model import Backup, BackupType, Copy
from services.clock import isoformat
from services.errors import InvalidName, UntrustedManifest
from services.pitr.base_model import check_physical
from services.postgres.fingerprint_model import Fingerprint
from services.settings.model import Settings, is_name
from services.storage.keys import check_key
from services.storage.protocol import Storage, StoredObject

VERSION = 1
EARLIER = 50
"""So many objects that a backup once was its manifest remembers."""


@dataclass(frozen=True)
class MadeFrom:
    """The object that a backup was before it was compressed anew; the plain dump in it is the same."""

    key: str
    bytes: int
    sha256: str
    compression: str
    compression_level: int | None
    encryption: str
    recipients: tuple[str, ...]
    earlier: tuple[str, ...] = ()
    """sha256 of what it was before that, if it was made anew several times: checks of it speak for the dump, too."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read from a storage."""

    backup: Backup
    """As it was when the manifest was written, with one copy: the object beside it; ``trust`` says how far to go."""
    fingerprint: Fingerprint | None
    document: dict[str, Any]
    made_from: MadeFrom | None = None
    files: dict[str, tuple[int, int]] | None = None
    """Of directory format: name as pg_dump calls it -> bytes before compression, bytes in the archive."""
    is_superseded: bool = False
    """Whether it is what ``before`` returns: the document is not that of this object."""

    def before(self) -> Manifest:
        """Return what the manifest says of the object that it has replaced, which may still be there."""
        made_from = self.made_from
        assert made_from is not None  # whoever asks has looked
        copy = self.backup.copies[0]
        location = copy.location.removesuffix(copy.key) + made_from.key
        backup = replace(
            self.backup,
            stored_bytes=made_from.bytes,
            sha256=made_from.sha256,
            compression=made_from.compression,
            compression_level=made_from.compression_level,
            encryption=made_from.encryption,
            recipients=made_from.recipients,
            copies=(replace(copy, key=made_from.key, location=location, bytes=made_from.bytes),),
        )
        return replace(self, backup=backup, made_from=None, is_superseded=True)


def to_document(
    backup: Backup,
    fingerprint: Fingerprint | None,
    *,
    reason: str = "",
    forced: str = "",
    excluded_tables: Sequence[tuple[str, str]] = (),
    excluded_data: Sequence[tuple[str, str]] = (),
    files: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Given a backup with its primary copy first, return its manifest, unsigned."""
    document = {
        "manifest_version": VERSION,
        "id": backup.id,
        "run_id": backup.run_id,
        "name": backup.name,
        "database": backup.database,
        "type": backup.type,
        "actor": backup.actor,
        "reason": reason,
        "note": backup.note,
        "pinned": backup.pinned,
        "adopted": backup.adopted,
        "forced": forced,
        "source": {
            "server_version": backup.server_version,
            "database_bytes": backup.database_bytes,
            "snapshot_at": isoformat(backup.snapshot_at),
        },
        "times": {"started_at": isoformat(backup.started_at), "finished_at": isoformat(backup.finished_at)},
        "object": {
            "key": backup.copies[0].key,
            "bytes": backup.stored_bytes,
            "sha256": backup.sha256,
            "format": backup.format,
            "compression": backup.compression,
            "compression_level": backup.compression_level,
            "encryption": backup.encryption,
            "recipients": list(backup.recipients),
        },
        "plain": {"bytes": backup.plain_bytes, "sha256": backup.plain_sha256},
        "client": {"version": backup.client_version},
        "excluded": list(backup.excluded),
        "excluded_tables": [list(table) for table in excluded_tables],
        "excluded_data": [list(table) for table in excluded_data],
        "fingerprint": fingerprint.to_json() if fingerprint else None,
        **({} if files is None else {"files": {name: list(sizes) for name, sizes in files.items()}}),
    }
    return document if backup.physical is None else document | {"physical": backup.physical}


def write_manifest(settings: Settings, storage: Storage, document: dict[str, Any]) -> StoredObject:
    """Sign a manifest and store it. With this the backup is real. Raise StorageError."""
    return store_document(storage, sign_document(settings, document))


def store_document(storage: Storage, document: dict[str, Any]) -> StoredObject:
    """Store a manifest as it is, signed or not: another storage's, say. Raise StorageError."""
    data = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()
    return storage.put(manifest_key(document["database"], document["name"]), data)


def read_manifest(settings: Settings, storage: Storage, key: str) -> Manifest:
    """Given a manifest's key, read it. A wrong signature makes its backup ``untrusted``; it is not an error here.

    Raise UntrustedManifest when it cannot even be listed (not JSON, unknown version, members missing), StorageError.
    """
    return parse_manifest(settings, storage, storage.get(key), where=storage.location(key))


def parse_manifest(settings: Settings, storage: Storage, data: bytes, *, where: str) -> Manifest:
    """Given a manifest's bytes, return it; see ``read_manifest``."""
    try:
        document = json.loads(data)
        version = document["manifest_version"]
        if version != VERSION:
            raise UntrustedManifest(
                f"The manifest {where} has version {version!r}; this program knows {VERSION}.",
                hint="Use the version of the product that wrote it, or a newer one.",
            )
        backup = _to_backup(document, storage)
        fingerprint = Fingerprint.from_json(document["fingerprint"]) if document["fingerprint"] else None
        made_from, files = _made_from(document, backup), _files(document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = str(error) if isinstance(error, BadValue) else type(error).__name__
        raise UntrustedManifest(
            f"The manifest {where} cannot be read ({why}).",
            hint="It was changed or cut. The backup's object may still be good: try `backups adopt`.",
        ) from error
    # Never signed is not changed: it was made without a signing key. Who knows that it was signed, refuses it there.
    trust = check_document(settings, document) if "signature" in document else "unsigned"
    return Manifest(replace(backup, trust=trust), fingerprint, document, made_from, files)


def compressed_anew(document: dict[str, Any], backup: Backup) -> dict[str, Any]:
    """Given a manifest and its backup as it is now, made anew, return the manifest for that, unsigned."""
    members = ("key", "bytes", "sha256", "compression", "compression_level", "encryption", "recipients")
    before = {name: document["object"][name] for name in members}
    stored = {
        "key": backup.copies[0].key,
        "bytes": backup.stored_bytes,
        "sha256": backup.sha256,
        "compression": backup.compression,
        "compression_level": backup.compression_level,
        "encryption": backup.encryption,
        "recipients": list(backup.recipients),
    }
    if document.get("made_from"):
        earlier = [*document["made_from"].get("earlier", ()), document["made_from"]["sha256"]]
        before["earlier"] = earlier[-EARLIER:]
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    return unsigned | {"object": document["object"] | stored, "made_from": before}


def _made_from(document: dict[str, Any], backup: Backup) -> MadeFrom | None:
    """Return what the manifest says of the object before. Raise BadValue, KeyError."""
    before = document.get("made_from")
    if before is None:
        return None
    level = before["compression_level"]
    return MadeFrom(
        key=_object_key(before, backup.database, backup.name, backup.type),
        bytes=number(before, "bytes"),
        sha256=digest(before, "sha256"),
        compression=text(before, "compression", 12),
        compression_level=None if level is None else number(before, "compression_level", most=100),
        encryption=text(before, "encryption", 12),
        recipients=texts(before, "recipients"),
        earlier=texts(before, "earlier") if "earlier" in before else (),
    )


def _files(document: dict[str, Any]) -> dict[str, tuple[int, int]] | None:
    """Return the files of directory format with their sizes. Raise BadValue."""
    files = document.get("files")
    if files is None:
        return None
    found = {}
    for name, sizes in files.items():
        plain, packed = sizes
        found[name] = (number({"files": plain}, "files"), number({"files": packed}, "files"))
    return found


def _to_backup(document: dict[str, Any], storage: Storage) -> Backup:
    """Return what the manifest says, every value of the kind and size that the catalogue takes. Raise BadValue, …."""
    stored, plain, source, times = (document[part] for part in ("object", "plain", "source", "times"))
    name, database = _names(document)
    kind = _type(document)
    key = _object_key(stored, database, name, kind)
    level, run_id = stored["compression_level"], document.get("run_id")
    copy = Copy(
        storage=storage.name,
        key=key,
        location=storage.location(key),
        storage_class="STANDARD",
        state="stored",
        bytes=number(stored, "bytes"),
        etag="",
        checked_at=None,
    )
    return Backup(
        id=text(document, "id", 40, empty=False),
        run_id=None if run_id is None else text(document, "run_id", 40),
        name=name,
        database=database,
        type=kind,
        state="finished",
        started_at=instant(times, "started_at"),
        finished_at=instant(times, "finished_at"),
        snapshot_at=instant(source, "snapshot_at"),
        database_bytes=number(source, "database_bytes"),
        plain_bytes=number(plain, "bytes"),
        stored_bytes=number(stored, "bytes"),
        sha256=digest(stored, "sha256"),
        plain_sha256=digest(plain, "sha256"),
        format=text(stored, "format", 12),
        compression=text(stored, "compression", 12),
        compression_level=None if level is None else number(stored, "compression_level", most=100),
        encryption=text(stored, "encryption", 12),
        recipients=texts(stored, "recipients"),
        server_version=text(source, "server_version", 40),
        client_version=text(document["client"], "version", 40),
        excluded=texts(document, "excluded"),
        pinned=yes_or_no(document, "pinned"),
        adopted=yes_or_no(document, "adopted"),
        note=text(document, "note", 100_000),
        actor=text(document, "actor", 200),
        trust="untrusted",
        copies=(copy,),
        physical=check_physical(document["physical"]) if kind == "base" else None,
    )


def _names(document: dict[str, Any]) -> tuple[str, str]:
    name, database = text(document, "name", 120), text(document, "database", 63)
    try:
        check_name(name)
    except InvalidName as error:
        raise BadValue("name is not one that a backup may have") from error
    if not is_name(database):
        raise BadValue("database is not one that a database may be called here")
    return name, database


def _object_key(stored: dict[str, Any], database: str, name: str, kind: BackupType) -> str:
    """Return the key of the object, which lies beside its manifest: a manifest speaks for no other object."""
    key = text(stored, "key", 300)
    try:
        check_key(key)
    except InvalidName as error:
        raise BadValue("object.key is not a key") from error
    if not key.startswith(f"{database}/{name}{BASE_SUFFIX if kind == 'base' else '.dump'}"):
        raise BadValue("object.key is not that of this backup")
    return key


def _type(document: dict[str, Any]) -> BackupType:
    kinds: tuple[BackupType, ...] = get_args(BackupType)
    for known in kinds:
        if document["type"] == known:
            return known
    raise BadValue("type is none that is known")
