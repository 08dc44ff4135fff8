"""Object lock on S3: an object that nobody, with whatever credential, deletes before its time. See docs/credentials.md.

A bucket with object lock keeps versions: a plain deletion would only hide the object behind a marker. So where a
storage is set to lock, deletions name each version, and are refused while it is locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from services.errors import AccessDenied, ObjectLocked, StorageError
from services.storage.s3_errors import code_of, said_plainly, status_of

if TYPE_CHECKING:
    from services.storage.s3 import S3Storage

Mode = Literal["governance", "compliance"]


@dataclass(frozen=True)
class Lock:
    """Until when, and how strictly, an object is kept from being deleted."""

    mode: str
    until: datetime


def lock_of(storage: S3Storage, key: str) -> Lock | None:
    """Return the lock of an object, None for one that has none. Raise ObjectMissing, StorageError."""
    with said_plainly(storage.place, f"looking at the lock of {key}"):
        head = storage.client.head_object(Bucket=storage.bucket, Key=storage.full(key))
    mode, until = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
    return Lock(str(mode).lower(), until.astimezone(UTC)) if mode and until else None


def lock_object(storage: S3Storage, key: str, mode: Mode, until: datetime) -> Lock:
    """Lock an object until then, unless it is locked for as long already; return its lock as the storage tells it.

    Raise ObjectLocked for one that is locked more strictly and for a shorter time, which nobody can change to a lock of
    the other mode; StorageError when the storage refuses, or says that it did and shows no lock.
    """
    until = until.astimezone(UTC).replace(microsecond=0)
    there = lock_of(storage, key)
    if there is not None and there.until >= until:
        return there
    if there is not None and there.mode == "compliance" and mode == "governance" and there.until > datetime.now(UTC):
        raise ObjectLocked(
            f"{storage.location(key)} is locked in compliance mode until {there.until:%Y-%m-%d %H:%M} UTC, not until "
            f"{until:%Y-%m-%d %H:%M}; a lock of governance mode cannot take its place.",
            hint="It is locked in governance mode by the first run after that.",
        )
    with said_plainly(storage.place, f"locking {key}"):
        storage.client.put_object_retention(
            Bucket=storage.bucket,
            Key=storage.full(key),
            Retention={"Mode": mode.upper(), "RetainUntilDate": until},
        )
    made = lock_of(storage, key)
    if made is None or made.until < until:
        raise StorageError(
            f"{storage.place} took the lock of {key}, and does not show it.",
            hint="It has no object lock, or the credential may not read it (s3:GetObjectRetention).",
        )
    return made


def has_object_lock(storage: S3Storage) -> bool:
    """Say whether the bucket has object lock. Raise StorageError when nobody can tell."""
    with said_plainly(storage.place, "asking for object lock"):
        try:
            answer = storage.client.get_object_lock_configuration(Bucket=storage.bucket)
        except ClientError as error:
            if status_of(error) in (404, 501) or code_of(error) == "ObjectLockConfigurationNotFoundError":
                return False
            raise
    return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")


def delete_versions(storage: S3Storage, key: str) -> None:
    """Delete every version of an object, the newest first. Raise ObjectLocked while one is locked, StorageError."""
    full = storage.full(key)
    for version in list(_versions(storage, full, key)):
        try:
            with said_plainly(storage.place, f"deleting {key}"):
                storage.deleter.delete_object(Bucket=storage.bucket, Key=full, VersionId=version)
        except AccessDenied as error:
            lock = _lock_of_version(storage, full, version)
            if lock is None:
                raise
            raise ObjectLocked(
                f"{storage.location(key)} is locked until {lock.until:%Y-%m-%d %H:%M} UTC ({lock.mode}).",
                hint="Nobody deletes it before; it goes with a cleanup after that.",
            ) from error


def _versions(storage: S3Storage, full: str, key: str) -> Iterator[str]:
    with said_plainly(storage.place, f"listing the versions of {key}"):
        for page in storage.deleter.get_paginator("list_object_versions").paginate(Bucket=storage.bucket, Prefix=full):
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if entry["Key"] == full:
                    yield entry["VersionId"]


def _lock_of_version(storage: S3Storage, full: str, version: str) -> Lock | None:
    try:
        head = storage.client.head_object(Bucket=storage.bucket, Key=full, VersionId=version)
    except ClientError:
        return None
    mode, until = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
    return Lock(str(mode).lower(), until.astimezone(UTC)) if mode and until else None
