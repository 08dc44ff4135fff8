"""Storage classes and thaws on S3. See ``services.storage.cold``."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress

from botocore.exceptions import ClientError

from services.errors import CorruptBackup, NoStorageClass, StorageError
from services.storage.protocol import StoredObject
from services.storage.s3 import S3Storage
from services.storage.s3_errors import code_of, said_plainly

MB = 1 << 20
MAX_SINGLE = 1024 * MB
"""The largest object that is copied in one request. S3 allows 5 GB; smaller requests answer sooner, and are counted."""
PART_BYTES = 512 * MB
"""For 10,000 parts at most: enough for S3's largest object, 5 TB."""
PARALLEL = 4


def probe_class(storage: S3Storage, storage_class: str) -> None:
    """Store, look at and delete a small object in the class. Raise NoStorageClass, StorageError."""
    key = f".probe/{uuid.uuid4().hex}"
    target = {"Bucket": storage.bucket, "Key": storage.full(key)}
    try:
        with said_plainly(storage.place, f"storing a probe in storage class {storage_class}"):
            storage.client.put_object(**target, Body=b"probe", StorageClass=storage_class)
        found = storage.stat(key).storage_class
    finally:
        with suppress(StorageError):
            storage.delete(key)
    if found != storage_class:
        raise _ignored(storage, storage_class, found)


def copy_onto_itself(
    storage: S3Storage,
    key: str,
    storage_class: str,
    progress: Callable[[int], None],
    check_cancelled: Callable[[], None],
) -> StoredObject:
    """See ``services.storage.cold.move_to_class``."""
    before = storage.stat(key)
    if before.bytes <= MAX_SINGLE:
        expected = _copy_whole(storage, key, storage_class, before)
    else:
        expected = _copy_in_parts(storage, key, storage_class, before, progress, check_cancelled)
    progress(before.bytes)
    after = storage.stat(key)
    if after.bytes != before.bytes or (expected and after.etag != expected):
        raise CorruptBackup(
            f"After it was moved to {storage_class}, {storage.location(key)} has {after.bytes:,} bytes and the ETag "
            f"{after.etag or 'none'} instead of {before.bytes:,} and {expected or 'any'}.",
            hint="Verify this copy, and do not move any other before you know why.",
        )
    if after.storage_class != storage_class:
        raise _ignored(storage, storage_class, after.storage_class)
    return after


def restore_object(storage: S3Storage, key: str, days: int, tier: str) -> None:
    """See ``services.storage.cold.request_thaw``."""
    wanted = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
    with said_plainly(storage.place, f"thawing {key}"):
        try:
            storage.client.restore_object(Bucket=storage.bucket, Key=storage.full(key), RestoreRequest=wanted)
        except ClientError as error:
            if code_of(error) != "RestoreAlreadyInProgress":
                raise


def _source(storage: S3Storage, key: str) -> dict[str, str]:
    return {"Bucket": storage.bucket, "Key": storage.full(key)}


def _copy_whole(storage: S3Storage, key: str, storage_class: str, before: StoredObject) -> str:
    """Copy in one request. Return the ETag that the server says the object has now; empty where it does not tell.

    It need not be the one from before: an object that was stored in parts is one piece afterwards, and with encryption
    by KMS each copy has an ETag of its own.
    """
    with said_plainly(storage.place, f"moving {key} to storage class {storage_class}"):
        answer = storage.client.copy_object(
            Bucket=storage.bucket,
            Key=storage.full(key),
            StorageClass=storage_class,
            CopySource=_source(storage, key),
            **({"CopySourceIfMatch": before.etag} if before.etag else {}),
        )
    return str(answer.get("CopyObjectResult", {}).get("ETag", "")).strip('"')


def _copy_in_parts(
    storage: S3Storage,
    key: str,
    storage_class: str,
    before: StoredObject,
    progress: Callable[[int], None],
    check_cancelled: Callable[[], None],
) -> str:
    """Copy by a multipart upload. Return the ETag that the server says the object has now; empty where it does not."""
    target = {"Bucket": storage.bucket, "Key": storage.full(key)}
    doing = f"moving {key} to storage class {storage_class}"
    with said_plainly(storage.place, doing):
        upload = storage.client.create_multipart_upload(**target, StorageClass=storage_class)["UploadId"]

    def copy_part(number: int) -> tuple[int, str]:
        first = (number - 1) * PART_BYTES
        last = min(first + PART_BYTES, before.bytes) - 1
        with said_plainly(storage.place, doing):
            answer = storage.client.upload_part_copy(
                **target,
                UploadId=upload,
                PartNumber=number,
                CopySource=_source(storage, key),
                CopySourceRange=f"bytes={first}-{last}",
            )
        return number, str(answer["CopyPartResult"]["ETag"])

    count = -(-before.bytes // PART_BYTES)
    pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="s3-copy")
    try:
        etags: dict[int, str] = {}
        for future in as_completed([pool.submit(copy_part, number) for number in range(1, count + 1)]):
            number, etag = future.result()
            etags[number] = etag
            progress(min(len(etags) * PART_BYTES, before.bytes))
            check_cancelled()
        parts = [{"PartNumber": number, "ETag": etags[number]} for number in range(1, count + 1)]
        # R2 knows no conditions on the copy of a part, so that it is still the same object is looked at here.
        _refuse_replaced(storage, key, before)
        with said_plainly(storage.place, doing):
            answer = storage.client.complete_multipart_upload(
                **target, UploadId=upload, MultipartUpload={"Parts": parts}
            )
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        with suppress(StorageError), said_plainly(storage.place, "aborting"):
            storage.client.abort_multipart_upload(**target, UploadId=upload)
        raise
    pool.shutdown()
    return str(answer.get("ETag", "")).strip('"')


def _refuse_replaced(storage: S3Storage, key: str, before: StoredObject) -> None:
    if storage.stat(key).etag != before.etag:
        raise StorageError(
            f"{storage.location(key)} was replaced while it was being moved.", hint="Nothing was moved. Begin again."
        )


def _ignored(storage: S3Storage, wanted: str, found: str) -> NoStorageClass:
    return NoStorageClass(
        f"{storage.place} took the storage class {wanted} and stored the object as {found} all the same.",
        hint="This server does not have that class. What was there is unchanged.",
    )
