"""Writing one object to S3: small ones in one request, others by multipart upload, compared with what was sent.

Every request carries the MD5 of its body, which the server checks. The ETag that comes back is compared too; where it
is no MD5 (encryption with KMS, some servers), the whole object is read back and its sha256 compared.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.errors import CorruptBackup, ObjectMissing, StorageError, StorageUnavailable
from services.storage.keys import taken
from services.storage.protocol import StoredObject
from services.storage.s3_errors import said_plainly, status_of
from services.storage.s3_parts import MAX_PARTS, plan_parts
from services.units import format_bytes

if TYPE_CHECKING:
    from services.storage.s3 import S3Storage


class _Aborted(BaseException):
    """Breaks off a request that is being sent. No Exception, so that boto3 does not take it for a broken line."""


class _PartBody:
    """The bytes of one request as a file that boto3 may send, measure and send again, until the writer is aborted."""

    def __init__(self, data: bytearray, aborted: threading.Event) -> None:
        self._data = memoryview(data)
        self._aborted = aborted
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self._aborted.is_set():
            raise _Aborted
        end = len(self._data) if size is None or size < 0 else self._at + size
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def tell(self) -> int:
        return self._at


class S3Writer:
    """Writes one object. May be aborted from another thread while ``write`` or ``commit`` is at work."""

    def __init__(self, storage: S3Storage, key: str, expected_bytes: int | None, *, replace: bool = False) -> None:
        self._storage = storage
        self._client = storage.client
        self._key = key
        self._target = {"Bucket": storage.bucket, "Key": storage.full(key)}
        self._replace = replace
        self._plan = plan_parts(expected_bytes)
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._upload_id: str | None = None
        self._md5s: list[bytes] = []
        self._etags: list[str] = []
        self._pool: ThreadPoolExecutor | None = None
        self._on_their_way: dict[Future[str], int] = {}
        self._lock = threading.Lock()
        self._aborted = threading.Event()
        self._finished = False
        self._perhaps_stored = False

    def write(self, data: bytes) -> None:
        """Take the next bytes; waits while all parts in memory are on their way. Raise StorageError."""
        with self._working():
            self._hash.update(data)
            self._bytes += len(data)
            view = memoryview(data)
            while view:
                if len(self._buffer) == self._plan.part_bytes:
                    self._send_part()
                room = self._plan.part_bytes - len(self._buffer)
                self._buffer += view[:room]
                view = view[room:]

    def commit(self) -> StoredObject:
        """Finish, compare, return the object. Raise CorruptBackup (it is deleted then), AlreadyExists, StorageError."""
        with self._working():
            expected_etag = self._put_whole() if self._upload_id is None else self._complete()
            stored = self._storage.stat(self._key)
            self._compare(stored, expected_etag)
            self._finished = True
            return stored

    def abort(self) -> None:
        """Leave nothing behind; waits for requests on their way, which end at their next byte. Never raises."""
        self._aborted.set()
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
            # what cannot be removed now (the storage is away) is listed by `unfinished` later, for the janitor
            if self._upload_id is not None:
                with suppress(StorageError), said_plainly(self._storage.place, "aborting"):
                    self._client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
            if self._perhaps_stored and not self._replace:
                with suppress(StorageError):
                    self._storage.delete(self._key)

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            if self._aborted.is_set() or self._finished:
                raise StorageError(f"{self._key} is not being written any more: it was finished or aborted.")
            try:
                yield
            except _Aborted:
                raise StorageError(f"Writing {self._key} was broken off.") from None

    def _put_whole(self) -> str:
        """Store the object by one request. Return the ETag that it should have."""
        digest = hashlib.md5(self._buffer, usedforsecurity=False).digest()
        self._check_free()
        with said_plainly(self._storage.place, f"storing {self._key}"):
            self._perhaps_stored = True
            self._client.put_object(
                **self._target,
                Body=_PartBody(self._buffer, self._aborted),
                ContentLength=len(self._buffer),
                ContentMD5=base64.b64encode(digest).decode(),
            )
        return digest.hex()

    def _send_part(self) -> None:
        """Hand the full buffer to a sending thread, once one is free."""
        if self._upload_id is None:
            with said_plainly(self._storage.place, f"beginning the upload of {self._key}"):
                self._upload_id = self._client.create_multipart_upload(**self._target)["UploadId"]
            self._pool = ThreadPoolExecutor(self._plan.parallel, thread_name_prefix="s3-part")
        if len(self._md5s) == MAX_PARTS:
            raise StorageError(
                f"{self._key} is larger than {format_bytes(self._plan.max_object_bytes)}, for which its upload was cut "
                f"into {MAX_PARTS:,} parts.",
                hint="The expected size was far too small; run the backup again, it then knows the real size.",
            )
        self._collect(leave=self._plan.parallel - 1)
        part, self._buffer = self._buffer, bytearray()
        md5 = hashlib.md5(part, usedforsecurity=False).digest()
        self._md5s.append(md5)
        self._etags.append("")
        assert self._pool is not None  # made together with the upload's id
        future = self._pool.submit(self._upload_part, len(self._md5s), part, md5)
        self._on_their_way[future] = len(self._md5s) - 1

    def _upload_part(self, number: int, part: bytearray, md5: bytes) -> str:
        with said_plainly(self._storage.place, f"storing part {number} of {self._key}"):
            answer = self._client.upload_part(
                **self._target,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=_PartBody(part, self._aborted),
                ContentLength=len(part),
                ContentMD5=base64.b64encode(md5).decode(),
            )
        return str(answer["ETag"])

    def _collect(self, *, leave: int) -> None:
        """Wait until at most ``leave`` parts are on their way. Raise what a part met with."""
        while len(self._on_their_way) > leave:
            done, _ = wait(self._on_their_way, return_when=FIRST_COMPLETED)
            for future in done:
                self._etags[self._on_their_way.pop(future)] = future.result()

    def _complete(self) -> str:
        """Put the parts together. Return the ETag that the object should have."""
        if self._buffer:
            self._send_part()
        self._collect(leave=0)
        self._check_free()
        expected = hashlib.md5(b"".join(self._md5s), usedforsecurity=False).hexdigest() + f"-{len(self._md5s)}"
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        self._perhaps_stored = True
        try:
            with said_plainly(self._storage.place, f"completing {self._key}"):
                self._client.complete_multipart_upload(
                    **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
        except StorageError:
            # the answer may be what was lost, not the request: if the object is there, `_compare` decides
            if not self._is_there():
                raise
        assert self._pool is not None  # there was a part
        self._pool.shutdown()
        return expected

    def _is_there(self) -> bool:
        try:
            return self._storage.stat(self._key).bytes == self._bytes
        except (ObjectMissing, StorageUnavailable):
            return False

    def _check_free(self) -> None:
        """Raise AlreadyExists when somebody else stored an object under the key meanwhile."""
        if self._replace:
            return
        with said_plainly(self._storage.place, f"looking for {self._key}"):
            try:
                self._client.head_object(**self._target)
            except ClientError as error:
                if status_of(error) == 404:
                    return
                raise
        raise taken(self._storage.location(self._key))

    def _compare(self, stored: StoredObject, expected_etag: str) -> None:
        """Raise CorruptBackup, and delete the object, when it is not what was sent."""
        if stored.bytes != self._bytes:
            difference = f"{stored.bytes} bytes instead of {self._bytes}"
        elif stored.etag != expected_etag and self._read_back() != self._hash.hexdigest():
            difference = "other bytes than were sent"
        else:
            return
        self._storage.delete(self._key)
        raise CorruptBackup(
            f"{self._storage.place} stored {difference} as {self._key}; the object was deleted.",
            hint="Try again; if it happens again, do not trust this storage.",
        )

    def _read_back(self) -> str:
        """Return the sha256 of what is stored. An ETag need not be an MD5, so only this can tell."""
        digest = hashlib.sha256()
        reader: Any = self._storage.reader(self._key)
        try:
            while piece := reader.read(1 << 20):
                digest.update(piece)
                if self._aborted.is_set():
                    raise _Aborted
        finally:
            reader.close()
        return digest.hexdigest()
