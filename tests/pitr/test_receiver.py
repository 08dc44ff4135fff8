"""The receiver on real servers: all of the log arrives, whatever is killed or down meanwhile."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from services.catalog.wal_samples import latest_samples
from services.installation import Installation
from services.pitr import receiver as receiving
from services.pitr.archive import WalArchive
from services.pitr.gaps import find_gaps
from services.pitr.listing import list_archive
from services.pitr.open import existing_archive
from services.pitr.receiver import Receiver, spool_folder
from services.pitr.receivers import Receivers
from services.pitr.server_facts import ask_server
from services.pitr.spool import Spool
from services.pitr.wal_names import SegmentName
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.postgres.server_user import server_user
from services.settings.model import PitrSettings
from tests.pitr.servers import wait_for
from tests.support.installations import make_installation
from tests.support.s3 import fault_server, moto_server, plain_client, settings_for
from tests.support.servers import make_server


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(receiving, "POLL_SECONDS", 0.1)


@pytest.fixture
def slot(request: pytest.FixtureRequest) -> str:
    return "r_" + "".join(c for c in request.node.name.lower() if c.isalnum())[:50]


@pytest.fixture(params=[15, 18])
def installation(request: pytest.FixtureRequest, slot: str, tmp_path: Path) -> Iterator[Installation]:
    server: LocalServer = request.getfixturevalue(f"server{request.param}")
    pitr = PitrSettings(enabled=True, method="receiver", slot=slot)
    made = make_installation(tmp_path, url=server.address.url().get_secret_value(), database={"pitr": pitr})
    yield made
    made.close()
    with connect(server.address) as connection:
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [slot]
        )


def begin_here(address: Address) -> None:
    """Have the next slot begin in the present segment.

    A new slot keeps the log from the last checkpoint on; with much of it the receiver is at its limit before a test is.
    """
    with connect(address) as connection:
        connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")


@contextmanager
def receiver(installation: Installation) -> Iterator[threading.Thread]:
    """Receive for the length of the block, and stop in order."""
    stop = threading.Event()
    made = Receiver(installation, installation.settings.databases[0], stop, lambda: True)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def address(installation: Installation) -> Address:
    return Address.parse(installation.settings.databases[0].url.get_secret_value())


def archive(installation: Installation) -> WalArchive:
    database = installation.settings.databases[0]
    return existing_archive(installation.settings, database, installation.storage("primary"))


def names(installation: Installation) -> set[str]:
    if not list((installation.settings.home / "storage").rglob("*.zst.age")):
        return set()
    return {segment.name for segment in archive(installation).segments() if not segment.partial}


def spools(installation: Installation) -> list[Path]:
    """The folders in which receivers of this installation work."""
    place = spool_folder(installation, installation.settings.databases[0])
    return [path for path in place.iterdir() if path.is_dir()] if place.exists() else []


def held(installation: Installation) -> int:
    """Bytes in those folders."""
    return sum(path.stat().st_size for spool in spools(installation) for path in spool.iterdir())


def switch(installation: Installation) -> str:
    """Write a little, end the segment, return its name."""
    with connect(address(installation)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS received (at timestamptz DEFAULT clock_timestamp())")
        connection.execute("INSERT INTO received DEFAULT VALUES")
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    return str(row[0])


def slot_lsn(installation: Installation) -> int:
    found = ask_server(address(installation)).slot(installation.settings.databases[0].pitr.slot)
    assert found is not None
    assert found.restart_lsn is not None
    return found.restart_lsn


def gaps(installation: Installation) -> list[str]:
    found = archive(installation)
    return [str(gap) for gap in find_gaps(found.segments(), list_archive(found).histories, found.segment_bytes)]


def children(pid: int | None = None) -> list[psutil.Process]:
    """The pg_receivewal of a process, this one if none is named."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if child.name() == "pg_receivewal":
                found.append(child)
    return found


