"""What the operating system says about files, in plain words and as our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from services.errors import AccessDenied, ObjectMissing, StorageError, StorageFull, StorageUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_AWAY = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN}
_MISSING = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR}


@contextmanager
def said_plainly(location: str, cannot: str, *, missing: bool = True) -> Iterator[None]:
    """Turn an OSError in the block into a StorageError: "LOCATION cannot CANNOT: reason."

    With ``missing=False`` a FileNotFoundError goes through as it is.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not missing:
            raise
        raise _translated(error, location, cannot) from error


def _translated(error: OSError, location: str, cannot: str) -> StorageError:
    message = f"{location} cannot {cannot}: {(error.strerror or type(error).__name__).lower()}."
    if error.errno in _FULL:
        return StorageFull(message, hint="Free space on that disk (old backups, other files), or use another storage.")
    if error.errno in _DENIED:
        return AccessDenied(message, hint="Give the user that runs this program the right to read and write there.")
    if error.errno in _MISSING:
        return ObjectMissing(message, hint="It was deleted, or the disk is not mounted.")
    if error.errno in _AWAY:
        return StorageUnavailable(message, hint="Look at the disk or the network mount, then try again.")
    return StorageError(message, hint="Look at the disk and the kernel's log.")
