"""pg_basebackup as a stream: one tar of the whole data folder on standard output, the backup manifest last in it.

No WAL is in it (``--wal-method=none``): it comes from the archive, without which a base backup is of no use anyway.
The server then waits until the last segment that the backup needs has been archived, if it archives by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import BackupsError, DumpFailed
from services.jobs.context import RunContext
from services.jobs.processes import run_child
from services.postgres.clients import ClientPrograms
from services.postgres.connection import Address, connection_failed, passfile
from services.postgres.dump import DumpProcess

_HINTS: tuple[tuple[str, str, bool], ...] = (
    (
        r"no pg_hba\.conf entry for replication",
        "Allow it in the server's pg_hba.conf: host replication ROLE ADDRESS scram-sha-256; then pg_reload_conf().",
        False,
    ),
    (
        r"must be superuser or replication role|permission denied to start WAL sender",
        "ALTER ROLE … REPLICATION.",
        False,
    ),
    (r"all replication slots|number of requested standby|max_wal_senders|remaining connection slots",
     "Raise max_wal_senders on the server, or wait until another base backup has ended.", True),
    (r"WAL streaming .* is not|wal_level", "Set wal_level = replica on the server and restart it.", False),
    (r"can only write single tablespace", "A server with tablespaces of its own cannot be streamed.", False),
    (r"WAL summar|incremental", "Set summarize_wal = on, or take a full base backup.", False),
)  # fmt: skip


class BaseBackupProcess(DumpProcess):
    """A running pg_basebackup."""

    def _failed(self, status: int) -> BackupsError:
        text = "\n".join((*self._child.error_lines, *self._child.last_lines))
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        said = f": {' '.join(self._child.error_lines)}" if self._child.error_lines else ", without a word"
        found = next(((hint, passes) for sign, hint, passes in _HINTS if re.search(sign, text)), None)
        if found is None and re.search(r"connection to server .* failed|could not connect to server", text):
            return connection_failed(self._address, text)
        hint, may_pass = found or ("See the run's log and the server's log.", True)
        return DumpFailed(f"pg_basebackup {how}{said}", hint=hint, may_pass=may_pass)


@contextmanager
def base_backup_stream(
    client: ClientPrograms, address: Address, *, label: str, run: RunContext, incremental: Path | None = None
) -> Iterator[BaseBackupProcess]:
    """Run pg_basebackup while the block runs; leaving the block ends it. Raise ClientProgramMissing.

    ``incremental``: the backup manifest of the base backup on which this one stands (PostgreSQL 17 and newer).
    """
    command: list[str | Path] = [
        client.program("pg_basebackup"),
        "--pgdata=-",
        "--format=tar",
        "--wal-method=none",
        "--manifest-checksums=SHA256",
        "--checkpoint=fast",
        "--no-password",
        f"--label={label}",
        f"--dbname={address.child_conninfo(client.major)}",
    ]
    if incremental is not None:
        command.append(f"--incremental={incremental}")
    with (
        passfile(address, run) as secret,
        run_child(command, environment=address.child_environment(secret), run=run, stdout=True) as child,
    ):
        yield BaseBackupProcess(child, address, run)
