"""Writing one object into several storages at once.

The primary storage decides: what it refuses fails the whole. A further one that refuses, or that keeps the others
waiting, is given up; its copy is made later from another one, as that of any storage that was away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from services.errors import BackupsError, StorageError, StorageUnavailable
from services.storage.protocol import ObjectWriter, StoredObject
from services.stream.pipeline import Channel, Stopped

PATIENCE_SECONDS = 20.0
"""How long a further storage may keep the others waiting for it, some 4 MB behind."""
BUDGET_SECONDS, BUDGET_SHARE = 60.0, 0.25
"""How long it may keep them waiting in all, and beyond that, in what share of the time."""
SETTLE_SECONDS = 5.0
"""How long the end of a backup that failed waits for it to remove what was begun."""
COMMIT_SECONDS = 120.0
"""How long it may take to finish once the primary one has."""


class TeeWriter:
    """An ``ObjectWriter`` over several: each further one in a thread of its own, behind a bounded channel."""

    def __init__(
        self, primary: ObjectWriter, further: Mapping[str, ObjectWriter], *, discard: Callable[[str], object]
    ) -> None:
        """Given writers that were begun; ``further`` by the storage's name.

        ``discard`` removes the object from a further storage that finished it after it had been given up.
        """
        self._primary = primary
        self._branches = {name: _Branch(name, writer, partial(discard, name)) for name, writer in further.items()}

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
        """Leave nothing behind, but where a further storage stands still: there once it goes on. Never raises."""
        self._primary.abort()
        for branch in self._branches.values():
            branch.give_up(StorageError("It was given up with the backup."))
        for branch in self._branches.values():
            branch.settle()

    @property
    def stored(self) -> dict[str, StoredObject]:
        """What further storages have, by name, after ``commit``."""
        return {name: branch.stored for name, branch in self._branches.items() if branch.stored is not None}

    @property
    def failures(self) -> dict[str, BackupsError]:
        """Why further storages do not have it, by name."""
        return {name: branch.error for name, branch in self._branches.items() if branch.error is not None}


class _Branch:
    """One further storage. Its thread alone touches its writer, which may be standing still, with a lock of its own."""

    def __init__(self, name: str, writer: ObjectWriter, discard: Callable[[], object]) -> None:
        self._name = name
        self._writer = writer
        self._discard = discard
        self._channel = Channel()
        self._lock = threading.Lock()
        self._began, self._waited = time.monotonic(), 0.0
        self.stored: StoredObject | None = None
        self.error: BackupsError | None = None
        self._thread = threading.Thread(target=self._store, name=f"tee-{name}", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        asked = time.monotonic()
        try:
            self._channel.put(data, seconds=PATIENCE_SECONDS)
        except Stopped:
            return  # it has failed already
        except TimeoutError:
            self.give_up(self._too_slow(PATIENCE_SECONDS))
            return
        now = time.monotonic()
        self._waited += now - asked
        if self._waited > BUDGET_SECONDS and self._waited > BUDGET_SHARE * (now - self._began):
            self.give_up(self._too_slow(self._waited))

    def end(self) -> None:
        self._channel.end()

    def wait(self) -> None:
        if self.error is not None:
            return  # given up: its thread may stand still for long
        self._thread.join(COMMIT_SECONDS)
        if self._thread.is_alive():
            self.give_up(self._too_slow(COMMIT_SECONDS))

    def give_up(self, error: BackupsError) -> None:
        """Stop, unless it has ended already; its thread removes what was begun, as soon as it can."""
        with self._lock:
            if self.stored is None and self.error is None:
                self.error = error
        self._channel.stop()

    def settle(self) -> None:
        """Give its thread a moment to remove what was begun."""
        self._thread.join(SETTLE_SECONDS)

    def _too_slow(self, seconds: float) -> BackupsError:
        return StorageUnavailable(f"The storage {self._name} kept the others waiting for {seconds:.0f} s.")

    def _store(self) -> None:
        try:
            for piece in self._channel.pieces():
                self._writer.write(piece)
            stored = self._writer.commit()
            with self._lock:
                if self.error is None:
                    self.stored = stored
                    return
            self._discard()  # given up meanwhile: nobody knows of it
        except Stopped:
            self._writer.abort()  # somebody gave it up, and said why
        except Exception as error:  # noqa: BLE001 - whatever one storage does, the others go on
            said = error if isinstance(error, BackupsError) else StorageError(f"Unforeseen: {type(error).__name__}.")
            self.give_up(said)
            self._writer.abort()
