"""Segments for a server in recovery, handed over by this process.

The server's ``restore_command`` is a few lines of shell that ask through one named pipe and are answered through
another. So the server, which runs as another user, gets neither the key nor the storage's credentials; no program is
started for each segment; and it is known which segment was missing or damaged. When this process dies the pipes close,
and the command ends as a failure.

Answers are exit codes of ``restore_command`` (PostgreSQL's documentation, "Archive Recovery Settings"): 1 says that the
archive does not have the file, which is how recovery finds its end; above 125 recovery stops with an error. A gap is
answered with the latter: to PostgreSQL it would look like the end of the archive.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from services.errors import BackupsError, CorruptBackup, KeyMismatch
from services.pitr.archive import WalArchive
from services.pitr.errors import SegmentMissing
from services.pitr.wal_names import SegmentName, history_timeline
from services.pitr.way import Way
from services.postgres.server_user import ServerUser

NOT_THERE = 1
MUST_STOP = 200
LONGEST_SECONDS = 3600
"""A segment that is not handed over within this time will not be: a storage's own limits are far shorter."""
ENDING_SECONDS = 30
"""How long a fetch that is under way when the server has ended is waited for."""
_REQUEST = re.compile(r"(?P<name>[0-9A-F]{8}(?:\.history|[0-9A-F]{16})) (?P<path>pg_wal/RECOVERY(?:XLOG|HISTORY))\Z")
_WAKE_MILLISECONDS = 200
_SCRIPT = """#!/bin/sh
# Asks the restoring process for a file of the write-ahead log: $1 its name, $2 where it is to lie.
exec 3<"{folder}/answer" || exit {stop}
printf '%s %s\\n' "$1" "$2" >"{folder}/ask" || exit {stop}
read -r code <&3 || exit {stop}
exit "$code"
"""


