"""Reading one object of S3 from its beginning; a broken connection is taken up again where it broke."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from services.errors import StorageError
from services.storage.s3_errors import Place, said_plainly, status_of

RESUMES = 3
"""Connections in a row that may break without one byte of progress between them."""


class S3Reader:
    """Streams one object, the same version of it from beginning to end."""

    def __init__(self, client: Any, bucket: str, full_key: str, place: Place, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._full_key = full_key
        self._place = place
        self._key = key
        self._at = 0
        self._breaks = 0
        with said_plainly(place, f"opening {key}"):
            answer = client.get_object(Bucket=bucket, Key=full_key)
        self._version = _version(answer)
        self._size = int(answer["ContentLength"])
        self._body: Any = answer["Body"]

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, everything that is left for -1, empty at the end. Raise StorageError."""
        if size >= 0:
            return self._read_some(size)
        return b"".join(iter(lambda: self._read_some(1 << 20), b""))

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _read_some(self, size: int) -> bytes:
        while self._at < self._size and size:
            with said_plainly(self._place, f"reading {self._key}"):
                if self._body is None:
                    self._resume()
                try:
                    data: bytes = self._body.read(min(size, self._size - self._at))
                    if not data:
                        raise ConnectionResetError("the answer ended early")
                except (BotoCoreError, HTTPError, OSError):
                    self.close()
                    self._breaks += 1
                    if self._breaks > RESUMES:
                        raise
                    continue
            self._at += len(data)
            self._breaks = 0
            return data
        return b""

    def _resume(self) -> None:
        etag, _ = self._version
        condition = {"IfMatch": etag} if etag else {}
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._full_key, Range=f"bytes={self._at}-", **condition
            )
        except ClientError as error:
            if status_of(error) == 412:
                raise self._replaced() from error
            raise
        self._body = answer["Body"]
        # not every server heeds If-Match and Range: believe only what the answer says of itself
        if _version(answer) != self._version or answer.get("ContentRange") != self._expected_range():
            self.close()
            raise self._replaced()

    def _expected_range(self) -> str:
        return f"bytes {self._at}-{self._size - 1}/{self._size}"

    def _replaced(self) -> StorageError:
        return StorageError(
            f"{self._place} has another {self._key} now than when reading it began.",
            hint="The object was replaced meanwhile; begin again.",
        )


def _version(answer: dict[str, Any]) -> tuple[str, Any]:
    """Return what tells this object from one that replaces it; some servers have no ETag."""
    return answer.get("ETag", ""), answer.get("LastModified")
