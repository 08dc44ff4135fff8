"""The manifest of a stored backup, read anew, believed, and in agreement with the catalogue."""

from __future__ import annotations

from services.backups.manifest import Manifest, read_manifest
from services.backups.mounted import mounted_storage
from services.backups.naming import manifest_key
from services.backups.signing import check_document
from services.catalog.model import Backup, Copy
from services.clock import isoformat
from services.errors import ObjectMissing, UntrustedManifest
from services.installation import Installation
from services.jobs.context import RunContext
from services.settings.model import Settings
from services.storage.presence import is_there

_RECORDED = (
    "id", "sha256", "stored_bytes", "plain_sha256", "plain_bytes", "format", "compression", "encryption", "recipients",
    "excluded",
)  # fmt: skip


NEVER_SIGNED = "its manifest was never signed: nobody vouches for its fingerprint. It was made without a signing key."


class UnknownSigner(UntrustedManifest):
    """The manifest is whole, but its signer is not trusted here: the settings may be at fault, not the backup."""


def read_evidence(installation: Installation, backup: Backup, copy: Copy) -> Manifest:
    """Return the manifest beside a copy.

    Raise ObjectMissing when the copy is gone with it; UntrustedManifest when it alone is missing, was changed, cannot
    be read or describes another backup than the catalogue does; UnknownSigner when all that is known against it is its
    key; StorageError when the storage is away.
    """
    storage = mounted_storage(installation, copy.storage)
    key = manifest_key(backup.database, backup.name)
    try:
        manifest = read_manifest(installation.settings, storage, key)
    except ObjectMissing as error:
        if not is_there(storage, copy.key):
            raise ObjectMissing(
                f"Neither {backup.name} nor its manifest is there: {copy.location}.",
                hint="It was deleted, or this is another disk or bucket. Use another copy or another backup.",
            ) from error
        raise UntrustedManifest(
            f"The manifest of {backup.name} is missing: {storage.location(key)}.",
            hint="Without it the backup cannot be proven or rebuilt. Use another copy or another backup.",
        ) from error
    if manifest.backup.trust == "untrusted" and not _intact(installation.settings, manifest):
        raise UntrustedManifest(
            f"The manifest of {backup.name} has no valid signature: {storage.location(key)}.",
            hint="It was changed since it was signed. Use another copy or another backup.",
        )
    if backup.trust == "signed" and "signature" not in manifest.document:
        raise UntrustedManifest(
            f"The manifest of {backup.name} has lost its signature: {storage.location(key)}.",
            hint="The catalogue knows it as signed, so it was changed since. Use another copy or another backup.",
        )
    if manifest.made_from is not None and manifest.made_from.sha256 == backup.sha256:
        # It was being compressed anew, and the catalogue was not told: the object that it knows is still there.
        manifest = manifest.before()
    differing = [name for name in _RECORDED if getattr(manifest.backup, name) != getattr(backup, name)]
    if isoformat(manifest.backup.snapshot_at) != isoformat(backup.snapshot_at):  # the manifest holds milliseconds
        differing.append("snapshot_at")
    if differing:
        raise UntrustedManifest(
            f"The manifest of {backup.name} and the catalogue disagree about {', '.join(differing)}.",
            hint="One of them was changed. `backups rebuild` restores the catalogue from the manifests.",
        )
    if manifest.backup.trust == "untrusted":
        signer = manifest.document["signature"]["public_key"]
        raise UnknownSigner(
            f"The manifest of {backup.name} is signed by {signer}, a key that is not trusted here.",
            hint="Set the signing key (or the age key) that it was made with; or, if you know whose key that is, add "
            "it to trusted_signers.",
        )
    return manifest


def read_evidence_aloud(installation: Installation, backup: Backup, copy: Copy, run: RunContext) -> Manifest:
    """Return the manifest beside a copy, as ``read_evidence`` does; one that was never signed is said in the log."""
    manifest = read_evidence(installation, backup, copy)
    if "signature" not in manifest.document:
        run.log(f"{backup.name}: {NEVER_SIGNED}", "warning")
    return manifest


def _intact(settings: Settings, manifest: Manifest) -> bool:
    """Say whether the manifest is as somebody, known or not, signed it."""
    signature = manifest.document.get("signature")
    if not isinstance(signature, dict):
        return False
    believing = settings.model_copy(update={"trusted_signers": (str(signature.get("public_key")),)})
    return check_document(believing, manifest.document) == "signed"
