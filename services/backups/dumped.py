"""What the one snapshot gave, by whichever method it was dumped."""

from __future__ import annotations

from dataclasses import dataclass

from services.backups.describe import Dump
from services.postgres.fingerprint_model import Fingerprint
from services.storage.protocol import StoredObject
from services.stream.result import StreamResult


@dataclass(frozen=True)
class Dumped:
    """A stored dump, and the fingerprint of what it holds."""

    dump: Dump
    stream: StreamResult
    stored: StoredObject
    fingerprint: Fingerprint
    files: dict[str, tuple[int, int]] | None = None
    """Of directory format: name as pg_dump calls it -> bytes before compression, bytes in the archive."""
