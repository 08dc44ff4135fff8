"""From settings to a storage."""

from __future__ import annotations

from pathlib import Path

from services.settings.model import StorageSettings
from services.storage.local import LocalStorage
from services.storage.protocol import Storage


def open_storage(settings: StorageSettings) -> Storage:
    """Given settings, return the storage. Nothing is asked of it yet. Raise StorageError for unusable settings."""
    if settings.is_local:
        return LocalStorage(settings.name, Path(settings.url.removeprefix("file://")))
    from services.storage.s3 import S3Storage  # boto3 costs a fifth of a second, which a folder need not pay

    return S3Storage(settings)
