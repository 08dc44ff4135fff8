"""Anchors: once a day, how far the log has come is written into each storage, signed as manifests are, and never again.

``audit/anchor-NUMBER-HASH16.json`` holds::

    kind, version, chain (the hash of row 1), number, hash, at, signature

Whoever can change the catalogue cannot change the past without this being found, nor cut the newest rows off.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.backups.mounted import mounted_storage
from services.backups.signing import check_document, sign_document
from services.catalog.model import Trust
from services.clock import isoformat, parse_instant
from services.errors import AlreadyExists, StorageUnavailable
from services.installation import Installation
from services.storage.local import LocalStorage
from services.storage.protocol import Storage

KIND = "backups audit anchor"
VERSION = 1
PREFIX = "audit/anchor-"
_AT_ONCE = 8
"""So many are read at the same time: there is one a day, and each takes a round trip."""
_KEY = re.compile(r"audit/anchor-(\d{12})-([0-9a-f]{16})\.json\Z")


@dataclass(frozen=True)
class Anchor:
    """What a storage says of the log."""

    storage: str
    key: str
    number: int
    hash: str
    """Whole, or of one that cannot be used its first 16 digits."""
    chain: str = ""
    """Empty for one that cannot be used."""
    at: datetime | None = None
    trust: Trust | None = None
    """None for one that cannot be used."""
    fault: str = ""
    """Why it cannot be used."""


def write_anchor(installation: Installation, storage_name: str, *, chain: str, number: int, digest: str) -> Anchor:
    """Store an anchor; one that is there already and says the same is as good. Raise StorageError, AlreadyExists."""
    storage = mounted_storage(installation, storage_name)
    if isinstance(storage, LocalStorage) and not storage.is_mounted:
        raise StorageUnavailable(
            f"Nothing is stored in {storage.url} yet, so nobody knows whether its disk is mounted.",
            hint="The anchor follows once a backup is stored there.",
        )
    now = installation.clock()
    document: dict[str, Any] = {
        "kind": KIND, "version": VERSION, "chain": chain, "number": number, "hash": digest, "at": isoformat(now),
    }  # fmt: skip
    key = f"{PREFIX}{number:012d}-{digest[:16]}.json"
    data = json.dumps(sign_document(installation.settings, document), indent=1).encode()
    try:
        writer = storage.writer(key, expected_bytes=len(data))
        try:
            writer.write(data)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
    except AlreadyExists:
        there = _read(installation, storage, key)
        if (there.chain, there.number, there.hash) != (chain, number, digest) or there.trust == "untrusted":
            raise
    return Anchor(storage_name, key, number, digest, chain, now, "signed")


def read_anchors(installation: Installation, storage_name: str) -> list[Anchor]:
    """Return a storage's anchors, the lowest number first. Raise StorageError, UnknownName.

    All are read: those of a log that was lost may have higher numbers than those of the one that is here.
    """
    storage = mounted_storage(installation, storage_name)
    if isinstance(storage, LocalStorage) and not storage.root.is_dir():
        return []
    keys = sorted(entry.key for entry in storage.list(PREFIX) if _KEY.match(entry.key))
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        return list(readers.map(lambda key: _read(installation, storage, key), keys))


def _read(installation: Installation, storage: Storage, key: str) -> Anchor:
    """Read an anchor. One that cannot be used says why; raise StorageError when the storage is away."""
    match = _KEY.match(key)
    assert match is not None
    number, beginning = int(match[1]), match[2]
    try:
        document = json.loads(storage.get(key))
        anchor = Anchor(
            storage.name, key, int(document["number"]), str(document["hash"]), str(document["chain"]),
            parse_instant(document["at"]), check_document(installation.settings, document),
        )  # fmt: skip
        is_one = document["kind"] == KIND and document["version"] == VERSION
    except (ValueError, KeyError, TypeError, AttributeError):
        return Anchor(storage.name, key, number, beginning, fault="it cannot be read")
    if not is_one or anchor.number != number or not anchor.hash.startswith(beginning):
        return Anchor(storage.name, key, number, beginning, fault="it is not the anchor that its name says")
    return anchor
