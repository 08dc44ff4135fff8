"""Reading the plain dump so that the reading thread never sleeps past a stop."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Callable
from typing import Protocol

from services.stream.pipeline import CHUNK, Stopped

POLL_MILLISECONDS = 100


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
