"""A stored backup in directory format, read back file by file and compared with what was recorded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from services.catalog.model import Backup, Copy
from services.installation import Installation
from services.jobs.context import RunContext
from services.restores.fetch import compare_with_record, read_plain
from services.storage.local_errors import said_plainly
from services.stream.result import StreamResult
from services.stream.tar_read import FileSink, TarUnpacker
from services.stream.tar_write import TOC


def fetch_directory(
    installation: Installation, backup: Backup, copy: Copy, sink: FileSink, run: RunContext
) -> StreamResult:
    """Hand every file, decompressed, to the sink; return what was read. What the sink did is worth nothing before that.

    The plain side of the result are the files as pg_dump wrote them. Raise what ``fetch_plain`` raises.
    """
    unpacker = TarUnpacker(sink)
    found = read_plain(installation, backup, copy, unpacker.feed, run)
    unpacker.finish()
    listing = unpacker.listing
    whole = replace(found, plain_bytes=listing.bytes, plain_sha256=listing.sha256)
    compare_with_record(backup, whole)
    return whole


class FolderSink:
    """Writes the files into a new folder that pg_restore reads; ``wanted`` says which of them, None all.

    A context manager: a file that is open when something fails is closed.
    """

    def __init__(self, folder: Path, wanted: Callable[[str], bool] | None = None) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._wanted = wanted
        self._file: BinaryIO | None = None

    def __enter__(self) -> FolderSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, name: str) -> None:
        """Open the file, readable by us alone, if it is wanted. Raise StorageError."""
        if self._wanted is None or name == TOC or self._wanted(name):
            with said_plainly(str(self._folder), "be written"):
                descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                self._file = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> None:
        """Write to it. Raise StorageFull, StorageError."""
        if self._file is not None:
            with said_plainly(str(self._folder), "be written"):
                self._file.write(data)

    def end(self) -> None:
        """Close it."""
        file, self._file = self._file, None
        if file is not None:
            with said_plainly(str(self._folder), "be written"):
                file.close()
