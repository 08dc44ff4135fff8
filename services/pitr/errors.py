"""What can go wrong with an archive of the write-ahead log, beyond what any storage can do."""

from __future__ import annotations

from services.errors import BackupsError, InputError


class SegmentMissing(BackupsError):
    """The file is not in the archive."""

    may_pass = False


class BaseIsBad(BackupsError):
    """The stored base backup is at fault, not the log: damaged, missing, or not to be believed."""

    may_pass = False


class OtherContent(InputError):
    """A file of this name is in the archive, with other content."""

    exit_code = 1


class OtherCluster(InputError):
    """The file was written by another cluster than the archive's."""

    exit_code = 1
