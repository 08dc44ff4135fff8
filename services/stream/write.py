"""A plain dump on its way into storage: hash, compress (zstd), encrypt (age), write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import pyrage
import zstandard

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.storage.protocol import ObjectWriter
from services.stream.encryption import parse_recipients
from services.stream.pipeline import CallbackWriter, Channel, ChannelReader, Pipeline, as_file
from services.stream.result import Meter, StreamResult
from services.stream.source import Readable, read_pieces

PARALLEL_UP_TO_LEVEL = 9
"""Above this level zstd's window is 4 to 8 MB, and jobs smaller than that would cost more than threads bring."""
MAX_THREADS = 4
JOB_BYTES = 2 << 20
"""What one compressing thread works on; the 8 MB that zstd would choose take 30 MB more, for 0.6 % less output."""


def write_stream(
    source: Readable,
    writer: ObjectWriter,
    *,
    level: int,
    recipients: Sequence[str],
    run: RunContext,
    observe: Callable[[bytes], None] = lambda _piece: None,
) -> StreamResult:
    """Given a source of a plain dump, write it compressed and encrypted, and return sizes and hashes of both ends.

    ``level`` is zstd's, 1 to 19; 0 leaves as it is what is compressed already. ``recipients`` are age public keys; none
    means not encrypted. Reading and compressing overlap with encrypting and storing. ``run`` is told the plain bytes so
    far; ``observe`` sees each plain piece, in order and in another thread, and fails the stream by what it raises.

    Does not commit. When the source, the writer or the run fails, the other ends are stopped, the writer is aborted,
    and the failure is raised as it was; the caller closes the source. Raises InputError for a wrong public key.
    """
    keys = parse_recipients(recipients)
    began = time.monotonic()
    plain, stored = Meter(), Meter()
    pipeline = Pipeline()
    compressed = pipeline.channel()

    def store(data: bytes) -> None:
        stored.add(data)
        writer.write(data)

    def compress() -> None:
        next_piece = read_pieces(source, stopping=lambda: pipeline.stopping)
        compressor = zstd_compressor(level) if level else None
        while piece := next_piece():
            plain.add(piece)
            observe(piece)
            if out := compressor.compress(piece) if compressor else piece:
                compressed.put(out)
        if compressor:
            compressed.put(compressor.flush())
        compressed.end()

    def deliver() -> None:
        if keys:
            _encrypt(compressed, store, keys)
        else:
            for piece in compressed.pieces():
                store(piece)

    pipeline.start("compress", compress)
    pipeline.start("store", deliver)
    pipeline.run(run, lambda: plain.bytes, on_stop=writer.abort)
    return StreamResult(plain.bytes, plain.sha256, stored.bytes, stored.sha256, time.monotonic() - began)


def _encrypt(compressed: Channel, store: Callable[[bytes], None], keys: Sequence[pyrage.x25519.Recipient]) -> None:
    reader, writer = ChannelReader(compressed), CallbackWriter(store)
    try:
        pyrage.encrypt_io(as_file(reader), as_file(writer), keys)
    except pyrage.EncryptError as error:
        # age wraps what its ends raised; the failure itself is what the caller needs to see
        raise reader.failure or writer.failure or BackupsError(f"age could not encrypt the stream: {error}.") from error
    if writer.failure is not None:
        raise writer.failure  # of the last bytes, of which age does not ask what became of them


def zstd_compressor(level: int) -> zstandard.ZstdCompressionObj:
    """Return a compressor of one frame with a checksum, in threads of its own where they take little memory."""
    if level > PARALLEL_UP_TO_LEVEL:
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, threads=min(os.cpu_count() or 1, MAX_THREADS), job_size=JOB_BYTES, write_checksum=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()
