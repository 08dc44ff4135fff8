"""``backups pitr wal-push`` and ``wal-fetch``: what PostgreSQL calls for each segment.

They are started thousands of times a day, on the database's own host, by a server that waits: they import little, ask
no catalogue (but for the audit log, once in an hour of a recovery), write nothing when all is well, and end within a
limit whatever the storage does.

Exit codes are PostgreSQL's business (``archive_command``, ``restore_command``). Push: 0 stored, 1 to 125 not stored,
it tries again. Fetch: 0 here it is; 1 not in the archive, which ends recovery or has it look on another timeline; above
128 recovery must stop: an archive that cannot be read is not the end of the log.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.errors import BackupsError, SettingsError
from services.pitr.errors import SegmentMissing
from services.settings.model import DatabaseSettings, Settings

NOT_STORED = 1
NOT_THERE = 1
RECOVERY_MUST_STOP = 200


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Given ``wal-push …`` or ``wal-fetch …``, do it and return the exit code. Never raises."""
    name, *words = arguments
    failed = NOT_STORED if name == "wal-push" else RECOVERY_MUST_STOP
    try:
        return _push(words, environ) if name == "wal-push" else _fetch(words, environ)
    except SegmentMissing as missing:
        _say(str(missing))
        return NOT_THERE
    except BackupsError as error:
        _say(f"Error: {error}")
        return failed
    except Exception as error:  # noqa: BLE001 - the outermost edge: PostgreSQL must hear a code that it understands
        _say(f"Error: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return failed


def _push(words: Sequence[str], environ: Mapping[str, str]) -> int:
    parser = _Parser("backups pitr wal-push", "Store a file of pg_wal; for archive_command.", failed=NOT_STORED)
    parser.add_argument("path", metavar="PATH", help="PostgreSQL's %%p; relative to the current folder.")
    given = parser.parse_args(words)
    settings, database = _load(environ, given.database)
    from services.pitr.open import open_mounted
    from services.pitr.wal_push import push_file

    with_limit = _Limit(database.pitr.push_limit.total_seconds(), NOT_STORED, Path(given.path).name)
    with_limit(lambda: push_file(settings, database, open_mounted(settings, database), Path(given.path)))
    return 0


def _fetch(words: Sequence[str], environ: Mapping[str, str]) -> int:
    parser = _Parser(
        "backups pitr wal-fetch", "Fetch a file of the archive; for restore_command.", failed=RECOVERY_MUST_STOP
    )
    parser.add_argument("file", metavar="FILE", help="PostgreSQL's %%f.")
    parser.add_argument("path", metavar="PATH", help="PostgreSQL's %%p.")
    given = parser.parse_args(words)
    settings, database = _load(environ, given.database)
    from services.pitr.fetch_record import note_fetching
    from services.pitr.open import find_archive, open_mounted

    if why := note_fetching(settings, database, given.file):
        _say(f"Warning: this recovery is not in the audit log: {why}. It goes on.")

    def fetch() -> None:
        archive = find_archive(settings, database, open_mounted(settings, database))
        if archive is None:
            raise SegmentMissing(f"Nothing of the write-ahead log of {database.name} is in the archive.")
        archive.fetch(given.file, Path(given.path))

    _Limit(database.pitr.push_limit.total_seconds(), RECOVERY_MUST_STOP, given.file)(fetch)
    return 0


def _load(environ: Mapping[str, str], name: str | None) -> tuple[Settings, DatabaseSettings]:
    from services.pitr.open import pitr_database
    from services.settings.load import load_settings

    settings = load_settings(environ, thorough=False)
    if settings is None:
        raise SettingsError(
            "Nothing is configured for the user that the server runs as.",
            hint="Set BACKUPS_CONFIG in the command: env BACKUPS_CONFIG=/etc/backups.toml backups pitr wal-push %p",
        )
    return settings, pitr_database(settings, name)


class _Parser(argparse.ArgumentParser):
    """Arguments of a command that PostgreSQL calls: a wrong one ends with a code that means failure to it."""

    def __init__(self, program: str, description: str, *, failed: int) -> None:
        super().__init__(prog=program, description=description)
        self._failed = failed
        self.add_argument("--database", "-d", metavar="DATABASE", help="Where the settings name several.")

    def exit(self, status: int = 0, message: str | None = None) -> None:  # type: ignore[override]
        if message:
            _say(message.strip())
        sys.exit(self._failed if status else 0)


class _Limit:
    """Ends the process when something takes too long, even inside of a call that nothing interrupts (a dead disk)."""

    def __init__(self, seconds: float, code: int, what: str) -> None:
        self._seconds = seconds
        self._code = code
        self._what = what

    def __call__(self, work: Callable[[], object]) -> None:
        timer = threading.Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            work()
        finally:
            timer.cancel()

    def _end(self) -> None:
        _say(f"Error: {self._what}: the storage took longer than {self._seconds:.0f} s. Nothing counts as done.")
        os._exit(self._code)


def _say(text: str) -> None:
    from services.printable import printable

    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()
