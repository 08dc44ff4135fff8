"""Where the write-ahead log lies in a storage, and what a key says of its object.

``DATABASE/wal/SYSTEMID/TIMELINE/SEGMENT-SHA.zst.age``: SHA is the first 32 digits of the plain file's sha256, so that a
listing says what is there and with which content. History files lie beside the timelines' folders, which PostgreSQL
looks for by name alone; without ``.age`` it is not encrypted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.errors import InputError
from services.pitr.wal_names import history_timeline, is_backup_label, is_partial, is_segment

SHA_DIGITS = 32
_KEY = re.compile(
    r"(?P<database>[^/]+)/wal/(?P<system>\d{1,20})/((?P<folder>[0-9A-F]{8})/)?"
    r"(?P<file>[0-9A-F]{8}\.history|[0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?)"
    r"-(?P<sha>[0-9a-f]{32})\.zst(?P<age>\.age)?\Z"
)


@dataclass(frozen=True)
class WalKey:
    """The parts of a key."""

    database: str
    system_identifier: str
    file: str
    """As PostgreSQL calls it: ``000000010000000000000002``, ``00000002.history``, ``….partial``, ``….backup``."""
    sha_prefix: str
    encrypted: bool

    @property
    def timeline(self) -> int:
        return int(self.file[:8], 16)

    def text(self) -> str:
        """Return the key itself."""
        suffix = ".zst.age" if self.encrypted else ".zst"
        return f"{file_prefix(self.database, self.system_identifier, self.file)}{self.sha_prefix}{suffix}"


def parse_key(key: str) -> WalKey | None:
    """Return what a key says, or None when it is none of ours."""
    found = _KEY.match(key)
    if found is None:
        return None
    parsed = WalKey(found["database"], found["system"], found["file"], found["sha"], found["age"] is not None)
    return parsed if parsed.text() == key else None  # in another folder it is not what its name says


def wal_prefix(database: str) -> str:
    """Return what all keys of a database's log begin with."""
    return f"{database}/wal/"


def cluster_prefix(database: str, system_identifier: str) -> str:
    """Return what the keys of one cluster's log begin with."""
    return f"{wal_prefix(database)}{system_identifier}/"


def file_prefix(database: str, system_identifier: str, file: str) -> str:
    """Return what the keys of one file begin with, whatever its content. Raise InputError for a name that is none."""
    if history_timeline(file) is not None:
        folder = ""
    elif is_segment(file) or is_partial(file) or is_backup_label(file):
        folder = f"{file[:8]}/"
    else:
        raise InputError(
            f"{file!r} is no file of a write-ahead log.",
            hint="PostgreSQL's %f is the name of a segment (24 hexadecimal digits) or of a timeline's history.",
        )
    return f"{cluster_prefix(database, system_identifier)}{folder}{file}-"
