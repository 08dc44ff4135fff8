"""Storages that are tried: each once, however many databases are stored in it."""

from __future__ import annotations

from services.backups.mounted import mounted_storage
from services.errors import StorageError
from services.installation import Installation
from services.storage.protocol import Storage, StorageProbe


class TriedStorages:
    """Remembers, for one look at an installation, what each storage said when it was written to and read."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._found: dict[str, tuple[Storage, StorageProbe] | StorageError] = {}

    def get(self, name: str) -> tuple[Storage, StorageProbe]:
        """Return a storage and what its probe measured. Raise StorageError, the same again when it is asked again."""
        if name not in self._found:
            try:
                storage = mounted_storage(self._installation, name)
                self._found[name] = storage, storage.probe()
            except StorageError as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, StorageError):
            raise found
        return found
