"""What the credentials of an S3 storage may do and must not: each is tried on small objects of our own.

The worker's credential writes, reads and lists; deletions alone use the second one. Where there is one only, or the
first may delete as well, whoever takes the worker's machine can delete every backup, unless they are locked.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from services.credentials.role import Finding
from services.errors import AccessDenied, StorageError
from services.settings.model import StorageSettings
from services.storage.protocol import Storage
from services.storage.s3_errors import said_plainly

if TYPE_CHECKING:
    from services.storage.s3 import S3Storage

POLICY = "docs/credentials.md has the policies to copy."
ONE = "One credential writes and deletes: whoever has it can delete every backup here."
VERSIONS = (
    "The bucket keeps versions, and nothing is known to remove them: what cleanup deletes and a rotation replaces can "
    "still be read as an older version, with the key of then."
)
MAY_DELETE = "The credential that writes may delete as well, although there is a second one for that."
MAY_WRITE = "The credential that deletes may write as well."
MAY_READ = "The credential that deletes may read backups."


def check_credentials(settings: StorageSettings, storage: Storage) -> Iterator[Finding]:
    """Try what each credential of a storage must not be able to do. Yield nothing for a folder. Raise StorageError."""
    if settings.is_local:
        return
    from services.storage.s3 import S3Storage  # boto3, where it is needed

    assert isinstance(storage, S3Storage)  # what is not a folder is S3
    if settings.delete_access_key_id is None:
        locked = settings.object_lock in ("governance", "compliance")
        hint = (
            f"Set delete_access_key_id and delete_secret_access_key, and take s3:DeleteObject from this one. {POLICY}"
        )
        if locked:
            yield "ok", "One credential writes and deletes; what is locked it cannot delete.", ""
        else:
            yield "warning", ONE, hint
        return
    found = list(_try_two(storage))
    yield from found
    if not found:
        yield "ok", "The credential that writes cannot delete, the one that deletes cannot write.", ""


def _try_two(storage: S3Storage) -> Iterator[Finding]:
    key = f".probe/{uuid.uuid4().hex}"
    _put(storage, storage.client, key)
    try:
        if not _is_denied(lambda: _delete(storage, storage.client, key)):
            yield "warning", MAY_DELETE, f"Take s3:DeleteObject and s3:DeleteObjectVersion from it. {POLICY}"
            _put(storage, storage.client, key)
        if not _is_denied(lambda: _put(storage, storage.deleter, key)):
            yield "warning", MAY_WRITE, f"Take s3:PutObject from it. {POLICY}"
        if not _is_denied(lambda: _read(storage, storage.deleter, key)):
            yield "warning", MAY_READ, f"Take s3:GetObject from it. {POLICY}"
        try:
            storage.delete(key)
        except AccessDenied as error:
            yield "failed", f"The credential that deletes cannot: {error.message}", POLICY
    finally:
        with suppress(StorageError):
            storage.delete(key)


def _put(storage: S3Storage, client: Any, key: str) -> None:
    with said_plainly(storage.place, "writing a probe"):
        client.put_object(Bucket=storage.bucket, Key=storage.full(key), Body=os.urandom(16))


def _read(storage: S3Storage, client: Any, key: str) -> None:
    with said_plainly(storage.place, "reading a probe"):
        client.get_object(Bucket=storage.bucket, Key=storage.full(key))["Body"].close()


def _delete(storage: S3Storage, client: Any, key: str) -> None:
    with said_plainly(storage.place, "deleting a probe"):
        client.delete_object(Bucket=storage.bucket, Key=storage.full(key))


def _is_denied(attempt: Callable[[], object]) -> bool:
    """Say whether an attempt was refused for want of a right. Raise StorageError when it failed otherwise."""
    try:
        attempt()
    except AccessDenied:
        return True
    return False


def _check_versions(settings: StorageSettings, storage: S3Storage) -> Iterator[Finding]:
    """Is what we delete gone? Where the storage locks, deletions name each version."""
    from services.storage.versions import keeps_versions, versions_go_after

    if settings.object_lock in ("governance", "compliance") or not keeps_versions(storage):
        return
    days = versions_go_after(storage)
    if days is not None:
        yield "ok", f"The bucket keeps versions; a lifecycle rule removes older ones after {days} d.", ""
    else:
        yield "warning", VERSIONS, "Give the bucket a lifecycle rule that expires noncurrent versions. docs/storage.md"


def check_lock(settings: StorageSettings, storage: Storage) -> Iterator[Finding]:
    """Does the storage keep backups from being deleted, as it is set to, and could it?"""
    if settings.is_local:
        if settings.object_lock is None:
            hint = 'Give its database a second storage that locks; or set object_lock = "none" if that is known.'
            yield "warning", "A folder locks nothing: whoever can write to it can delete every backup in it.", hint
        return
    from services.storage.s3 import S3Storage
    from services.storage.s3_lock import has_object_lock

    assert isinstance(storage, S3Storage)
    there = has_object_lock(storage)
    yield from _check_versions(settings, storage)
    if settings.object_lock in ("governance", "compliance"):
        length = f", each for {settings.lock_for.days} d" if settings.lock_for else ""
        if there:
            yield "ok", f"The bucket has object lock; backups are locked ({settings.object_lock}){length}.", ""
        else:
            hint = "Object lock can be switched on for a bucket of AWS that keeps versions; else make a new bucket."
            yield "failed", "Backups are to be locked, and the bucket has no object lock.", hint
    elif settings.object_lock is None:
        known = 'Set object_lock = "governance".' if there else 'Use a bucket with it, or set object_lock = "none".'
        said = "The bucket has object lock, and nothing uses it" if there else "The bucket has no object lock"
        yield "warning", f"{said}: whoever has the credential can delete every backup here.", known
