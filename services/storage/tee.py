"""Writing one object into several storages at once.

The primary storage decides: what it refuses fails the whole. A further one that refuses, or that keeps the others
waiting, is given up; its copy is made later from another one, as that of any storage that was away.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from services.errors import BackupsError, StorageError, StorageUnavailable
from services.storage.protocol import ObjectWriter, StoredObject
from services.stream.pipeline import Channel, Stopped

PATIENCE_SECONDS = 20.0
"""How long a further storage may keep the others waiting for it, some 4 MB behind."""
COMMIT_SECONDS = 120.0
"""How long it may take to finish once the primary one has."""


class TeeWriter:
    """An ``ObjectWriter`` over several: each further one in a thread of its own, behind a bounded channel."""

    def __init__(self, primary: ObjectWriter, further: Mapping[str, ObjectWriter]) -> None:
        """Given writers that were begun; ``further`` by the storage's name."""
        self._primary = primary
        self._branches = {name: _Branch(name, writer) for name, writer in further.items()}

    def write(self, data: bytes) -> None:
        """Pass the bytes on to all that are still with us. Raise what the primary one raises."""
        self._primary.write(data)
        for branch in self._branches.values():
            branch.put(data)

    def commit(self) -> StoredObject:
        """Finish in the primary storage, then in the others; return what the primary one has. Raise what it raises."""
        stored = self._primary.commit()
        for branch in self._branches.values():
            branch.end()
        for branch in self._branches.values():
            branch.wait()
        return stored

    def abort(self) -> None:
        """Leave nothing behind; never raises."""
        self._primary.abort()
        for branch in self._branches.values():
            branch.give_up(StorageError("It was given up with the backup."))

    @property
    def stored(self) -> dict[str, StoredObject]:
        """What further storages have, by name, after ``commit``."""
        return {name: branch.stored for name, branch in self._branches.items() if branch.stored is not None}

    @property
    def failures(self) -> dict[str, BackupsError]:
        """Why further storages do not have it, by name."""
        return {name: branch.error for name, branch in self._branches.items() if branch.error is not None}


class _Branch:
    """One further storage."""

    def __init__(self, name: str, writer: ObjectWriter) -> None:
        self._name = name
        self._writer = writer
        self._channel = Channel()
        self.stored: StoredObject | None = None
        self.error: BackupsError | None = None
        self._thread = threading.Thread(target=self._store, name=f"tee-{name}", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        try:
            self._channel.put(data, seconds=PATIENCE_SECONDS)
        except Stopped:
            pass  # it has failed already
        except TimeoutError:
            self.give_up(self._too_slow(PATIENCE_SECONDS))

    def end(self) -> None:
        self._channel.end()

    def wait(self) -> None:
        self._thread.join(COMMIT_SECONDS)
        if self._thread.is_alive():
            self.give_up(self._too_slow(COMMIT_SECONDS))

    def give_up(self, error: BackupsError) -> None:
        """Stop, unless it has ended already; what was begun is removed."""
        if self.stored is None and self.error is None:
            self.error = error
        self._channel.stop()
        self._writer.abort()

    def _too_slow(self, seconds: float) -> BackupsError:
        return StorageUnavailable(f"The storage {self._name} kept the others waiting for {seconds:.0f} s.")

    def _store(self) -> None:
        try:
            for piece in self._channel.pieces():
                self._writer.write(piece)
            stored = self._writer.commit()
            if self.error is None:
                self.stored = stored
        except Stopped:
            pass  # somebody gave it up, and said why
        except Exception as error:  # noqa: BLE001 - whatever one storage does, the others go on
            said = error if isinstance(error, BackupsError) else StorageError(f"Unforeseen: {type(error).__name__}.")
            self.give_up(said)
