"""pg_dump as a stream: custom format, uncompressed (the stream compresses better), in a given snapshot.

Owners and rights are kept in the archive, which loses nothing; restoring leaves them out (``--no-owner --no-acl``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from services.errors import BackupsError, DumpFailed
from services.jobs.context import RunContext
from services.jobs.processes import END_SECONDS, Child, run_child
from services.postgres.clients import ClientPrograms
from services.postgres.connection import Address, connection_failed, passfile
from services.postgres.exclusions import Relation, exact_pattern
from services.postgres.patterns import match_tables

__all__ = ["DumpProcess", "dump_stream", "match_tables"]

# What pg_dump says, and what to do about it. The first match counts.
_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"permission denied for",
        "Let the role read it: GRANT pg_read_all_data TO the role (PostgreSQL 14 and newer), or GRANT SELECT.",
    ),
    (
        r"row-level security policy",
        "Row-level security hides rows from the role. ALTER ROLE … BYPASSRLS, or back up as the owner.",
    ),
    (
        r"lock timeout|could not obtain lock",
        "A table is locked: see pg_locks for a migration or VACUUM FULL, or raise lock_timeout.",
    ),
    (r"server version mismatch", "Install newer client programs, or name their folder in pg_bin_dirs."),
    (r"invalid snapshot identifier|snapshot .* does not exist", "The session that held the snapshot ended; try again."),
    (
        r"server closed the connection|terminating connection|connection to server was lost|SSL SYSCALL",
        "The server stopped or the network failed; look into the server's log, then try again.",
    ),
    (r"out of shared memory", "Raise max_locks_per_transaction on the server: every table takes a lock."),
    (r"No space left on device", "Make room where it is spooled, set `spool` to a larger disk, or dump with one job."),
    (r"remaining connection slots|too many clients", "Every job takes a session: raise max_connections, or use fewer."),
    (r"did not end within", "pg_dump hung after its output had ended; look at the machine."),
)

_LASTING = r"permission denied for|row-level security policy|server version mismatch|out of shared memory"
"""What somebody has to mend; whatever else ends a pg_dump may be over a little later."""


class DumpProcess:
    """A running pg_dump."""

    def __init__(self, child: Child, address: Address, run: RunContext) -> None:
        self._child = child
        self._address = address
        self._run = run
        self.pid = child.pid

    @property
    def stdout(self) -> IO[bytes]:
        """The archive, unbuffered. Its end is not yet success: ``finish`` says."""
        return self._child.stdout

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    def finish(self) -> None:
        """Wait for pg_dump to end. Raise Cancelled, ConnectionFailed, or DumpFailed with its last lines."""
        status = self._child.wait(END_SECONDS)
        if status == 0:
            return
        self._run.check_cancelled()
        raise self._failed(status)

    def _failed(self, status: int) -> BackupsError:
        return _dump_failed(status, self._child, self._address)


@contextmanager
def dump_stream(
    client: ClientPrograms,
    address: Address,
    *,
    snapshot_id: str,
    exclude_tables: Sequence[str] = (),
    exclude_data: Sequence[Relation] = (),
    lock_timeout: timedelta,
    run: RunContext,
) -> Iterator[DumpProcess]:
    """Run pg_dump in the exported snapshot while the block runs; leaving the block ends it.

    ``exclude_tables`` are pg_dump patterns, ``exclude_data`` tables that are dumped without their rows. Raise
    ClientProgramMissing.
    """
    command = [
        *_dump_command(client, address, snapshot_id, lock_timeout),
        "--format=custom",
        *_left_out(exclude_tables, exclude_data),
    ]
    with (
        passfile(address, run) as secret,
        run_child(command, environment=address.child_environment(secret), run=run, stdout=True) as child,
    ):
        yield DumpProcess(child, address, run)


@contextmanager
def dump_directory(
    client: ClientPrograms,
    address: Address,
    folder: Path,
    *,
    jobs: int,
    snapshot_id: str,
    exclude_tables: Sequence[str] = (),
    exclude_data: Sequence[Relation] = (),
    lock_timeout: timedelta,
    run: RunContext,
) -> Iterator[DumpProcess]:
    """Run pg_dump with ``jobs`` sessions into an empty folder, in the exported snapshot, while the block runs.

    The rest as ``dump_stream``; there is no ``stdout``. A file is whole when it ends with ``\\.`` on a line of its own
    (``services.backups.packing``), all of them once ``finish`` has returned.
    """
    command = [
        *_dump_command(client, address, snapshot_id, lock_timeout),
        "--format=directory",
        f"--jobs={jobs}",
        f"--file={folder}",
        "--no-sync",  # what it writes is read at once, and gone after
        *_left_out(exclude_tables, exclude_data),
    ]
    with (
        passfile(address, run) as secret,
        run_child(command, environment=address.child_environment(secret), run=run) as child,
    ):
        yield DumpProcess(child, address, run)


def _left_out(tables: Sequence[str], data: Sequence[Relation]) -> list[str]:
    patterns = [exact_pattern(relation) for relation in data]
    return [*(f"--exclude-table={p}" for p in tables), *(f"--exclude-table-data={p}" for p in patterns)]


def _dump_command(
    client: ClientPrograms, address: Address, snapshot_id: str, lock_timeout: timedelta
) -> list[str | Path]:
    return [
        client.program("pg_dump"),
        "--compress=0",
        "--no-password",
        f"--dbname={address.child_conninfo(client.major)}",
        f"--snapshot={snapshot_id}",
        f"--lock-wait-timeout={int(lock_timeout.total_seconds() * 1000)}",
    ]


def _dump_failed(status: int, child: Child, address: Address) -> BackupsError:
    text = "\n".join((*child.error_lines, *child.last_lines))
    if re.search(r"connection to server .* failed|could not connect to server|could not translate host", text):
        return connection_failed(address, text)
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    said = f": {' '.join(child.error_lines)}" if child.error_lines else ", without a word"
    hint = next((advice for sign, advice in _HINTS if re.search(sign, text)), "See the run's log and the server's log.")
    return DumpFailed(f"pg_dump {how}{said}", hint=hint, may_pass=not re.search(_LASTING, text))
