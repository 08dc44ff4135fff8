"""A URL by which a browser fetches one object of a bucket itself, for a short time and without credentials."""

from __future__ import annotations

from datetime import timedelta

from services.storage.protocol import Storage
from services.storage.s3 import S3Storage
from services.storage.s3_errors import said_plainly


def presigned_url(storage: Storage, key: str, *, disposition: str, good_for: timedelta) -> str | None:
    """Return the URL; None for a storage that has no such thing. Whoever has it can read the object: it is secret.

    ``disposition``: the header that makes the answer a file to be saved. Nothing is asked of the storage.
    Raise StorageError.
    """
    if not isinstance(storage, S3Storage):
        return None
    with said_plainly(storage.place, f"presigning {key}"):
        url: str = storage.client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": storage.bucket,
                "Key": storage.full(key),
                "ResponseContentDisposition": disposition,
                "ResponseContentType": "application/octet-stream",
            },
            ExpiresIn=int(good_for.total_seconds()),
        )
    return url
