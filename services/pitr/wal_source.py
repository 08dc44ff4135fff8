"""A file of ``pg_wal`` before it is stored: opened, compared with its name, measured."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from services.errors import InputError
from services.pitr.errors import OtherCluster
from services.pitr.wal_header import HEADER_BYTES, read_header
from services.pitr.wal_names import SegmentName, is_segment

_PIECE = 1 << 20


def opened(path: Path) -> BinaryIO:
    """Open a file. Raise InputError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def check_content(path: Path, file: BinaryIO, system_identifier: str) -> None:
    """Compare what a segment says of itself with its name and with the archive's cluster.

    Raise OtherCluster, InputError.
    """
    name = path.name.removesuffix(".partial")
    if not is_segment(name):
        return
    header = read_header(file.read(HEADER_BYTES))
    file.seek(0)
    if header.system_identifier != system_identifier:
        raise OtherCluster(
            f"{path.name} is of cluster {header.system_identifier}, and this archive of {system_identifier}. "
            "It was not stored."
        )
    segment = SegmentName.parse(name, header.segment_bytes)
    if header.start_lsn != segment.start_lsn(header.segment_bytes) or header.timeline > segment.timeline:
        raise InputError(
            f"{path.name} does not hold what its name says.",
            hint="It was renamed, or recycled and not yet written.",
        )
    size = os.fstat(file.fileno()).st_size
    if size != header.segment_bytes:
        raise InputError(f"{path.name} has {size:,} bytes where a segment has {header.segment_bytes:,}.")


def measure(file: BinaryIO) -> tuple[int, str]:
    """Return size and sha256 of a file, and set it back to its beginning."""
    digest, size = hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    file.seek(0)
    return size, digest.hexdigest()


def refuse_changed(name: str, before: str, after: str) -> None:
    """Raise InputError when a file's sha256 is another one once it was stored."""
    if before != after:
        raise InputError(f"{name} was changed while it was being read.", hint="Nothing was stored.")
