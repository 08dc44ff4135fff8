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
    fingerprint                                                see ``Fingerprint.to_json``; null for an adopted file
    signature {algorithm, public_key, value}                   see ``services.backups.signing``
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.backups.naming import manifest_key
from services.backups.signing import check_document, sign_document
from services.catalog.model import Backup, Copy
from services.clock import isoformat, parse_instant
from services.errors import UntrustedManifest
from services.postgres.fingerprint_model import Fingerprint
from services.settings.model import Settings
from services.storage.protocol import Storage, StoredObject

VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read from a storage."""

    backup: Backup
    """As it was when the manifest was written, with one copy: the object beside it; ``trust`` says how far to go."""
    fingerprint: Fingerprint | None
    document: dict[str, Any]


def to_document(
    backup: Backup,
    fingerprint: Fingerprint | None,
    *,
    reason: str = "",
    forced: str = "",
    excluded_tables: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Given a backup with its primary copy first, return its manifest, unsigned."""
    return {
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
        "fingerprint": fingerprint.to_json() if fingerprint else None,
    }


def write_manifest(settings: Settings, storage: Storage, document: dict[str, Any]) -> StoredObject:
    """Sign a manifest and store it. With this the backup is real. Raise StorageError."""
    signed = sign_document(settings, document)
    data = json.dumps(signed, indent=1, sort_keys=True, ensure_ascii=False).encode()
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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UntrustedManifest(
            f"The manifest {where} cannot be read ({type(error).__name__}).",
            hint="It was changed or cut. The backup's object may still be good: try `backups adopt`.",
        ) from error
    return Manifest(replace(backup, trust=check_document(settings, document)), fingerprint, document)


def _to_backup(document: dict[str, Any], storage: Storage) -> Backup:
    stored, plain, source, times = (document[part] for part in ("object", "plain", "source", "times"))
    key = str(stored["key"])
    copy = Copy(
        storage=storage.name,
        key=key,
        location=storage.location(key),
        storage_class="STANDARD",
        state="stored",
        bytes=int(stored["bytes"]),
        etag="",
        checked_at=None,
    )
    return Backup(
        id=str(document["id"]),
        run_id=document.get("run_id"),
        name=str(document["name"]),
        database=str(document["database"]),
        type=document["type"],
        state="finished",
        started_at=parse_instant(times["started_at"]),
        finished_at=parse_instant(times["finished_at"]),
        snapshot_at=parse_instant(source["snapshot_at"]),
        database_bytes=int(source["database_bytes"]),
        plain_bytes=int(plain["bytes"]),
        stored_bytes=int(stored["bytes"]),
        sha256=str(stored["sha256"]),
        plain_sha256=str(plain["sha256"]),
        format=str(stored["format"]),
        compression=str(stored["compression"]),
        compression_level=stored["compression_level"],
        encryption=str(stored["encryption"]),
        recipients=tuple(map(str, stored["recipients"])),
        server_version=str(source["server_version"]),
        client_version=str(document["client"]["version"]),
        excluded=tuple(map(str, document["excluded"])),
        pinned=bool(document["pinned"]),
        adopted=bool(document["adopted"]),
        note=str(document["note"]),
        actor=str(document["actor"]),
        trust="untrusted",
        copies=(copy,),
    )
