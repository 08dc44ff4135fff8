"""A stored backup on its way back: hash, decrypt (age), decompress, and hand the plain dump to a sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pyrage

from services.errors import UntrustedManifest
from services.jobs.context import RunContext
from services.storage.protocol import ObjectReader
from services.stream.decoders import decoder_for
from services.stream.encryption import decryption_failure, no_key, parse_identities
from services.stream.pipeline import CHUNK, CallbackWriter, Channel, ChannelReader, Pipeline, as_file
from services.stream.result import Meter, StreamResult

_GATHER = 1 << 18
"""age gives small pieces; this many bytes are gathered before they go to the next thread."""
_WHAT = "The backup"


def read_stream(
    reader: ObjectReader,
    sink: Callable[[bytes], None],
    *,
    compression: str,
    encryption: str,
    identities: Sequence[str],
    run: RunContext,
) -> StreamResult:
    """Given an open object, push its plain dump into ``sink``, and return sizes and hashes of both ends.

    ``compression`` is ``zstd``, ``gzip`` or ``none``; ``encryption`` is ``age`` or ``none``; ``identities`` are age
    secret keys, not needed for ``none``. ``sink`` is called in a thread of its own with pieces of at most 1 MB, in
    order. ``run`` is told the *stored* bytes read so far, whose total is known. The caller closes the reader.

    Raise CorruptBackup for anything cut, changed or appended, as far as the format can tell: age can tell every byte;
    zstd every byte of the dump, but not of its header; ``none`` nothing. So the caller compares the returned hashes as
    well. The sink has got bytes by then: what it did with them is worth nothing until this has returned. Raise
    KeyMismatch for a key that does not fit, UntrustedManifest for an unknown format, and whatever the reader, the sink
    or the run raise, as it was.
    """
    if encryption not in ("age", "none"):
        raise UntrustedManifest(
            f"The backup says that it is encrypted with {encryption!r}, which is unknown here.",
            hint="It was made by a newer version of this product, or its manifest was changed.",
        )
    decoder = decoder_for(compression)
    keys = parse_identities(identities) if encryption == "age" else []
    if encryption == "age" and not keys:
        raise no_key(_WHAT)
    began = time.monotonic()
    plain, stored = Meter(), Meter()
    pipeline = Pipeline()
    fetched = pipeline.channel()
    decrypted = pipeline.channel() if keys else fetched
    unpacked = pipeline.channel()

    def fetch() -> None:
        while piece := reader.read(CHUNK):
            stored.add(piece)
            fetched.put(piece)
        fetched.end()

    def unpack() -> None:
        for piece in decrypted.pieces():
            for out in decoder.feed(piece):
                unpacked.put(out)
        decoder.finish()
        unpacked.end()

    def hand_over() -> None:
        for piece in unpacked.pieces():
            plain.add(piece)
            sink(piece)

    pipeline.start("fetch", fetch)
    if keys:
        pipeline.start("decrypt", lambda: _decrypt(fetched, decrypted, keys))
    pipeline.start("unpack", unpack)
    pipeline.start("hand over", hand_over)
    pipeline.run(run, lambda: stored.bytes)
    return StreamResult(plain.bytes, plain.sha256, stored.bytes, stored.sha256, time.monotonic() - began)


def _decrypt(fetched: Channel, decrypted: Channel, keys: Sequence[pyrage.x25519.Identity]) -> None:
    held = bytearray()

    def gather(data: bytes) -> None:
        held.extend(data)
        if len(held) >= _GATHER:
            decrypted.put(bytes(held))
            held.clear()

    reader, writer = ChannelReader(fetched), CallbackWriter(gather)
    try:
        pyrage.decrypt_io(as_file(reader), as_file(writer), keys)
    except (pyrage.DecryptError, OSError) as error:
        raise reader.failure or writer.failure or decryption_failure(error, keys, _WHAT) from error
    if held:
        decrypted.put(bytes(held))
    decrypted.end()
