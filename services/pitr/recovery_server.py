"""A server that recovers a laid-out data folder to a point: started, waited for, asked, ended.

It reads none of the source's configuration: not ``postgresql.conf``, which may load libraries that are absent here or
archive into the same place, and not ``pg_hba.conf``. Everything is set on its command line, which also goes above
``postgresql.auto.conf``. It listens on no network address, only on a socket in a folder that nobody else may enter,
and runs no background work: no jobs, no autovacuum, no replication.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from services.errors import BackupsError, RestoreFailed, TimedOut
from services.jobs.context import RunContext
from services.jobs.processes import Child, run_child
from services.pitr.feeder import SegmentFeeder, feeding
from services.pitr.folder_program import ENVIRONMENT
from services.pitr.target import RecoveryTarget
from services.postgres.connection import Address, connect
from services.postgres.server_programs import ServerPrograms
from services.postgres.server_user import ServerUser, reachable_bin_dir

PORT = 5432
"""Of the socket's name only: the server listens on no address."""
POLL_SECONDS = 0.05
STOP_SECONDS = 600.0
"""The longest that a server may take to write everything out when it ends."""
_STOPPING = re.compile(r"recovery stopping (before|after) .*")
_NOT_REACHED = "recovery ended before configured recovery target was reached"
_TOO_EARLY = "requested recovery stop point is before consistent recovery point"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "lc_messages": "C",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "max_connections": "20",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    # Transactions that were prepared and not ended have to fit, and nobody knows how many there are.
    "max_prepared_transactions": "1000",
    "max_locks_per_transaction": "256",
    "autovacuum": "off",
    # No replica: recovery would stop where a setting of the source was larger. It is asked once it has ended.
    "hot_standby": "off",
    "huge_pages": "off",
    "wal_level": "replica",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "recovery_target_action": "promote",
}


@dataclass(frozen=True)
class Recovered:
    """A server that has come to the point, promoted and running."""

    address: Address
    timeline: int
    """The new one, on which it goes on."""
    replayed_lsn: int
    last_commit_at: str | None
    """As the server says it: when the last transaction that was replayed ended, by the source's clock."""
    stopping: str
    """What the server said of why it stopped where it did; empty at the end of the archive."""
    pid: int


@contextmanager
def recovered_server(
    programs: ServerPrograms,
    data_dir: Path,
    work: Path,
    feeder: SegmentFeeder,
    target: RecoveryTarget,
    *,
    superuser: str,
    dbname: str,
    keeps: bool,
    user: ServerUser,
    run: RunContext,
) -> Iterator[Recovered]:
    """Recover the data folder, yield the running server, and end it in order afterwards.

    ``work`` is a private folder of the server's user for socket and pipes. ``keeps``: the data are to be used later, so
    that all is written out, and new WAL waits to be archived. Raise RestoreFailed when the point is not reached, what
    the feeder met (SegmentMissing, CorruptBackup, …), Cancelled, TimedOut.
    """
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (work / name).write_text("local all all trust\n" if name == "pg_hba.conf" else "")
        user.own(work / name)
    signal_file = data_dir / "recovery.signal"
    signal_file.touch(mode=0o600)
    user.own(signal_file)
    (data_dir / "standby.signal").unlink(missing_ok=True)
    with feeding(feeder, work, user) as restore_command:
        wanted = target.settings(feeder.way.timelines[-1])
        settings = _settings(programs.major, work, keeps=keeps) | wanted | {"restore_command": restore_command}
        command: list[str | Path] = [reachable_bin_dir(programs.bin_dir, user) / "postgres", "-D", data_dir]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with run_child(command, environment=ENVIRONMENT, run=run, user=user.popen_arguments(), level="info") as child:
            _wait(child, data_dir, feeder, target, run)
            address = Address(str(work), PORT, superuser, None, dbname)
            yield _ask(address, child)
            try:
                stop(child)
            except (TimedOut, RestoreFailed) as error:
                if not keeps:
                    raise
                # It is promoted, and with fsync on: as after a crash, its next start makes good what is not written.
                run.log(f"{error.message} The folder is complete all the same: its next start recovers it.", "warning")


