"""PostgreSQL's own backup manifest: every file of a base backup with its size and checksum, and the WAL that it needs.

Format: "Backup Manifest Format" in PostgreSQL's documentation; version 1 up to PostgreSQL 16, version 2 since 17.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from services.errors import BackupsError, CorruptBackup
from services.pitr.wal_names import parse_lsn

NAME = "backup_manifest"
_AGAIN = "Use another copy or another backup."


@dataclass(frozen=True)
class WalRange:
    """WAL of one timeline that is needed for the data to become consistent."""

    timeline: int
    start_lsn: int
    end_lsn: int


@dataclass(frozen=True)
class ListedFile:
    """One file as the manifest lists it."""

    size: int
    checksum: str
    """sha256 in hexadecimal, lower case."""


@dataclass(frozen=True)
class BackupManifest:
    """A manifest whose own checksum is right."""

    files: dict[str, ListedFile]
    """By path within the data folder."""
    wal: tuple[WalRange, ...]
    """Newest timeline first, as PostgreSQL writes them."""
    system_identifier: str | None
    """From version 2 on."""
    sha256: str
    """Of all its bytes."""

    @classmethod
    def parse(cls, data: bytes) -> BackupManifest:
        """Given its bytes, return it. Raise CorruptBackup for any that were changed since the server wrote them."""
        # The last line is the checksum of all that stands before it.
        end = data.rstrip().rfind(b"\n") + 1
        try:
            document = json.loads(data)
            if document["Manifest-Checksum"] != hashlib.sha256(data[:end]).hexdigest():
                raise CorruptBackup("The backup manifest of the base backup was changed.", hint=_AGAIN)
            if document["PostgreSQL-Backup-Manifest-Version"] not in (1, 2):
                raise BackupsError(
                    f"The backup manifest has version {document['PostgreSQL-Backup-Manifest-Version']}, which is "
                    "unknown here.",
                    hint="It needs a newer version of this product.",
                )
            files = {_path(entry): _file(entry) for entry in document["Files"]}
            ranges = tuple(
                WalRange(entry["Timeline"], parse_lsn(entry["Start-LSN"]), parse_lsn(entry["End-LSN"]))
                for entry in document["WAL-Ranges"]
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptBackup(
                f"The backup manifest of the base backup cannot be read ({type(error).__name__}).", hint=_AGAIN
            ) from error
        identifier = document.get("System-Identifier")
        return cls(files, ranges, None if identifier is None else str(identifier), hashlib.sha256(data).hexdigest())


def _path(entry: dict[str, Any]) -> str:
    if "Path" in entry:
        return str(entry["Path"])
    # A name that is no UTF-8 is written in hexadecimal.
    return bytes.fromhex(entry["Encoded-Path"]).decode("utf-8", "surrogateescape")


def _file(entry: dict[str, Any]) -> ListedFile:
    if entry["Checksum-Algorithm"] != "SHA256":
        raise ValueError("another checksum than SHA256")
    return ListedFile(int(entry["Size"]), str(entry["Checksum"]).lower())
