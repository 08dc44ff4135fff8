"""A new file that is whole or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from services.errors import AlreadyExists, InputError
from services.storage.local_errors import said_plainly


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a partial file beside ``path``, readable by its owner alone; it gets its name when the block ends well.

    Otherwise nothing is left. Raise AlreadyExists when the path is taken, InputError when its folder cannot be written
    to, StorageError (StorageFull, …) when writing fails.
    """
    if path.exists() or path.is_symlink():
        raise _taken(path)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {(error.strerror or 'refused').lower()}.", hint="Choose another folder."
        ) from error
    try:
        with said_plainly(str(path), "be written"), _not_twice(path):
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # unlike a rename, this never replaces what is there
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def existing_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. Raise InputError when that is not possible."""
    try:
        file = path.open("rb")
        file.peek(1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {(error.strerror or 'refused').lower()}.", hint="Check the path and its rights."
        ) from error
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


@contextmanager
def _not_twice(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise _taken(path) from None


def _taken(path: Path) -> AlreadyExists:
    return AlreadyExists(f"{path} exists already.", hint="Choose another name, or remove it first.")