def test_the_log_arrives_and_the_slot_moves_only_behind_what_is_stored(installation: Installation) -> None:
    with receiver(installation):
        wait_for(lambda: bool(children()), "pg_receivewal does not start")
        ended = [switch(installation) for _ in range(3)]
        wait_for(lambda: set(ended) <= names(installation), "the segments do not arrive")
        last = SegmentName.parse(ended[-1]).end_lsn()
        wait_for(lambda: slot_lsn(installation) == last, "the slot does not move on")
        [spool] = spools(installation)
        wait_for(lambda: not list(spool.glob("0" * 8 + "?" * 16)), "the spool is not emptied")
        with connect(address(installation)) as connection:
            connection.execute("INSERT INTO received DEFAULT VALUES")
        wait_for(lambda: bool(Spool(spool).partial()), "the next segment does not begin")
    assert spools(installation) == []
    # stopped in order: the beginning of the segment that was being written is stored as well
    assert [segment.partial for segment in archive(installation).segments()][-1]
    assert children() == []
    again = switch(installation)
    with receiver(installation):
        wait_for(lambda: again in names(installation), "what was written meanwhile does not arrive")
        wait_for(lambda: not any(s.partial for s in archive(installation).segments()), "the partial one stays")
    assert gaps(installation) == []


@pytest.mark.parametrize("installation", [18], indirect=True)
def test_killed_with_its_disk_it_goes_on_and_nothing_is_lost(installation: Installation) -> None:
    with receiver(installation) as thread:
        wait_for(lambda: bool(children()), "pg_receivewal does not start")
        first = switch(installation)
        wait_for(lambda: first in names(installation), "the segments do not arrive")
        [child] = children()
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: any(each.pid != child.pid for each in children()), "it is not started anew")
        assert thread.is_alive()
    shutil.rmtree(spool_folder(installation, installation.settings.databases[0]))  # the container is gone
    ended = [switch(installation) for _ in range(3)]
    with receiver(installation):
        wait_for(lambda: set(ended) <= names(installation), "the segments do not arrive")
    assert gaps(installation) == []


@pytest.mark.parametrize("installation", [15], indirect=True)
def test_while_the_storage_is_down_the_spool_has_a_limit_and_the_server_keeps_the_rest(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = installation.settings.databases[0]
    limited = database.model_copy(update={"pitr": database.pitr.model_copy(update={"spool_limit": 40 << 20})})
    monkeypatch.setattr(installation.settings, "__dict__", {**vars(installation.settings), "databases": (limited,)})
    root, away = installation.settings.home / "storage", installation.settings.home / "away"
    begin_here(address(installation))
    with receiver(installation):
        wait_for(lambda: bool(children()), "pg_receivewal does not start")
        first = switch(installation)
        wait_for(lambda: first in names(installation), "the segment does not arrive")
        stored_up_to = SegmentName.parse(first).end_lsn()
        wait_for(lambda: slot_lsn(installation) == stored_up_to, "the slot does not move on")
        root.rename(away)
        root.touch()
        ended = [switch(installation) for _ in range(5)]
        wait_for(lambda: not children(), "it does not pause at its limit", 60)
        assert 40 << 20 < held(installation) <= 5 * (16 << 20)
        assert slot_lsn(installation) == stored_up_to
        root.unlink()
        away.rename(root)
        wait_for(lambda: set(ended) <= names(installation), "the segments do not arrive afterwards", 60)
    assert gaps(installation) == []


def test_limit_and_lease_hold_while_the_storage_does_not_answer(
    server18: LocalServer, slot: str, tmp_path: Path
) -> None:
    url, bucket = server18.address.url().get_secret_value(), f"wal-{secrets.token_hex(4)}"
    pitr = PitrSettings(enabled=True, method="receiver", slot=slot).model_copy(update={"spool_limit": 40 << 20})
    with moto_server() as moto, fault_server(moto) as faults:
        plain_client(moto).create_bucket(Bucket=bucket)
        storage = settings_for(faults.endpoint, bucket, timeout=600, name="primary")
        inst = make_installation(tmp_path, url=url, database={"pitr": pitr}, storages=(storage,))
        asked, mine = [0], threading.Event()
        mine.set()

        def still_mine() -> bool:
            asked[0] += 1
            return mine.is_set()

        begin_here(server18.address)
        made = Receiver(inst, inst.settings.databases[0], threading.Event(), still_mine)
        thread = threading.Thread(target=made.run)
        thread.start()
        wait_for(lambda: bool(children()), "pg_receivewal does not start")
        first = switch(inst)
        wait_for(lambda: first in {s.name for s in archive(inst).segments()}, "the segment does not arrive")
        faults.fault = lambda method, path: "silent"
        ended = [switch(inst) for _ in range(4)]
        wait_for(lambda: not children() and held(inst) > pitr.spool_limit, "it does not pause at its limit", 60)
        [spool] = spools(inst)
        assert held(inst) <= 5 * (16 << 20)
        before = asked[0]
        wait_for(lambda: asked[0] > before + 2, "the lease is not kept")
        mine.clear()  # another worker has it
        thread.join(60)
        assert not thread.is_alive()
        assert spool.exists()  # whose storing still hangs
        faults.fault = lambda method, path: None
        with receiver(inst):
            wait_for(
                lambda: set(ended) <= {s.name for s in archive(inst).segments()},
                "the segments do not arrive afterwards",
            )
            assert spool.exists()
            faults.released.set()
            wait_for(lambda: not spool.exists(), "what hung does not end")
        assert gaps(inst) == []
        inst.close()
    with connect(server18.address) as connection:
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])


