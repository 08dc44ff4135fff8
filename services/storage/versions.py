"""Buckets that keep versions: what is deleted there is hidden behind a marker, and stays readable as an older version.

Where a storage locks (``object_lock``), deletions name each version (``services.storage.s3_lock``). Elsewhere versions
are the bucket's owner's: they may be what keeps backups from whoever has the credential. So we delete none, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.storage.s3_errors import said_plainly, status_of

if TYPE_CHECKING:
    from services.storage.s3 import S3Storage


_UNTOLD = (400, 403, 404, 405, 501)
"""Answers of a server that has no such question, or does not let this credential ask it."""


def keeps_versions(storage: S3Storage) -> bool:
    """Say whether the bucket keeps versions: by its settings, or by what the last deletions there were answered.

    Raise StorageError.
    """
    with said_plainly(storage.place, "asking for versions"):
        try:
            answer = storage.client.get_bucket_versioning(Bucket=storage.bucket)
        except ClientError as error:
            if status_of(error) not in _UNTOLD:
                raise
            return storage.markers > 0
    return bool(answer.get("Status"))  # suspended ones keep what they had


def versions_go_after(storage: S3Storage) -> int | None:
    """Return the days after which a lifecycle rule removes older versions of ours; None for never, or nobody can tell.

    Raise StorageError.
    """
    with said_plainly(storage.place, "asking for lifecycle rules"):
        try:
            answer = storage.client.get_bucket_lifecycle_configuration(Bucket=storage.bucket)
        except ClientError as error:
            if status_of(error) not in _UNTOLD:
                raise
            return None
    return _days(answer.get("Rules", ()), storage.prefix)


def _days(rules: Sequence[Mapping[str, Any]], prefix: str) -> int | None:
    found = []
    for rule in rules:
        chosen = rule.get("Filter") or {}
        whole = not set(chosen) - {"Prefix"} and prefix.startswith(chosen.get("Prefix", rule.get("Prefix", "")))
        expiration = rule.get("NoncurrentVersionExpiration") or {}
        days = expiration.get("NoncurrentDays")
        if rule.get("Status") == "Enabled" and whole and days and not expiration.get("NewerNoncurrentVersions"):
            found.append(int(days))
    return min(found, default=None)
