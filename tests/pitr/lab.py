"""A server that archives into an installation's storage, for tests of point in time on real servers."""

from __future__ import annotations

import copy
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from services import commands
from services.catalog.model import Backup, Run
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.pitr.archive import WalArchive
from services.pitr.cluster import Cluster
from services.pitr.open import archive_of
from services.pitr.point_report import PointReport
from services.pitr.restore_point import Look, plan_point, restore_to_point
from services.pitr.target import RecoveryTarget
from services.pitr.wal_push import push_file
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import reachable_data_dir, server_user
from tests.support.installations import make_installation
from tests.support.run_context import RecordingRun
from tests.support.servers import bin_dir

SEGMENT = 1 << 20
NAME = "la_factoria"
_COMMAND = 'cp %p "{folder}/.%f" && mv "{folder}/.%f" "{folder}/%f"'
_MARKER = "INSERT INTO markers (at, filler) VALUES (clock_timestamp(), repeat('x', 2000)) RETURNING id"
_OPTIONS = {
    "archive_mode": "on",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "fsync": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "20",
}


class PointLab:
    """One server with segments of 1 MB, whose archive_command hands them to a folder, from where they are pushed.

    The pushing is that of ``wal-push``, without a start of Python for each segment.
    """

    def __init__(self, version: int, home: Path) -> None:
        self.version = version
        user = server_user()
        self.outbox = reachable_data_dir(home / "source", user).parent / "outbox"
        self.outbox.mkdir(exist_ok=True)
        user.own(self.outbox)
        options = _OPTIONS | {"archive_command": _COMMAND.format(folder=self.outbox)}
        self.server = SmallSegments(bin_dir(version), home / "source", options=options)
        self.server.start()
        self.inst = make_installation(
            home / "home",
            url=self.server.address.url().get_secret_value(),
            pg_bin_dirs=(self.server.bin_dir,),
            database={"compression_level": 1},
        )

    def close(self) -> None:
        self.inst.close()
        shutil.rmtree(self.outbox)
        self.server.destroy()

    def sql(self, *statements: str) -> Any:
        """Run statements, each a transaction; return the first row of the last one, or None."""
        with connect(self.server.address) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def now(self) -> datetime:
        """Return the time by the server's clock."""
        return self.sql("SELECT clock_timestamp()")[0]

    def run(self, run_id: str) -> Run:
        return execute_run(self.inst, run_id, worker=process_identity())

    def base(self) -> Backup:
        run = self.run(commands.submit_base_backup(self.inst, NAME, actor="t", queue=False))
        assert run.state == "finished", f"{run.error} {run.hint}"
        return self.inst.catalog.backups.get(run.backup_id or "")

    @property
    def archive(self) -> WalArchive:
        identifier = self.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
        database = self.inst.settings.database(NAME)
        return archive_of(self.inst.settings, database, self.inst.storage("primary"), Cluster(identifier, SEGMENT))

    def ship(self) -> list[str]:
        """Switch to the next segment, wait until all before it is archived, and store that; return the names."""
        # Something has to be written: an empty segment is not switched.
        last = self.sql("SELECT pg_logical_emit_message(false, 't', 't')", "SELECT pg_walfile_name(pg_switch_wal())")[0]
        deadline = time.monotonic() + 20
        while not (self.outbox / last).exists():
            assert time.monotonic() < deadline, f"{last} was not archived"
            time.sleep(0.02)
        shipped, database = [], self.inst.settings.database(NAME)
        for path in sorted(self.outbox.glob("0*")):
            push_file(self.inst.settings, database, self.inst.storage("primary"), path)
            path.unlink()
            shipped.append(path.name)
        return shipped

    def stored(self, segment: str) -> Path:
        """Return the file of a segment in the storage."""
        (found,) = [one for one in self.archive.segments() if one.name == segment]
        return Path(self.inst.storage("primary").location(found.key).removeprefix("file://"))

    @contextmanager
    def markers(self, every: float = 0.02) -> Iterator[list[int]]:
        """Write marker rows while the block runs; yield the numbers of those that are committed, as they come.

        It ends by itself when the table is gone.
        """
        self.sql("CREATE TABLE IF NOT EXISTS markers (id bigserial PRIMARY KEY, at timestamptz, filler text)")
        ending, written = threading.Event(), []

        def write() -> None:
            with connect(self.server.address) as connection:
                while not ending.wait(every):
                    try:
                        row = connection.execute(_MARKER).fetchone()
                    except psycopg.errors.UndefinedTable:
                        return
                    assert row is not None
                    written.append(row[0])

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield written
        finally:
            ending.set()
            thread.join()

    def restore(self, to: str, look: Look | None = None, **options: Any) -> PointReport:
        """Hold a restore test in the foreground of this test."""
        base = options.pop("base", None)
        plan = plan_point(self.inst, NAME, RecoveryTarget.parse(to, **options), base=base)
        return restore_to_point(self.inst, plan, RecordingRun(), look=look)

    @contextmanager
    def started(self, folder: Path) -> Iterator[PointLab]:
        """Run a restored data folder beside the source while the block runs; it archives as the source does."""
        twin = copy.copy(self)
        twin.server = SmallSegments(self.server.bin_dir, folder, options=self.server.options)
        (folder.with_name(folder.name + ".password")).write_text(
            self.server.data_dir.with_name(self.server.data_dir.name + ".password").read_text()
        )
        twin.server.start()
        try:
            yield twin
        finally:
            twin.server.destroy()


class SmallSegments(LocalServer):
    """A server whose segments have 1 MB, so that a test fills several in a second."""

    def _run(self, program: str, *arguments: Any) -> Any:
        if program == "initdb":
            arguments = (*arguments, "--wal-segsize=1")
        return super()._run(program, *arguments)