def test_a_spool_is_its_receivers_own_and_goes_when_that_is_gone(tmp_path: Path) -> None:
    first, second = (Spool.begin(tmp_path / "spool", "0" * 24) for _ in range(2))
    assert first.folder.exists()
    assert first._lock is not None
    os.close(first._lock._descriptor)  # as the kernel does when its process is killed
    third = Spool.begin(tmp_path / "spool", "0" * 24)
    assert not first.folder.exists()
    assert second.folder.exists()
    second.end()
    third.end()
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("installation", [18], indirect=True)
def test_past_the_servers_limit_its_disk_is_not_filled_and_the_gap_is_named(installation: Installation) -> None:
    with receiver(installation):
        wait_for(lambda: bool(children()), "pg_receivewal does not start")
        first = switch(installation)
        wait_for(lambda: first in names(installation), "the segment does not arrive")
    slot = installation.settings.databases[0].pitr.slot
    with connect(address(installation)) as connection:
        connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            lost = [switch(installation) for _ in range(4)]
            connection.execute("CHECKPOINT")
            wait_for(lambda: ask_server(address(installation)).slot(slot).wal_status == "lost", "the slot is kept")
        finally:
            connection.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            connection.execute("SELECT pg_reload_conf()")
    with receiver(installation):  # makes the slot anew, and goes on with what is left
        wait_for(lambda: bool(children()), "pg_receivewal does not start again")
        after = switch(installation)
        wait_for(lambda: after in names(installation), "the segment does not arrive")
    [gap] = find_gaps(archive(installation).segments(), {}, archive(installation).segment_bytes)
    assert gap.names()[0] == lost[0]
    assert set(gap.names()) <= set(lost)


@pytest.mark.parametrize("installation", [18], indirect=True)
def test_of_two_workers_one_receives_and_the_other_takes_over(installation: Installation) -> None:
    for worker in ("a", "b"):
        installation.catalog.workers.beat(worker, version="0", now=installation.clock())
    first_stop, second_stop = threading.Event(), threading.Event()
    first = Receivers(installation, by="a", stopping=first_stop)
    second = Receivers(installation, by="b", stopping=second_stop)
    first.look()
    second.look()
    wait_for(lambda: len(children()) == 1, "nobody receives")
    first.look()
    second.look()
    assert len(children()) == 1
    [before] = children()
    first_stop.set()
    first.join()
    wait_for(lambda: not children(), "the first goes on")
    second.look()
    wait_for(lambda: len(children()) == 1, "the second does not take over")
    assert children()[0].pid != before.pid
    second_stop.set()
    second.join()
    assert children() == []


@pytest.mark.parametrize("installation", [15], indirect=True)
def test_a_worker_killed_takes_its_receiver_with_it_and_the_next_one_goes_on(
    installation: Installation, tmp_path: Path
) -> None:
    environ = worker_environment(installation, tmp_path)
    with worker(environ) as killed:
        wait_for(lambda: bool(children(killed.pid)), "pg_receivewal does not start")
        [child] = children(killed.pid)
        first = switch(installation)
        wait_for(lambda: first in names(installation), "the segment does not arrive")
        killed.kill()
        killed.wait(30)
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "pg_receivewal goes on")
    ended = [switch(installation) for _ in range(2)]
    with worker(environ):
        wait_for(lambda: set(ended) <= names(installation), "the segments do not arrive", 60)
        samples = partial(latest_samples, installation.catalog.engine, ["la_factoria"])
        wait_for(lambda: bool(samples()), "nobody takes samples")
        # Unknown, when the worker that was killed took it before anything was stored; the gaps are asked for below.
        assert samples()["la_factoria"].missing in (None, 0)
    assert gaps(installation) == []


