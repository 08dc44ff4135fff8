"""The manifest of a stored backup, read anew, believed, and in agreement with the catalogue."""

from __future__ import annotations

from services.backups.manifest import Manifest, read_manifest
from services.backups.naming import manifest_key
from services.catalog.model import Backup, Copy
from services.clock import isoformat
from services.errors import ObjectMissing, UntrustedManifest
from services.installation import Installation

_RECORDED = (
    "id", "sha256", "stored_bytes", "plain_sha256", "plain_bytes", "format", "compression", "encryption", "recipients",
    "excluded",
)  # fmt: skip


def read_evidence(installation: Installation, backup: Backup, copy: Copy) -> Manifest:
    """Return the manifest beside a copy.

    Raise UntrustedManifest when it is missing, its signature is wrong, it cannot be read or it describes another backup
    than the catalogue does, StorageError when the storage is away.
    """
    storage = installation.storage(copy.storage)
    key = manifest_key(backup.database, backup.name)
    try:
        manifest = read_manifest(installation.settings, storage, key)
    except ObjectMissing as error:
        raise UntrustedManifest(
            f"The manifest of {backup.name} is missing: {storage.location(key)}.",
            hint="Without it the backup cannot be proven or rebuilt. Use another copy or another backup.",
        ) from error
    if manifest.backup.trust == "untrusted":
        raise UntrustedManifest(
            f"The manifest of {backup.name} is not signed by a key that is trusted here: {storage.location(key)}.",
            hint="It was changed, or made elsewhere: then add that installation's public key to trusted_signers.",
        )
    differing = [name for name in _RECORDED if getattr(manifest.backup, name) != getattr(backup, name)]
    if isoformat(manifest.backup.snapshot_at) != isoformat(backup.snapshot_at):  # the manifest holds milliseconds
        differing.append("snapshot_at")
    if differing:
        raise UntrustedManifest(
            f"The manifest of {backup.name} and the catalogue disagree about {', '.join(differing)}.",
            hint="One of them was changed. `backups rebuild` restores the catalogue from the manifests.",
        )
    return manifest
