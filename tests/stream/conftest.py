"""Small stand-ins for the ends of a stream, and keys."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from services.errors import Cancelled, StorageError
from services.storage.protocol import StoredObject
from services.stream import generate_key


class FakeRun:
    """A run that remembers its progress and can be cancelled."""

    run_id = "run"
    attempt = 1
    actor = "test"
    reason = ""

    def __init__(self, *, cancel_at: int | None = None) -> None:
        self.done: list[int] = []
        self.cancel_at = cancel_at

    def phase(self, name: str, *, total_bytes: int | None = None) -> None: ...

    def progress(self, bytes_done: int) -> None:
        self.done.append(bytes_done)

    def log(self, message: str, level: str = "info") -> None: ...

    def check_cancelled(self) -> None:
        if self.cancel_at is not None and self.done and self.done[-1] >= self.cancel_at:
            raise Cancelled("Somebody asked the run to stop.")

    def on_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()

    def leftover(self, kind: str, **what: str) -> AbstractContextManager[None]:
        return nullcontext()


class MemoryWriter:
    """An object in memory. Fails after ``fail_after`` bytes; waits ``delay`` seconds for each piece."""

    def __init__(self, *, fail_after: int | None = None, delay: float = 0) -> None:
        self.taken = io.BytesIO()
        self.fail_after = fail_after
        self.delay = delay
        self.committed = False
        self.aborted = threading.Event()

    def write(self, data: bytes) -> None:
        if self.aborted.wait(self.delay):
            raise StorageError("aborted")
        if self.fail_after is not None and self.taken.tell() >= self.fail_after:
            raise StorageError("The storage is away.", hint="Try again.")
        self.taken.write(data)

    def commit(self) -> StoredObject:
        self.committed = True
        raise AssertionError("a stream never commits")

    def abort(self) -> None:
        self.aborted.set()

    @property
    def bytes(self) -> bytes:
        return self.taken.getvalue()


class MemoryReader:
    """An object in memory, handed out in pieces. Fails after ``fail_after`` bytes."""

    def __init__(self, data: bytes, *, fail_after: int | None = None) -> None:
        self._data = io.BytesIO(data)
        self.fail_after = fail_after

    def read(self, size: int = -1, /) -> bytes:
        if self.fail_after is not None and self._data.tell() >= self.fail_after:
            raise StorageError("The storage is away.", hint="Try again.")
        return self._data.read(size if self.fail_after is None else 1000)

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def key() -> tuple[str, str]:
    """A secret key and its public key."""
    return generate_key()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """Every test here ends with the threads that it began with."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("stream-")]
    assert left == []
