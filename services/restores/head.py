"""The table of contents of a stored backup, read from its beginning: the rest is neither fetched nor decrypted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from services.catalog.model import Backup, Copy
from services.errors import CorruptBackup
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.toc import NotYetRead, Toc, read_toc
from services.restores.fetch import read_plain
from services.stream.tar_read import TarUnpacker
from services.stream.tar_write import TOC

_FIRST_TRY = 1 << 16


class _Enough(Exception):
    """Ends the reading of a backup whose beginning is all that is wanted."""


def read_head(
    installation: Installation,
    backup: Backup,
    copy: Copy,
    run: RunContext,
    *,
    keep: Callable[[bytes], None] | None = None,
) -> Toc:
    """Return the table of contents; ``run`` is told the stored bytes that were read, some megabytes ahead included.

    ``keep`` is given what was read of the plain archive: its beginning, or ``toc.dat``. Nothing tells whether the rest
    is whole. Raise CorruptBackup where the beginning is damaged, NotADump for an unknown version of the format,
    ObjectMissing, KeyMismatch, StorageError.
    """
    head = _Directory() if backup.format == "directory" else _Custom()
    with suppress(_Enough):
        read_plain(installation, backup, copy, head.feed, run)
        head.finish()
    if head.toc is None:
        raise CorruptBackup(
            f"{backup.name} ends within its table of contents.", hint="Use another copy or another backup."
        )
    if keep is not None:
        keep(bytes(head.data))
    return head.toc


class _Custom:
    """Gathers the beginning of an archive until its table of contents is whole."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.toc: Toc | None = None
        self._next_try = _FIRST_TRY

    def feed(self, piece: bytes) -> None:
        self.data += piece
        if len(self.data) < self._next_try:
            return
        self._next_try = 2 * len(self.data)
        self.finish()
        if self.toc is not None:
            raise _Enough

    def finish(self) -> None:
        with suppress(NotYetRead):
            self.toc = read_toc(bytes(self.data))


class _Directory:
    """Gathers the first file of the archive of files."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.toc: Toc | None = None
        self._name = ""
        self.feed = TarUnpacker(self).feed

    def begin(self, name: str) -> None:
        self._name = name

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        if self._name == TOC:
            with suppress(NotYetRead):
                self.toc = read_toc(bytes(self.data))
        raise _Enough

    def finish(self) -> None:
        """The table of contents comes first: here it is not."""
