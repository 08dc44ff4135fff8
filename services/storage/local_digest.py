"""The sha256 of a local file, kept in an extended attribute together with the size and time that it was taken at."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_ATTRIBUTE = "user.backups.sha256"
_HAS_ATTRIBUTES = hasattr(os, "setxattr")
"""Python knows extended attributes on Linux alone; elsewhere ``stat`` reads the file."""


def sha256_of(path: Path) -> str:
    """Read a file and return its sha256."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember(path: Path, digest: str) -> None:
    """Keep the sha256 of a file's present content, where the file system can."""
    if not _HAS_ATTRIBUTES:
        return
    status = path.stat()
    with suppress(OSError):  # no extended attributes here: stat will read the file instead
        os.setxattr(path, _ATTRIBUTE, f"{digest} {status.st_size} {status.st_mtime_ns}".encode())


def remembered(path: Path, status: os.stat_result) -> str:
    """Return the sha256 kept with the file, empty when there is none or the file was changed since."""
    if not _HAS_ATTRIBUTES:
        return ""
    try:
        kept = os.getxattr(path, _ATTRIBUTE).decode("ascii", "replace").split(" ")
    except OSError:
        return ""
    fits = len(kept) == 3 and kept[1:] == [str(status.st_size), str(status.st_mtime_ns)]
    return kept[0] if fits else ""
