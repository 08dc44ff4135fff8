"""A base backup: a copy of a whole server's data folder, from which recovery goes on through the write-ahead log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.backups.document_values import BadValue, digest, instant, number, text
from services.catalog.model import Backup
from services.clock import isoformat
from services.errors import InputError, UntrustedManifest
from services.pitr.wal_names import check_segment_bytes, format_lsn, parse_lsn, segment_of

FORMAT = "base-tar"
"""What ``Backup.format`` says of a base backup: the tar of ``pg_basebackup``, its ``backup_manifest`` last."""


@dataclass(frozen=True)
class BaseBackup:
    """A backup of type ``base``, with what recovery needs to know of it."""

    backup: Backup
    system_identifier: str
    """Of the server: decimal digits, as ``pg_control_system()`` says it. Its WAL alone fits."""
    timeline: int
    start_lsn: int
    """Where recovery begins to read."""
    stop_lsn: int
    """Recovery has to come this far before the data are consistent: no target lies before it."""
    segment_bytes: int
    server_major: int
    started_at: datetime
    """By the server's clock, as ``stopped_at``."""
    stopped_at: datetime
    superuser: str
    """The role that initdb made; the one that is always there."""
    manifest_sha256: str
    """Of the backup manifest of PostgreSQL, which names every file with its sha256."""
    parent_id: str | None = None
    """Of an incremental one: the base backup that it stands on."""

    @classmethod
    def of(cls, backup: Backup) -> BaseBackup:
        """Return the base backup that a backup of type ``base`` is. Raise InputError, UntrustedManifest."""
        if backup.type != "base" or backup.physical is None:
            raise InputError(f"{backup.name} is not a base backup.", hint="See `backups pitr list`.")
        try:
            return cls(backup=backup, **_parse(backup.physical))
        except (BadValue, KeyError, TypeError, InputError) as error:
            raise UntrustedManifest(
                f"What is recorded of the base backup {backup.name} cannot be read ({type(error).__name__}).",
                hint="`backups rebuild` reads it from the storages again.",
            ) from error

    @property
    def first_segment(self) -> int:
        """The number of the first segment of WAL that it needs."""
        return segment_of(self.start_lsn, self.segment_bytes)

    @property
    def last_segment(self) -> int:
        """The number of the segment without which it is not consistent."""
        return segment_of(max(self.stop_lsn - 1, self.start_lsn), self.segment_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest and the catalogue keep, beside the backup itself."""
        return {
            "system_identifier": self.system_identifier,
            "timeline": self.timeline,
            "start_lsn": format_lsn(self.start_lsn),
            "stop_lsn": format_lsn(self.stop_lsn),
            "segment_bytes": self.segment_bytes,
            "server_major": self.server_major,
            "started_at": isoformat(self.started_at),
            "stopped_at": isoformat(self.stopped_at),
            "superuser": self.superuser,
            "manifest_sha256": self.manifest_sha256,
            "parent_id": self.parent_id,
        }


def bases_of(backups: Iterable[Backup]) -> list[BaseBackup]:
    """Return the sound base backups among these, oldest first; what cannot be read or failed a check is left out."""
    found = []
    for backup in backups:
        if backup.type == "base" and backup.is_sound:
            try:
                found.append(BaseBackup.of(backup))
            except UntrustedManifest:
                continue
    return sorted(found, key=lambda base: (base.stopped_at, base.backup.id))


def check_physical(part: Any) -> dict[str, Any]:
    """Return a manifest's member ``physical`` if every value is of its kind. Raise BadValue, KeyError."""
    try:
        _parse(part)
    except InputError as error:
        raise BadValue("physical holds what is no position or size of WAL") from error
    return dict(part)


def _parse(part: Mapping[str, Any]) -> dict[str, Any]:
    identifier = text(part, "system_identifier", 20, empty=False)
    if not identifier.isascii() or not identifier.isdigit():
        raise BadValue("physical.system_identifier is not a number")
    parent = part.get("parent_id")
    return {
        "system_identifier": identifier,
        "timeline": number(part, "timeline", most=2**32 - 1),
        "start_lsn": parse_lsn(text(part, "start_lsn", 20)),
        "stop_lsn": parse_lsn(text(part, "stop_lsn", 20)),
        "segment_bytes": check_segment_bytes(number(part, "segment_bytes")),
        "server_major": number(part, "server_major", most=1000),
        "started_at": instant(part, "started_at"),
        "stopped_at": instant(part, "stopped_at"),
        "superuser": text(part, "superuser", 63, empty=False),
        "manifest_sha256": digest(part, "manifest_sha256"),
        "parent_id": None if parent is None else text(part, "parent_id", 40, empty=False),
    }
