"""Level ``stored``: the object and its manifest are there, and the storage says of them what was recorded."""

from __future__ import annotations

from services.catalog.model import Backup, Copy
from services.installation import Installation
from services.units import format_bytes
from services.verification.finding import Finding, compare_sizes_and_hashes, in_words


def check_stored(installation: Installation, backup: Backup, copy: Copy) -> Finding:
    """Compare size and ETag as the storage reports them. Raise ObjectMissing, StorageError."""
    found = installation.storage(copy.storage).stat(copy.key)
    # A catalogue that was rebuilt from manifests holds no ETag: the storage alone knows it.
    etag = (copy.etag or found.etag, found.etag)
    differing = compare_sizes_and_hashes(bytes=(backup.stored_bytes, found.bytes), etag=etag)
    detail = {"bytes": found.bytes, "etag": found.etag, "etag_compared": bool(copy.etag), "differing": differing}
    if differing:
        return Finding("failed", f"The stored object was changed: {in_words(differing)}.", detail, "damaged", "copy")
    compared = "size and ETag" if copy.etag else "size"
    reason = f"Present with its manifest, {format_bytes(found.bytes)}; {compared} as recorded."
    return Finding("passed", reason, detail, "stored")
