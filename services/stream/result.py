"""What a pass over a backup stream found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamResult:
    """Sizes in bytes and sha256 in hex, of the plain dump and of the stored bytes, and the time that the pass took."""

    plain_bytes: int
    plain_sha256: str
    stored_bytes: int
    stored_sha256: str
    seconds: float


class Meter:
    """Counts and hashes the bytes that pass one point."""

    def __init__(self) -> None:
        self.bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
