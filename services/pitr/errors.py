"""What can go wrong with an archive of the write-ahead log, beyond what any storage can do."""

from __future__ import annotations

from services.errors import BackupsError, InputError


class SegmentMissing(BackupsError):
    """The file is not in the archive."""

    may_pass = False


class BaseIsBad(BackupsError):
    """A stored base backup is at fault, not the log: damaged, missing, or not to be believed.

    ``backup_id`` and ``storage`` say which one, and which copy of it.
    """

    may_pass = False

    def __init__(self, message: str, *, hint: str = "", backup_id: str, storage: str) -> None:
        super().__init__(message, hint=hint)
        self.backup_id = backup_id
        self.storage = storage


class OtherContent(InputError):
    """A file of this name is in the archive, with other content."""

    exit_code = 1


class OtherCluster(InputError):
    """The file was written by another cluster than the archive's."""

    exit_code = 1
