"""pg_restore: into a database, or into nothing to prove that an archive can be read to its end.

Always ``--exit-on-error``, ``--no-owner`` and ``--no-acl`` (the runbook's way: the target need not have the source's
roles), and without subscriptions, which would pull from the source's publisher and bar the target from being dropped.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.errors import BackupsError, ConnectionFailed, Deadlocked, NotADump, NotTestable, RestoreFailed, TimedOut
from services.jobs.context import RunContext
from services.jobs.processes import Child, run_child
from services.postgres.clients import ClientPrograms
from services.postgres.connection import Address, connection_failed, passfile

END_SECONDS = 24 * 3600.0
"""pg_restore builds indexes after its input has ended; the run's own limits and cancel come first."""
LIST_SECONDS = 120.0

# What a server lacks, as pg_restore reports it: the archive is not to blame.
_LACKING: tuple[tuple[str, str], ...] = (
    (r'extension "([^"]+)" is not available', "the extension {0}"),
    (r'could not open extension control file ".*?([^/"]+)\.control"', "the extension {0}"),
    (r'extension "([^"]+)" has no installation script', "a fitting version of the extension {0}"),
    (r'could not access file "([^"]+)": No such file', "the library {0}"),
    (r'could not load library "([^"]+)"', "the library {0}"),
    (r"ICU is not supported in this build", "the collation provider ICU"),
    (r'collation provider "?(\w+)"? .*not supported', "the collation provider {0}"),
    (r'could not open collator for locale "([^"]+)"', "the ICU locale {0}"),
    (r'could not create locale "([^"]+)"', "the locale {0}"),
    (r'collation "(.+?)" for encoding "[^"]+" does not exist', "the collation {0}"),
    (r'ICU locale "([^"]+)" has unknown language', "the ICU locale {0}"),
    (r'unrecognized configuration parameter "([^"]+)"', "the setting {0}, which a newer PostgreSQL has"),
    (r'role "([^"]+)" does not exist', "the role {0}"),
    (r'tablespace "([^"]+)" does not exist', "the tablespace {0}"),
    (r'access method "([^"]+)" does not exist', "the access method {0}"),
    (r'language "([^"]+)" does not exist', "the language {0}"),
    (r"unsupported XML feature", "support for XML (it was built without libxml)"),
)

# What its role may not do; the archive is not to blame for that either.
_FORBIDDEN = r"(permission denied to create [^\n]+|must be superuser[^\n]*)"

# What went wrong with the attempt, as pg_restore reports it, and what to do: neither the archive nor what the server
# is lies behind it. SQLSTATE class 53 (insufficient resources) by its words, since pg_restore shows no codes.
_TROUBLE: tuple[tuple[str, str], ...] = (
    (r"No space left on device|could not extend file|disk full", "Make room on the disk, then try again."),
    (r"out of shared memory", "Raise max_locks_per_transaction on the target server: every table takes a lock."),
    (r"out of memory|[Cc]annot allocate memory|could not fork", "Give the machine more memory, then try again."),
    (
        r"too many (clients|connections)|remaining connection slots|configured limit exceeded",
        "Close idle sessions on the target server, or raise max_connections.",
    ),
    (r"could not open (input|output|TOC) file", "Look at the folder of the spooled file, then try again."),
    (r"canceling statement due to", "The server ended a statement; see the role's timeouts and the server's log."),
    # Said alone: a worker that met an error says that first.
    (r"\A[^\n]*a worker process died unexpectedly", "The machine may have run out of memory; see its log."),
)
_SERVER_GONE = re.compile(
    "server closed the connection|terminating connection|connection to server was lost|SSL SYSCALL"
    "|no connection to the server|shutting down|in recovery mode"
)


@dataclass(frozen=True)
class ArchiveHeader:
    """What ``pg_restore --list`` tells of an archive."""

    dbname: str
    format_version: str
    source_version: str
    """Version of the server that was dumped."""
    dumped_by: str
    """Version of the pg_dump that wrote it."""
    compression: str
    created_at: datetime
    """When the dump began, by the clock of the machine that pg_dump ran on. UTC."""
    entries: tuple[str, ...]
    """The table of contents, a line an entry."""