class SegmentFeeder:
    """Hands segments to one server. Use ``feeding``."""

    def __init__(self, archive: WalArchive, way: Way, data_dir: Path, user: ServerUser) -> None:
        self._archive = archive
        self.way = way
        self._data_dir = data_dir
        self._user = user
        self.segments = 0
        self.bytes = 0
        """Handed over so far."""
        self.last = ""
        """The last segment that was handed over."""
        self._ahead: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wal-ahead")
        self.failure: BackupsError | None = None
        """Why recovery had to stop: a gap, damage, or a storage that is away."""

    def answer(self, request: str) -> int:
        """Given ``NAME PATH``, put the file there and return the code for the command. Never raises."""
        found = _REQUEST.match(request)
        if found is None:
            self.failure = BackupsError(f"The server asked for something that is no segment: {request[:80]!r}.")
            return MUST_STOP
        name, destination = found["name"], self._data_dir / found["path"]
        try:
            self._fetch(name, destination)
            self._user.own(destination)
        except SegmentMissing as missing:
            return self._not_there(name, missing)
        except BackupsError as error:
            if isinstance(error, (CorruptBackup, KeyMismatch)) and self._is_another_timelines(name):
                return self._stand_in(name, destination)
            self.failure = error
            return MUST_STOP
        except OSError as error:
            self.failure = BackupsError(f"{name} cannot be written to {destination.parent}: {error.strerror}.")
            return MUST_STOP
        if not name.endswith(".history"):
            self.segments += 1
            self.last = name
            self._fetch_ahead(name)
        self.bytes += destination.stat().st_size
        return 0

    def close(self) -> None:
        """Drop what was fetched and never asked for."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for name in self._ahead:
            self._aside(name).unlink(missing_ok=True)

    def _fetch(self, name: str, destination: Path) -> None:
        """Put a file in its place, from what was fetched ahead if it was."""
        ahead = self._ahead.pop(name, None)
        if ahead is None:
            self._archive.fetch(name, destination)
            return
        ahead.result()
        self._aside(name).replace(destination)

    def _fetch_ahead(self, name: str) -> None:
        """Begin to fetch the segment after this one, while the server replays it: the two take about as long."""
        size = self.way.base.segment_bytes
        following = SegmentName.parse(name, size).number + 1
        if following in self.way.stored and not self._ahead:
            wanted = self.way.name(following)
            if wanted not in self.way.listed:  # the last one may lie on the timeline before
                return
            self._ahead[wanted] = self._pool.submit(self._archive.fetch, wanted, self._aside(wanted))

    def _aside(self, name: str) -> Path:
        return self._data_dir / "pg_wal" / f".ahead-{name}"

    def _is_another_timelines(self, name: str) -> bool:
        """Say whether it is the history of a timeline that recovery does not go over."""
        return history_timeline(name) not in (None, *self.way.timelines)

    def _stand_in(self, name: str, destination: Path) -> int:
        """Say that a history is there which cannot be read.

        Recovery asks for those of other timelines to find a number for its own, and looks for nothing but that the
        file exists (existsTimeLineHistory in timeline.c).
        """
        destination.write_text(f"# {name} cannot be read in the archive\n")
        self._user.own(destination)
        return 0

    def _not_there(self, name: str, missing: SegmentMissing) -> int:
        if name in self.way.listed:
            self.failure = SegmentMissing(
                f"The segment {name} was in the archive when the restore was planned, and is gone. {missing.message}",
                hint="See what deletes in the storage: its own rules, another installation, or a person.",
            )
            return MUST_STOP
        gap = self.way.gap
        # Recovery asks on the newest timeline first, and for an older one's segment after that, but for none on a
        # timeline that it has left (XLogFileReadAnyTLI in xlogrecovery.c).
        names = self.way.names(gap) if gap is not None else set()
        if gap is None or name not in names or name != min({n for n in names if n[:8] >= self.last[:8]} or names):
            return NOT_THERE
        self.failure = SegmentMissing(
            f"The segment {self.way.name(gap)} is missing in the archive, and later ones are there: the point lies "
            f"behind a gap. {missing.message}",
            hint="Restore to a point before it, or from a base backup that was taken after it.",
        )
        return MUST_STOP


@contextmanager
def feeding(feeder: SegmentFeeder, folder: Path, user: ServerUser) -> Iterator[str]:
    """Answer the server while the block runs; yield its ``restore_command``. ``folder`` is a private one."""
    script = folder / "fetch.sh"
    script.write_text(_SCRIPT.format(folder=folder, stop=MUST_STOP))
    for name in ("ask", "answer"):
        os.mkfifo(folder / name, 0o600)
    for path in (script, folder / "ask", folder / "answer"):
        user.own(path)
    # Both ends are held open here: no reader or writer on the other side finds nobody.
    ask, answer = (os.open(folder / name, os.O_RDWR | os.O_NONBLOCK) for name in ("ask", "answer"))
    ending = threading.Event()
    thread = threading.Thread(target=_serve, args=(feeder, ask, answer, ending), name="wal-feeder", daemon=True)
    thread.start()
    try:
        yield _command(script)
    finally:
        ending.set()
        thread.join(ENDING_SECONDS)
        feeder.close()
        if not thread.is_alive():  # one that waits for a dead storage must not write into what is opened next
            os.close(ask)
            os.close(answer)


def _command(script: Path) -> str:
    limit = shutil.which("timeout", path="/usr/local/bin:/usr/bin:/bin")
    # Ended by a signal it counts as a failure, not as the end of the archive.
    limited = f"{limit} -s KILL {LONGEST_SECONDS} " if limit else ""
    return f'{limited}/bin/sh "{script}" "%f" "%p"'


def _serve(feeder: SegmentFeeder, ask: int, answer: int, ending: threading.Event) -> None:
    poller = select.poll()
    poller.register(ask, select.POLLIN)
    held = b""
    while not ending.is_set():
        if not poller.poll(_WAKE_MILLISECONDS):
            continue
        held += os.read(ask, 4096)
        while b"\n" in held:
            line, _, held = held.partition(b"\n")
            code = feeder.answer(line.decode("utf-8", "replace"))
            os.write(answer, f"{code}\n".encode())
