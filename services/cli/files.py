"""Files that commands write: never over another one, never half, readable by their owner alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from services.errors import AlreadyExists, BackupsError, InputError, StorageFull


@contextmanager
def fresh_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file, mode 0600, that appears under ``path`` only when the block ends well.

    Raise AlreadyExists when there is something under ``path`` already, StorageFull, BackupsError.
    """
    if path.exists() or path.is_symlink():
        raise _taken(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # unlike a rename this refuses to replace a file that has come up meanwhile
        finally:
            partial.unlink()
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFull(f"No space is left for {path}.", hint="Free some, or write elsewhere.") from error
        if error.errno is None:
            raise
        raise BackupsError(f"{path} cannot be written: {error.strerror}.", hint="Write elsewhere.") from error


@contextmanager
def existing_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to read. Raise InputError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    with file:
        yield file


def first_line(path: Path) -> str:
    """Return a file's first line that is neither empty nor a comment. Raise InputError."""
    with existing_file(path) as file:
        for raw in file:
            line = raw.decode("utf-8", "replace").strip()
            if line and not line.startswith("#"):
                return line
    raise InputError(f"{path} is empty.", hint="It should hold one line.")


def _taken(path: Path) -> AlreadyExists:
    return AlreadyExists(f"{path} exists already.", hint="Choose another name with --output.")
