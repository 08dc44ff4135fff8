"""Real servers that call ``backups pitr wal-push``: all of it arrives, none is lost while the storage is down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.pitr.gaps import find_gaps
from services.pitr.listing import list_archive
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import server_user
from tests.pitr.servers import ArchivingServer, wait_for


@pytest.mark.parametrize("archiving", [15, 18], indirect=True)
def test_every_segment_arrives_as_it_is(archiving: ArchivingServer, tmp_path: Path) -> None:
    names = [archiving.switch() for _ in range(3)]
    wait_for(lambda: set(names) <= set(archiving.names()), "the segments do not arrive")
    archive = archiving.archive()
    assert archive.system_identifier == str(archiving.sql("SELECT system_identifier FROM pg_control_system()"))
    assert find_gaps(archive.segments(), list_archive(archive).histories) == []
    for name in names:
        archive.fetch(name, tmp_path / name)
        local = archiving.server.data_dir / "pg_wal" / name
        if local.exists():  # the server may have recycled it by now
            assert (tmp_path / name).read_bytes() == local.read_bytes()
    assert archiving.sql("SELECT failed_count FROM pg_stat_archiver") == 0


@pytest.mark.parametrize("archiving", [15], indirect=True)
def test_nothing_is_lost_while_the_storage_is_down(archiving: ArchivingServer) -> None:
    before = archiving.sql("SELECT failed_count FROM pg_stat_archiver")
    away = archiving.storage_root.with_name("away")
    archiving.storage_root.rename(away)
    archiving.storage_root.touch(mode=0o400)  # a file in its place: nothing can be written below
    names = [archiving.switch() for _ in range(3)]
    wait_for(
        lambda: archiving.sql("SELECT failed_count FROM pg_stat_archiver") > before, "the server hears of no failure"
    )
    ready = archiving.server.data_dir / "pg_wal" / "archive_status" / f"{names[0]}.ready"
    assert ready.exists()  # kept by the server until it is stored
    archiving.storage_root.unlink()
    away.rename(archiving.storage_root)
    names.append(archiving.switch())
    wait_for(lambda: set(names) <= set(archiving.names()), "the segments do not arrive afterwards", 90)
    archive = archiving.archive()
    assert find_gaps(archive.segments(), list_archive(archive).histories) == []
    assert archiving.sql("SELECT count(*) FROM pg_stat_archiver WHERE last_archived_time > last_failed_time") == 1


@pytest.mark.parametrize("archiving", [18], indirect=True)
def test_recovery_through_the_archive_ends_where_it_is_told_on_a_timeline_of_its_own(
    archiving: ArchivingServer, tmp_path: Path
) -> None:
    """A cold copy of the data folder, ``restore_command`` and a target: the copy replays what came after it."""
    archiving.sql("CREATE TABLE IF NOT EXISTS rows (n int)")
    archiving.sql("CHECKPOINT")
    copied = LocalServer(archiving.server.bin_dir, tmp_path / "copy", options=dict(archiving.server.options))
    archiving.server.stop()
    shutil.copytree(archiving.server.data_dir, copied.data_dir, symlinks=True)
    shutil.copy2(
        archiving.server.data_dir.with_name(archiving.server.data_dir.name + ".password"),
        copied.data_dir.with_name(copied.data_dir.name + ".password"),
    )
    archiving.server.start()
    archiving.sql("INSERT INTO rows VALUES (1)")
    target = archiving.sql("SELECT pg_current_wal_insert_lsn()::text")
    archiving.sql("INSERT INTO rows VALUES (2)")
    name = archiving.switch()
    wait_for(lambda: name in archiving.names(), "the segment does not arrive")
    copied.options.update(
        restore_command=archiving.relay.command("wal-fetch", "%f", "%p"),
        recovery_target_lsn=target,
        recovery_target_action="promote",
    )
    _own(copied.data_dir)
    signal = copied.data_dir / "recovery.signal"
    signal.touch()
    server_user().own(signal)
    try:
        copied.start()
        with connect(copied.address) as connection:
            wait_for(
                lambda: connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,),
                "it does not promote",
            )
            assert connection.execute("SELECT array_agg(n) FROM rows").fetchone() == ([1],)
            connection.execute("SELECT pg_switch_wal()")
        # the copy archives into the same place, on its own timeline: its history tells where it left the first
        archive = archiving.archive()
        wait_for(lambda: any(s.timeline > 1 for s in archive.segments()), "the new timeline is not archived")
        [history] = list_archive(archive).histories.values()
        assert history.switches[0].timeline == 1
        assert find_gaps(archive.segments(), list_archive(archive).histories) == []
    finally:
        copied.destroy()


def _own(folder: Path) -> None:
    user = server_user()
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            user.own(path)