class ChildSink:
    """The input of a running pg_restore."""

    def __init__(self, child: Child, run: RunContext, address: Address | None = None) -> None:
        self._child = child
        self._run = run
        self._address = address
        self.pid = child.pid

    def write(self, data: bytes) -> None:
        """Hand over all of the bytes; waits while pg_restore is busy. Raise what ``finish`` raises if it has ended."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._child.stdin.fileno(), view) :]
        except BrokenPipeError:
            self.finish()
            raise RestoreFailed(
                "pg_restore ended before the archive did: there are bytes after the archive's end.",
                hint="The file was changed or is not one archive; use another backup.",
            ) from None

    def finish(self) -> None:
        """Say that the archive ends here, and wait.

        Raise RestoreFailed when the archive is at fault, NotTestable when the server lacks something, ConnectionFailed
        and BackupsError when the attempt failed (killed, no memory, no space), Cancelled.
        """
        self._child.stdin.close()
        _check(self._child.wait(END_SECONDS), self._child, self._run, self._address)


def restore_archive(
    client: ClientPrograms,
    address: Address,
    archive: Path,
    *,
    jobs: int,
    run: RunContext,
    use_list: Path | None = None,
) -> None:
    """Restore a plain archive file into an existing, empty database with ``jobs`` parallel sessions.

    ``use_list``: a file with the lines of the table of contents that are restored; None: all.
    Raise NotTestable naming what the server lacks, RestoreFailed when the archive is at fault, ConnectionFailed and
    BackupsError when the attempt failed (killed, no memory, no space), Cancelled.
    """
    command: list[str | Path] = [*_restore_command(client, address, use_list), f"--jobs={jobs}", archive]
    with (
        passfile(address, run) as secret,
        run_child(command, environment=address.child_environment(secret), run=run) as child,
    ):
        _check(child.wait(END_SECONDS), child, run, address)


@contextmanager
def restore_stream(
    client: ClientPrograms, address: Address, *, run: RunContext, use_list: Path | None = None
) -> Iterator[ChildSink]:
    """Restore the archive that is written into the sink into an existing, empty database, one session.

    ``use_list``: see ``restore_archive``.
    """
    with (
        passfile(address, run) as secret,
        run_child(
            _restore_command(client, address, use_list),
            environment=address.child_environment(secret),
            run=run,
            stdin=True,
        ) as child,
    ):
        yield ChildSink(child, run, address)


@contextmanager
def archive_reader(client: ClientPrograms, *, run: RunContext) -> Iterator[ChildSink]:
    """Have pg_restore read the archive that is written into the sink to its very end, and turn every block into SQL.

    ``pg_restore --list`` would read the table of contents only.
    """
    command: list[str | Path] = [client.program("pg_restore"), "--file=/dev/null"]
    with run_child(command, environment=_ENVIRONMENT, run=run, stdin=True) as child:
        yield ChildSink(child, run)


def archive_contents(client: ClientPrograms, archive: Path) -> ArchiveHeader:
    """Return the header and the table of contents of an archive.

    Raise NotADump; TimedOut, and BackupsError when pg_restore was killed or cannot open the file.
    """
    try:
        listed = subprocess.run(
            [str(client.program("pg_restore")), "--list", str(archive.absolute())],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LIST_SECONDS, env=_ENVIRONMENT, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimedOut(
            f"pg_restore did not list {archive.name} within {LIST_SECONDS:.0f} s.",
            hint="Look at the disk and the load of this machine, then try again.",
        ) from error
    trouble = _trouble(listed.returncode, listed.stderr.decode("utf-8", "replace"))
    if trouble is not None:
        raise trouble
    if listed.returncode != 0:
        said = " ".join(listed.stderr.decode("utf-8", "replace").split()) or "it cannot be read"
        raise NotADump(
            f"{archive.name} is no archive of pg_dump: {said[-300:]}",
            hint="pg_restore reads the custom, directory and tar formats; a plain SQL script is read by psql.",
        )
    text = listed.stdout.decode("utf-8", "replace")
    return ArchiveHeader(
        dbname=_header(text, "dbname"),
        format_version=_header(text, "Dump Version"),
        source_version=_header(text, "Dumped from database version").split(" ")[0],
        dumped_by=_header(text, "Dumped by pg_dump version").split(" ")[0],
        compression=_header(text, "Compression"),
        created_at=_created_at(text),
        entries=tuple(line for line in text.splitlines() if line and not line.startswith(";")),
    )


_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def _restore_command(client: ClientPrograms, address: Address, use_list: Path | None) -> list[str | Path]:
    return [
        client.program("pg_restore"),
        "--exit-on-error",
        "--no-owner",
        "--no-acl",
        "--no-subscriptions",
        "--no-password",
        f"--dbname={address.child_conninfo(client.major)}",
        *([f"--use-list={use_list}"] if use_list else []),
    ]


def _header(text: str, name: str) -> str:
    found = re.search(rf"^;\s+{re.escape(name)}: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _created_at(listing: str) -> datetime:
    """Return the time of ``; Archive created at 2026-11-22 02:00:11 UTC``, which pg_restore prints in its time zone."""
    found = re.search(r"^; Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", listing, re.MULTILINE)
    if found is None:
        raise NotADump("pg_restore does not say when the archive was made.", hint="See `pg_restore --list`.")
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


def _check(status: int, child: Child, run: RunContext, address: Address | None) -> None:
    if status == 0:
        return
    run.check_cancelled()
    raise _restore_failed(status, child, address)


def _restore_failed(status: int, child: Child, address: Address | None) -> BackupsError:
    text = "\n".join((*child.error_lines, *child.last_lines))
    said = f": {' '.join(child.error_lines)}" if child.error_lines else ", without a word"
    errors = "\n".join(child.error_lines)
    if address is not None and re.search(r"connection to server .* failed", text):
        return connection_failed(address, text)
    if address is not None and _SERVER_GONE.search(errors):
        return ConnectionFailed(
            f"The server {address.label()} ended the restore{said}",
            hint="It stopped, or the network failed; look into its log, then try again.",
        )
    trouble = _trouble(status, errors, said)
    if trouble is not None:
        return trouble
    for sign, lacking in _LACKING:
        found = re.search(sign, text)
        if found:
            return NotTestable(
                f"The server lacks {lacking.format(*found.groups())}.",
                hint="Restore on a server that has it: set RESTORE_TEST_URL to one like the source.",
            )
    forbidden = re.search(_FORBIDDEN, text)
    if forbidden:
        return NotTestable(
            f"The role{f' {address.user}' if address else ''} lacks the right for it ({forbidden[1]}).",
            hint="Restore with a role that has it: for restore tests that is the role in RESTORE_TEST_URL.",
        )
    if re.search(r"unsupported version \([\d.]+\) in file header", text):
        hint = "The archive was written by a newer pg_dump; install newer client programs."
    elif re.search(r"end of file|could not read|corrupt|invalid|did not find magic string", text):
        hint = "The archive is cut or damaged; use another backup."
    else:
        hint = "See the run's log."
    return RestoreFailed(f"pg_restore ended with status {status}{said}", hint=hint)


def _trouble(status: int, text: str, said: str = "") -> BackupsError | None:
    """Return the error of an attempt that failed for reasons of its own; None when the archive may be at fault."""
    if status < 0:
        return BackupsError(
            f"pg_restore was ended by signal {-status}{said}",
            hint="Somebody killed it, or the machine ran out of memory; see its log, then try again.",
        )
    if status and "deadlock detected" in text:
        return Deadlocked(
            f"pg_restore ended with status {status}{said or f': {text.strip()}'}",
            hint="Two of its own sessions waited for each other; try again.",
        )
    for sign, hint in _TROUBLE if status else ():
        if re.search(sign, text):
            return BackupsError(f"pg_restore ended with status {status}{said or f': {text.strip()}'}", hint=hint)
    return None
