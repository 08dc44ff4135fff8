"""Stored bytes on their way from one storage to another, as they are: nothing is decrypted or decompressed."""

from __future__ import annotations

from services.jobs.context import RunContext
from services.storage.protocol import ObjectReader, ObjectWriter
from services.stream.pipeline import CHUNK, Pipeline
from services.stream.result import Meter


def copy_stream(reader: ObjectReader, writer: ObjectWriter, *, run: RunContext) -> Meter:
    """Given an open object and a begun one, pass all bytes on; return their count and sha256.

    Reading and writing overlap; between them some 4 MB wait. ``run`` is told the bytes so far.
    Does not commit. When either end or the run fails, both are stopped, the writer is aborted, and the failure is
    raised as it was; the caller closes the reader.
    """
    meter = Meter()
    pipeline = Pipeline()
    fetched = pipeline.channel()

    def fetch() -> None:
        while piece := reader.read(CHUNK):
            meter.add(piece)
            fetched.put(piece)
        fetched.end()

    def store() -> None:
        for piece in fetched.pieces():
            writer.write(piece)

    pipeline.start("fetch", fetch)
    pipeline.start("store", store)
    pipeline.run(run, lambda: meter.bytes, on_stop=writer.abort)
    return meter
