"""A stored backup read back to its plain dump and written anew with zstd, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from services.errors import BackupsError
from services.jobs.beside import Beside
from services.jobs.context import RunContext
from services.storage.protocol import ObjectReader, ObjectWriter
from services.stream.pipeline import Channel, ChannelReader, Stopped
from services.stream.read import read_stream
from services.stream.result import StreamResult
from services.stream.write import write_stream


class _Bridge:
    """The plain dump on its way from the reading threads to the writing ones; the failure of one ends the other."""

    def __init__(self) -> None:
        self._channel = Channel()
        self._reader = ChannelReader(self._channel)
        self._failure: BaseException | None = None

    def put(self, piece: bytes) -> None:
        try:
            self._channel.put(piece)
        except Stopped:
            raise BackupsError("Given up, since the new object could not be written.") from None

    def end(self) -> None:
        self._channel.end()

    def fail(self, error: BaseException) -> None:
        """Have both sides raise: the reading side this error, where it is still at work."""
        self._failure = self._failure or error
        self._channel.stop()

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._reader.read(size)
        except Stopped:
            assert self._failure is not None  # whoever stops the channel says why
            raise self._failure from None


def recompress_stream(
    reader: ObjectReader,
    writer: ObjectWriter,
    *,
    compression: str,
    encryption: str,
    identities: Sequence[str],
    level: int,
    recipients: Sequence[str],
    run: RunContext,
) -> tuple[StreamResult, StreamResult]:
    """Given an open object and a begun one, write the plain dump of the first into the second, compressed with zstd.

    ``compression``, ``encryption`` and ``identities`` say how to read (``read_stream``), ``level`` and ``recipients``
    how to write (``write_stream``). Return what was read and what was written; the caller compares both with what was
    recorded. ``run`` is told the plain bytes so far. Does not commit. The failure of either side ends both, aborts the
    writer, and is raised as it was; the caller closes the reader.
    """
    bridge = _Bridge()
    beside = Beside(run)

    def read() -> StreamResult:
        try:
            found = read_stream(
                reader, bridge.put, compression=compression, encryption=encryption, identities=identities, run=beside
            )
        except BaseException as error:
            bridge.fail(error)
            raise
        bridge.end()
        return found

    with ThreadPoolExecutor(1, thread_name_prefix="unpack") as pool, beside:
        reading = pool.submit(read)
        try:
            written = write_stream(bridge, writer, level=level, recipients=recipients, run=run)
        except BaseException as error:
            bridge.fail(error)
            raise
        return reading.result(), written
