"""A bucket of S3, R2, MinIO or another server of that protocol as a storage.

Every call ends within the storage's ``timeout`` (longest silence), retries included, and raises nothing but our errors.
"""

from __future__ import annotations

import builtins
import os
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from services.errors import CorruptBackup, ObjectMissing, StorageError
from services.settings.model import StorageSettings
from services.storage.keys import check_key, check_prefix, taken
from services.storage.protocol import StorageProbe, StoredObject, UnfinishedUpload
from services.storage.s3_errors import Place, said_plainly, status_of
from services.storage.s3_lock import delete_versions
from services.storage.s3_reader import S3Reader
from services.storage.s3_writer import S3Writer

ATTEMPTS = 3
"""Attempts of one call, the first one included; each may be silent for a third of the storage's timeout."""
CONNECT_LIMIT = 10.0


class S3Storage:
    """Objects under a prefix of one bucket."""

    def __init__(self, settings: StorageSettings) -> None:
        bucket, _, prefix = settings.url.removeprefix("s3://").partition("/")
        self.name = settings.name
        self.url = settings.url
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.place = Place(settings.name, bucket, settings.endpoint_url or "AWS")
        self.keeps_versions = settings.object_lock in ("governance", "compliance")
        self.markers = 0
        """Deletions that the bucket answered by hiding the object: what was deleted is an older version there."""
        with said_plainly(self.place, "preparing"):
            self.client = _client(settings)
            self.deleter = self.client if settings.delete_access_key_id is None else _client(_deleting(settings))

    def writer(self, key: str, *, expected_bytes: int | None = None, replace: bool = False) -> S3Writer:
        """Begin an object. Raise AlreadyExists, StorageError. Memory: see ``s3_parts.plan_parts``."""
        full = self.full(key)
        if replace:
            return S3Writer(self, key, expected_bytes, replace=True)
        with said_plainly(self.place, f"looking for {key}"):
            try:
                self.client.head_object(Bucket=self.bucket, Key=full)
            except ClientError as error:
                if status_of(error) != 404:
                    raise
            else:
                raise taken(self.location(key))
        return S3Writer(self, key, expected_bytes)

    def put(self, key: str, data: bytes) -> StoredObject:
        """Store a small object whole, replacing what is there, and compare what is stored."""
        writer = S3Writer(self, key, len(data), replace=True)
        try:
            writer.write(data)
            return writer.commit()
        except BaseException:
            writer.abort()
            raise

    def get(self, key: str) -> bytes:
        """Return a small object whole. Raise ObjectMissing."""
        reader = self.reader(key)
        try:
            return reader.read()
        finally:
            reader.close()

    def reader(self, key: str) -> S3Reader:
        """Open an object; a broken connection is taken up again where it broke. Raise ObjectMissing."""
        return S3Reader(self.client, self.bucket, self.full(key), self.place, key)

    def stat(self, key: str) -> StoredObject:
        """Return what the storage knows of an object. Raise ObjectMissing, NoSuchBucket."""
        with said_plainly(self.place, f"looking for {key}"):
            try:
                head = self.client.head_object(Bucket=self.bucket, Key=self.full(key))
            except ClientError as error:
                if status_of(error) == 404:
                    self._check_bucket()
                    raise ObjectMissing(
                        f"{self.location(key)} is not there.", hint="It was deleted or never stored."
                    ) from error
                raise
        return StoredObject(
            key,
            int(head["ContentLength"]),
            head.get("ETag", "").strip('"'),
            head["LastModified"].astimezone(UTC),
            head.get("StorageClass") or "STANDARD",
            head.get("Restore") or "",
        )

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every finished object under the prefix, in key order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + check_prefix(prefix)
        )
        with said_plainly(self.place, "listing objects"):
            for page in pages:
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):  # some servers list folders as empty objects
                        yield self._listed(entry)

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        if self.keeps_versions:
            delete_versions(self, key)
            return
        with said_plainly(self.place, f"deleting {key}"):
            answer = self.deleter.delete_object(Bucket=self.bucket, Key=self.full(key))
        if answer.get("DeleteMarker"):
            self.markers += 1

    def unfinished(self) -> builtins.list[UnfinishedUpload]:
        """List multipart uploads under our prefix that were neither completed nor aborted."""
        found = []
        with said_plainly(self.place, "listing unfinished uploads"):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            ):
                for entry in page.get("Uploads", ()):
                    key = entry["Key"].removeprefix(self.prefix)
                    found.append(UnfinishedUpload(key, entry["UploadId"], entry["Initiated"].astimezone(UTC)))
        return found

    def abort_unfinished(self, upload: UnfinishedUpload) -> None:
        """Remove what an unfinished upload left; one that is gone is no error."""
        with said_plainly(self.place, f"aborting the upload of {upload.key}"):
            try:
                self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=self.full(upload.key), UploadId=upload.upload_id
                )
            except ClientError as error:
                if status_of(error) != 404:
                    raise

    def free_bytes(self) -> int | None:
        """S3 does not tell."""
        return None

    def location(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def probe(self) -> StorageProbe:
        """Write, read back, list and delete a small object. Raise StorageError with what was refused."""
        began = time.monotonic()
        key, data = f".probe/{uuid.uuid4().hex}", os.urandom(64)
        before = datetime.now(UTC)
        with said_plainly(self.place, "writing a probe"):
            answer = self.client.put_object(Bucket=self.bucket, Key=self.full(key), Body=data)
        after = datetime.now(UTC)
        try:
            if self.get(key) != data:
                raise CorruptBackup(f"{self.location(key)} was read back with other bytes than were written.")
            if key not in [found.key for found in self.list(key)]:
                raise StorageError(f"{self.place} does not list what was just written to it.")
        finally:
            self.delete(key)
        return StorageProbe(_skew(answer, before, after), time.monotonic() - began)

    def full(self, key: str) -> str:
        """Return the key in the bucket. Raise InvalidName."""
        return self.prefix + check_key(key)

    def _listed(self, entry: dict[str, Any]) -> StoredObject:
        return StoredObject(
            entry["Key"].removeprefix(self.prefix),
            int(entry["Size"]),
            entry.get("ETag", "").strip('"'),
            entry["LastModified"].astimezone(UTC),
            entry.get("StorageClass") or "STANDARD",
        )

    def _check_bucket(self) -> None:
        """Raise NoSuchBucket when the bucket is what is missing: the answer to HEAD has no body that would say so."""
        try:
            self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
        except ClientError as error:
            if status_of(error) == 404:
                raise


def _deleting(settings: StorageSettings) -> StorageSettings:
    """Return the settings with the credential that deletions alone use."""
    return settings.model_copy(
        update={
            "access_key_id": settings.delete_access_key_id,
            "secret_access_key": settings.delete_secret_access_key,
            "session_token": None,
        }
    )


def _client(settings: StorageSettings) -> Any:
    limit = settings.timeout.total_seconds() / ATTEMPTS
    config = Config(
        signature_version="s3v4",
        # otherwise boto3 sends checksums that R2 and others refuse as "Unauthorized"
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=min(limit, CONNECT_LIMIT),
        read_timeout=limit,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=16,
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
    )
    secret, token = settings.secret_access_key, settings.session_token
    with _making:
        session = _session()
        return session.client(
            "s3",
            endpoint_url=settings.endpoint_url,
            # R2 wants "auto"; other servers with an endpoint of their own take any region
            region_name=settings.region or ("auto" if settings.endpoint_url else session.region_name or "us-east-1"),
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            aws_session_token=token.get_secret_value() if token else None,
            config=config,
        )


_making = threading.Lock()
"""A session makes one client at a time."""


@cache
def _session() -> boto3.session.Session:
    """Return the process's one session: what it has read of the protocol (a third of a second) serves every client."""
    return boto3.session.Session()


def _skew(answer: dict[str, Any], before: datetime, after: datetime) -> timedelta:
    """Return the server's clock minus ours, from the Date of an answer (whole seconds, rounded down)."""
    text = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not text:
        return timedelta(0)
    date = parsedate_to_datetime(text).astimezone(UTC)
    earliest, latest = before - timedelta(seconds=1), after
    if date < earliest:
        return date - earliest
    return max(date - latest, timedelta(0))
