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
from pathlib import Path

from psycopg.conninfo import make_conninfo

from services.errors import BackupsError, NotADump, NotTestable, RestoreFailed
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
    (r"(permission denied to create [^\n]+)", "the right for it ({0})"),
    (r"(must be superuser[^\n]*)", "the right for it ({0})"),
    (r"unsupported XML feature", "support for XML (it was built without libxml)"),
    (r"No space left on device", "the disk space"),
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
        """Say that the archive ends here, and wait. Raise Cancelled, NotTestable, ConnectionFailed or RestoreFailed."""
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
    Raise NotTestable naming what the server lacks, ConnectionFailed, RestoreFailed, Cancelled.
    """
    command: list[str | Path] = [*_restore_command(client, address, use_list), f"--jobs={jobs}", archive]
    with (
        passfile(address) as secret,
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
        passfile(address) as secret,
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
    """Return the header and the table of contents of an archive. Raise NotADump."""
    listed = subprocess.run(
        [str(client.program("pg_restore")), "--list", str(archive.absolute())],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LIST_SECONDS, env=_ENVIRONMENT, cwd="/",
    )  # fmt: skip
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
        entries=tuple(line for line in text.splitlines() if line and not line.startswith(";")),
    )


_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}


def _restore_command(client: ClientPrograms, address: Address, use_list: Path | None) -> list[str | Path]:
    # As a connection string, since a name with "=" in it would be taken for one.
    target = make_conninfo(dbname=address.dbname)
    return [
        client.program("pg_restore"),
        "--exit-on-error",
        "--no-owner",
        "--no-acl",
        "--no-subscriptions",
        "--no-password",
        f"--dbname={target}",
        *([f"--use-list={use_list}"] if use_list else []),
    ]


def _header(text: str, name: str) -> str:
    found = re.search(rf"^;\s+{re.escape(name)}: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _check(status: int, child: Child, run: RunContext, address: Address | None) -> None:
    if status == 0:
        return
    run.check_cancelled()
    raise _restore_failed(status, child, address)


def _restore_failed(status: int, child: Child, address: Address | None) -> BackupsError:
    text = "\n".join((*child.error_lines, *child.last_lines))
    for sign, lacking in _LACKING:
        found = re.search(sign, text)
        if found:
            return NotTestable(
                f"The server lacks {lacking.format(*found.groups())}.",
                hint="Restore on a server that has it: set RESTORE_TEST_URL to one like the source.",
            )
    if address is not None and re.search(r"connection to server .* failed", text):
        return connection_failed(address, text)
    if re.search(r"unsupported version \([\d.]+\) in file header", text):
        hint = "The archive was written by a newer pg_dump; install newer client programs."
    elif re.search(r"end of file|could not read|corrupt|invalid|did not find magic string", text):
        hint = "The archive is cut or damaged; use another backup."
    elif re.search(r"server closed the connection|terminating connection|SSL SYSCALL", text):
        hint = "The target server stopped or the network failed; look into its log, then try again."
    else:
        hint = "See the run's log."
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    said = f": {' '.join(child.error_lines)}" if child.error_lines else ", without a word"
    return RestoreFailed(f"pg_restore {how}{said}", hint=hint)
