"""Reading the plain dump so that the reading thread never sleeps past a stop."""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from services.stream.pipeline import CHUNK, Stopped

POLL_MILLISECONDS = 100
PIPE_BYTES = 1 << 20
"""Size asked for a pipe, so that the dump is not stopped every 64 kB (Linux's default)."""


class Readable(Protocol):
    """What ``write_stream`` reads from: a pipe, a file, or anything with ``read``."""

    def read(self, size: int = -1, /) -> bytes | None: ...


def read_pieces(source: Readable, *, stopping: Callable[[], bool]) -> Callable[[], bytes]:
    """Given a source, return a function that returns its next piece, empty at the end.

    An unbuffered file (``io.RawIOBase``: the pipe of a child) is waited for in short steps, so that the function raises
    Stopped soon after ``stopping()`` turns true even if the child neither writes nor ends. Others are read plainly.
    """
    if not isinstance(source, io.RawIOBase):
        return lambda: _plain(source)
    try:
        descriptor = source.fileno()
    except OSError:  # a raw file in memory
        return lambda: _plain(source)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with suppress(OSError):  # refused beyond the user's share of pipe memory; the pipe works as it is
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)

    def next_piece() -> bytes:
        while not stopping():
            if poller.poll(POLL_MILLISECONDS):
                return os.read(descriptor, CHUNK)
        raise Stopped

    return next_piece


def _plain(source: Readable) -> bytes:
    return source.read(CHUNK) or b""