@contextmanager
def worker(environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "services.cli.main", "worker"], env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def worker_environment(installation: Installation, folder: Path) -> dict[str, str]:
    settings = installation.settings
    database, key = settings.databases[0], settings.encryption_key
    assert key is not None
    config = folder / "backups.toml"
    config.write_text(
        f"""
        home = "{settings.home}"
        cleanup_schedule = "off"
        janitor_schedule = "off"
        health_schedule = "off"
        [[storages]]
        name = "primary"
        url = "{settings.storages[0].url}"
        [[databases]]
        name = "la_factoria"
        url = "{database.url.get_secret_value()}"
        schedule = "off"
        restore_test_schedule = "off"
        [databases.pitr]
        enabled = true
        method = "receiver"
        slot = "{database.pitr.slot}"
        """
    )
    python_path = os.environ.get("PYTHONPATH", "")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": python_path,
        "BACKUPS_CONFIG": str(config),
        "BACKUP_ENCRYPTION_KEY": key.get_secret_value(),
    }


def store_ahead(installation: Installation, name: str, folder: Path, *, by: int) -> None:
    """Store a segment of a timeline again, as one that comes so many segments later."""
    stored = archive(installation)
    segment = SegmentName.parse(name, stored.segment_bytes)
    later = SegmentName(segment.timeline, segment.number + by)
    path = folder / later.name(stored.segment_bytes)
    stored.fetch(name, path)
    with path.open("r+b") as file:
        file.seek(8)  # the position in the header
        file.write(later.start_lsn(stored.segment_bytes).to_bytes(8, sys.byteorder))
    stored.push(path)


def test_a_timeline_that_is_left_while_nobody_receives_is_received_to_its_end(tmp_path: Path) -> None:
    """The server recovers to the end of its log and goes on as timeline 2, as after a failover."""
    server = make_server(18, tmp_path / "switching", wal_level="replica", archive_mode="on", archive_command="true")
    pitr = PitrSettings(enabled=True, method="receiver", slot="switching")
    installation = make_installation(tmp_path, url=server.address.url().get_secret_value(), database={"pitr": pitr})
    try:
        with receiver(installation):
            wait_for(lambda: bool(children()), "pg_receivewal does not start")
            first = switch(installation)
            wait_for(lambda: first in names(installation), "the segment does not arrive")
        last = switch(installation)
        server.stop()
        signal_file = server.data_dir / "recovery.signal"
        signal_file.touch()
        server_user().own(signal_file)
        server.options["restore_command"] = "false"
        server.start()
        with connect(server.address) as connection:
            wait_for(lambda: connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,), "no promotion")
        moved = installation.settings.databases[0].model_copy(update={"url": server.address.url()})
        installation.settings = installation.settings.model_copy(update={"databases": (moved,)})
        after = switch(installation)
        assert after.startswith("00000002")
        store_ahead(installation, first, tmp_path, by=20)  # what the server had before it was set back
        with receiver(installation):
            wait_for(lambda: {last, after} <= names(installation), "the segments do not arrive")
        found = archive(installation)
        assert list_archive(found).histories[2].switches[0].timeline == 1
        assert gaps(installation) == []
    finally:
        installation.close()
        server.destroy()


def test_a_receiver_that_gets_nothing_while_the_server_writes_has_stalled() -> None:
    written, changed = [100], [1.0]
    watch = receiving._StallWatch(lambda: written[0], lambda: changed[0])
    start = watch._since
    half = receiving.STALL.total_seconds() / 2
    assert [watch.has_stalled(start + seconds) for seconds in (1, half + 1, 2 * half + 1)] == [False, False, False]
    # a quiet server sends nothing; then it writes, and still nothing comes
    again = watch._since
    assert not watch.has_stalled(again + half + 1)
    written[0] = 200
    assert watch.has_stalled(again + 2 * half + 1)
    # what arrives ends the wait
    again = watch._since
    assert not watch.has_stalled(again + half + 1)
    written[0], changed[0] = 300, 2.0
    assert not watch.has_stalled(again + 2 * half + 1)
