"""Level ``checksum``: every stored byte is read, and their sha256 is the one that was recorded."""

from __future__ import annotations

import time
from contextlib import closing

from services.catalog.model import Backup, Copy
from services.installation import Installation
from services.jobs.context import RunContext
from services.stream.result import Meter
from services.units import format_bytes
from services.verification.finding import Finding, compare_sizes_and_hashes, in_words, throughput

_PIECE = 1 << 20


def check_checksum(installation: Installation, backup: Backup, copy: Copy, run: RunContext) -> Finding:
    """Read the object to its end. Raise ObjectMissing, StorageError, Cancelled."""
    began = time.monotonic()
    meter = Meter()
    with closing(installation.storage(copy.storage).reader(copy.key)) as reader:
        while piece := reader.read(_PIECE):
            meter.add(piece)
            run.progress(meter.bytes)
            run.check_cancelled()
    detail = throughput(meter.bytes, time.monotonic() - began) | {"sha256": meter.sha256}
    differing = compare_sizes_and_hashes(bytes=(backup.stored_bytes, meter.bytes), sha256=(backup.sha256, meter.sha256))
    if differing:
        reason = f"The stored bytes are not those that were written: {in_words(differing)}."
        return Finding("failed", reason, detail | {"differing": differing}, "damaged", "copy")
    return Finding("passed", f"All {format_bytes(meter.bytes)} read; sha256 as recorded.", detail, "stored")