def stop(child: Child) -> None:
    """End the server in order (SIGINT: a fast shutdown with a checkpoint). Raise TimedOut, RestoreFailed."""
    with suppress(ProcessLookupError):  # a cancel ends it from another thread
        os.kill(child.pid, signal.SIGINT)
    status = child.wait(STOP_SECONDS)
    if status == -signal.SIGKILL:
        raise TimedOut("The restored server did not end in time and was killed.", hint="Look at the disk's load.")
    if status != 0:
        raise RestoreFailed(f"The restored server did not end well: {' '.join(child.error_lines)}")


def _settings(major: int, work: Path, *, keeps: bool) -> dict[str, str]:
    settings = {
        **_SETTINGS,
        "config_file": str(work / "postgresql.conf"),
        "hba_file": str(work / "pg_hba.conf"),
        "ident_file": str(work / "pg_ident.conf"),
        "unix_socket_directories": str(work),
        # With archiving on and no command, what the new timeline writes waits until the server has its own command.
        "archive_mode": "on" if keeps else "off",
        "archive_command": "",
        "fsync": "on" if keeps else "off",
    }
    if major >= 15:
        # Reading ahead would ask for a segment behind the point, and a gap there would stop recovery for nothing.
        settings |= {"archive_library": "", "recovery_prefetch": "off"}
    if major >= 17:
        settings |= {"summarize_wal": "off", "sync_replication_slots": "off", "event_triggers": "off"}
    return settings


def _wait(child: Child, data_dir: Path, feeder: SegmentFeeder, target: RecoveryTarget, run: RunContext) -> None:
    """Wait until recovery has ended and the server takes connections. Raise what kept it from there."""
    while not _is_ready(data_dir, child.pid):
        run.check_cancelled()
        run.progress(feeder.bytes)
        if child.poll() is not None:
            child.wait()
            run.check_cancelled()
            raise feeder.failure or _not_recovered(child, feeder, target)
        time.sleep(POLL_SECONDS)


def _is_ready(data_dir: Path, pid: int) -> bool:
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    # pid, data folder, start, port, socket folder, address, memory, status (miscadmin.h)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _not_recovered(child: Child, feeder: SegmentFeeder, target: RecoveryTarget) -> BackupsError:
    said = " ".join(child.error_lines)
    came = f" The last segment that it read is {feeder.last}." if feeder.last else " It read no WAL."
    if _NOT_REACHED in said:
        return RestoreFailed(
            f"Recovery came to the end of the archive before it reached {target.label}.{came}",
            hint="Nothing later is archived, or no such point exists. Check the point; on a server that is idle, "
            "nothing after its last transaction can be told apart: restore to `latest`.",
            may_pass=False,
        )
    if _TOO_EARLY in said:
        return RestoreFailed(
            f"{target.label} lies before the base backup's data are consistent.",
            hint="Choose an earlier base backup with --base.",
            may_pass=False,
        )
    return RestoreFailed(f"The server could not recover: {said or 'it ended without a word'}.{came}")


def _ask(address: Address, child: Child) -> Recovered:
    try:
        with connect(address) as connection:
            row = connection.execute(
                "SELECT pg_is_in_recovery(), "
                "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int, "
                "pg_last_wal_replay_lsn() - '0/0'::pg_lsn, pg_last_xact_replay_timestamp()::text"
            ).fetchone()
    except psycopg.Error as error:
        raise RestoreFailed(f"The restored server does not answer: {str(error).strip()}.") from error
    assert row is not None
    if row[0]:
        raise RestoreFailed("The restored server is still in recovery although it says that it is ready.")
    lines = [line for line in child.last_lines if _STOPPING.search(line)]
    return Recovered(address, row[1], int(row[2] or 0), row[3], lines[-1] if lines else "", child.pid)
