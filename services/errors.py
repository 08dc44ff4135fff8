"""Everything that can go wrong, said to a person.

BackupsError
├── InputError                 what was asked for cannot be done as asked (exit code 2)
│   ├── SettingsError          settings are wrong; every fault is named at once
│   ├── UnknownName            no such database, backup or storage; says what comes close
│   ├── InvalidName            a name that the rule refuses
│   ├── AlreadyExists          a name or a target database that is taken
│   ├── NothingMatches         a pattern that matches nothing
│   ├── NotADump               a file that is no dump
│   └── NoStorageClass         a storage that has no such storage class
├── NotPermitted               whoever asks has not the role that this needs (exit code 77)
├── Blocked                    a pre-check stands in the way
├── TooManyCommands            one person gives more within a minute than is allowed
├── ApprovalNeeded             it waits for a second person
├── Busy                       another run works on this database
├── Cancelled                  somebody asked the run to stop
├── TimedOut                   a wait had a limit, and it passed
├── ConnectionFailed           a PostgreSQL server cannot be reached or refuses us
├── ClientProgramMissing       no installed client program fits the server
├── DumpFailed                 pg_dump did not finish
├── RestoreFailed              pg_restore did not finish
├── NotTestable                a restore test cannot be held on this server (never a pass)
├── StorageError               a storage refuses, is away, or is full
│   ├── ObjectMissing
│   ├── AccessDenied
│   ├── NoSuchBucket
│   ├── StorageFull
│   ├── StorageUnavailable
│   ├── ObjectLocked           the storage keeps everybody from deleting the object before its time
│   └── NotThawed              the object lies in cold storage and cannot be read as it is
├── CorruptBackup              the stored bytes are not those that were sent
├── KeyMismatch                the key at hand does not open the file
└── UntrustedManifest          wrong signature, unknown version, or unreadable
"""

from __future__ import annotations


class BackupsError(Exception):
    """Base of every error that a person may see: ``message`` says what and why, ``hint`` what to do.

    Neither may hold a secret. ``exit_code`` is what the command line ends with. ``may_pass``: whether the same may
    work a little later without anybody mending something; a schedule tries that again.
    """

    exit_code = 1
    may_pass = True
    is_refusal = False
    """Whether what was asked for is refused: whoever asked is told, and mends it. Of a run it says so only as long as
    nothing was done yet (``services.jobs.execute``)."""

    def __init__(self, message: str, *, hint: str = "", may_pass: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if may_pass is not None:
            self.may_pass = may_pass

    def __str__(self) -> str:
        # What a program or a server said often ends without a full stop.
        stop = "." if self.hint and self.message[-1:].isalnum() else ""
        return f"{self.message}{stop} {self.hint}".strip()


class InputError(BackupsError):
    """What was asked for cannot be done as asked."""

    exit_code = 2
    may_pass = False
    is_refusal = True


class SettingsError(InputError):
    """Settings are wrong. ``faults`` lists every fault, each with its field and an example."""

    def __init__(self, message: str, *, hint: str = "", faults: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class UnknownName(InputError):
    """No such database, backup or storage."""


class InvalidName(InputError):
    """The name breaks the rule for names."""


class AlreadyExists(InputError):
    """The name, file or target database is taken."""


class NothingMatches(InputError):
    """The pattern matches nothing."""


class NotADump(InputError):
    """The file is not a PostgreSQL dump."""


class NoStorageClass(InputError):
    """The storage has no such storage class."""


class NotPermitted(BackupsError):
    """Whoever asks has not the role that this needs. The exit code is EX_NOPERM of sysexits.h."""

    exit_code = 77
    may_pass = False
    is_refusal = True


class Blocked(BackupsError):
    """A pre-check stands in the way."""

    is_refusal = True


class TooManyCommands(BackupsError):
    """One person gives more commands within a minute than is allowed."""

    is_refusal = True


class ApprovalNeeded(BackupsError):
    """It waits for a second person: nothing was done yet, and nothing is wrong."""

    is_refusal = True


class Busy(BackupsError):
    """Another run works on this database."""


class Cancelled(BackupsError):
    """Somebody asked the run to stop."""

    may_pass = False


class TimedOut(BackupsError):
    """A wait had a limit, and it passed."""


class ConnectionFailed(BackupsError):
    """A PostgreSQL server cannot be reached or refuses us."""


class ClientProgramMissing(BackupsError):
    """No installed PostgreSQL client program fits the server."""

    may_pass = False


class DumpFailed(BackupsError):
    """pg_dump did not finish."""


class RestoreFailed(BackupsError):
    """pg_restore did not finish."""


class Deadlocked(BackupsError):
    """Sessions of a parallel pg_restore waited for each other, and the server ended one: not the archive's fault."""


class NotTestable(BackupsError):
    """A restore test cannot be held on this server: neither a pass nor a failure."""

    may_pass = False


class StorageError(BackupsError):
    """A storage refuses, is away, or is full."""


class ObjectMissing(StorageError):
    """The object is not in the storage."""

    may_pass = False


class AccessDenied(StorageError):
    """The storage refuses these credentials."""

    may_pass = False


class NoSuchBucket(StorageError):
    """The bucket or folder does not exist."""

    may_pass = False


class StorageFull(StorageError):
    """No space left in the storage."""

    may_pass = False


class StorageUnavailable(StorageError):
    """The storage does not answer, or answers with a server error."""


class ObjectLocked(StorageError):
    """The storage keeps everybody from deleting the object before its time."""

    may_pass = False


class NotThawed(StorageError):
    """The object lies in cold storage and cannot be read as it is."""

    may_pass = False


class CorruptBackup(BackupsError):
    """The stored bytes are not those that were sent."""

    may_pass = False


class KeyMismatch(BackupsError):
    """The key at hand does not open the file."""

    may_pass = False


class UntrustedManifest(BackupsError):
    """The manifest's signature is wrong, its version unknown, or it cannot be read."""

    may_pass = False
