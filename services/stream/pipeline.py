"""Threads that work on one stream, joined by bounded channels. The first failure, or a cancel, ends them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

from services.jobs.context import RunContext

CHUNK = 1 << 20
"""Bytes that are read at once."""
CHANNEL_BYTES = 4 * CHUNK
"""Bytes that may wait between two threads (one piece may stand over)."""
WATCH_SECONDS = 0.1
"""How often the caller's thread looks for a cancel and reports progress."""
ENDING_LIMIT = 30.0
"""Seconds that a stopped thread is given to come back from a call into a storage, source or sink."""


class Stopped(Exception):
    """Raised inside a worker's thread when another end has failed; never leaves the pipeline."""


class Channel:
    """A queue of bytes between two threads, bounded by their size. Waiting ends at once when the pipeline stops."""

    def __init__(self) -> None:
        self._waiting = 0
        self._pieces: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False

    def put(self, piece: bytes, *, seconds: float | None = None) -> None:
        """Pass a piece on, waiting while the channel is full. Raise Stopped; TimeoutError after ``seconds``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting < CHANNEL_BYTES or self._stopped, seconds):
                raise TimeoutError
            if self._stopped:
                raise Stopped
            self._pieces.append(piece)
            self._waiting += len(piece)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that no piece follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def get(self) -> bytes:
        """Return the next piece, waiting for it; empty at the end. Raise Stopped."""
        with self._changed:
            while not self._pieces and not self._ended and not self._stopped:
                self._changed.wait()
            if self._stopped:
                raise Stopped
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            self._waiting -= len(piece)
            self._changed.notify_all()
            return piece

    def pieces(self) -> Iterator[bytes]:
        """Yield every piece to the end. Raise Stopped."""
        while piece := self.get():
            yield piece

    def stop(self) -> None:
        """Let every waiting thread go with Stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class ChannelReader:
    """A channel as a file to read from. Remembers what went wrong, since age wraps errors of its ends in its own."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._piece = b""
        self._at = 0
        self.failure: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end."""
        if self._at >= len(self._piece):
            try:
                self._piece = self._channel.get()
            except BaseException as error:
                self.failure = error
                raise
            self._at = 0
        end = len(self._piece) if size < 0 else self._at + size
        data = self._piece[self._at : end]
        self._at += len(data)
        return data


class CallbackWriter:
    """A function as a file to write to. Remembers what went wrong, like ``ChannelReader``."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self.failure: BaseException | None = None

    def write(self, data: bytes, /) -> int:
        try:
            self._take(data)
        except BaseException as error:
            self.failure = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class Pipeline:
    """Starts the threads of one stream, watches over them in the caller's thread, and ends them together."""

    def __init__(self) -> None:
        self._channels: list[Channel] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._working = 0
        self._failure: BaseException | None = None
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """True once an end has failed; a worker that waits outside a channel asks this regularly."""
        return self._stopping.is_set()

    def channel(self) -> Channel:
        """Return a new channel between two of the threads."""
        channel = Channel()
        self._channels.append(channel)
        return channel

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread. What it raises ends the pipeline."""

        def guarded() -> None:
            failure: BaseException | None = None
            try:
                work()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                failure = error
            with self._changed:
                self._working -= 1
                if failure is not None and self._failure is None:
                    self._failure = failure
                self._changed.notify_all()

        self._working += 1
        self._threads.append(threading.Thread(target=guarded, name=f"stream-{name}", daemon=True))

    def run(self, run: RunContext, done: Callable[[], int], *, on_stop: Callable[[], None] | None = None) -> None:
        """Start the threads and wait until all have ended, reporting ``done()`` bytes and asking for cancels.

        On the first failure ``on_stop`` is called (it must wake whoever waits in a storage), the threads are ended, and
        the failure is raised: that of a thread, or Cancelled or TimedOut from the run.
        """
        try:
            for thread in self._threads:
                thread.start()
            while self._still_working():
                run.progress(done())
                run.check_cancelled()
            # before a thread's failure: cancelling kills the child at the other end, which is felt here as its failure
            run.check_cancelled()
            self._raise_failure()
        except BaseException:
            run.progress(done())
            self._stopping.set()
            for channel in self._channels:
                channel.stop()
            if on_stop is not None:
                on_stop()
            raise
        finally:
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join(ENDING_LIMIT)
            self._failure = None  # breaks the cycle error -> traceback -> frame -> pipeline -> error
        run.progress(done())

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _still_working(self) -> bool:
        """Wait a moment. Return False once all threads have ended or one has failed."""
        with self._changed:
            if self._working and self._failure is None:
                self._changed.wait(WATCH_SECONDS)
            return self._working > 0 and self._failure is None


def as_file(end: ChannelReader | CallbackWriter) -> BinaryIO:
    """Return an end as the type that libraries ask for; they only call its read, write and flush."""
    return end  # type: ignore[return-value]
