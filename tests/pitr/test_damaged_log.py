"""Damage in the stored log: one bad file hides nothing else, no window goes over it, and it is found unasked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.capacity.storage_use import load_storage_report
from services.catalog.wal_archives import (
    FaultyFile,
    WalArchiveState,
    note_check,
    note_listing,
    wal_archive_state,
    wal_levels_since,
)
from services.catalog.wal_samples import add_sample
from services.errors import CorruptBackup
from services.health.checks import examine
from services.health.model import HealthCheck
from services.installation import Installation
from services.overview import load_rooms
from services.pitr.archive import WalArchive
from services.pitr.cluster import Cluster, settle_cluster
from services.pitr.due_bases import queue_due_bases
from services.pitr.errors import OtherContent
from services.pitr.listing import list_archive
from services.pitr.log_checks import NO_KEY, check_share, queue_base_check
from services.pitr.open import archive_of
from services.pitr.overview import load_point_in_time
from services.pitr.reach import load_reach
from services.pitr.restore_point import plan_point
from services.pitr.sampler import Sampler
from services.pitr.target import RecoveryTarget
from services.settings.model import PitrSettings
from services.storage.local import LocalStorage
from services.storage.local_writer import LocalWriter
from tests.pitr.conftest import SEGMENT, SYSTEM, MakeSegment
from tests.pitr.test_due_bases import WELL
from tests.pitr.test_retention import NOW, add_base
from tests.support.installations import make_installation

HOUR = timedelta(hours=1)


@pytest.fixture
def inst(tmp_path: Path) -> Iterator[Installation]:
    pitr = PitrSettings(enabled=True, check_within=timedelta(hours=3))
    made = make_installation(tmp_path, clock=lambda: NOW, database={"pitr": pitr})
    yield made
    made.close()


@pytest.fixture
def stored(inst: Installation, make_segment: MakeSegment) -> WalArchive:
    """Segments 3 to 8 of timeline 1."""
    cluster = Cluster(SYSTEM, SEGMENT)
    settle_cluster(inst.storage("primary"), "la_factoria", cluster)
    archive = archive_of(inst.settings, inst.settings.databases[0], inst.storage("primary"), cluster)
    for number in range(3, 9):
        archive.push(make_segment(number))
    return archive


def flip(path: Path) -> None:
    """Change one bit of a stored file's content."""
    data = bytearray(path.read_bytes())
    data[-40] ^= 4
    path.write_bytes(data)


def path_of(inst: Installation, key: str) -> Path:
    return Path(inst.storage("primary").location(key).removeprefix("file://"))


def add_timeline(archive: WalArchive, make_segment: MakeSegment, folder: Path) -> str:
    """Timeline 2, which left the first one in segment 6; return the key of its history."""
    history = folder / "00000002.history"
    history.write_text("1\t0/600100\tno recovery target specified\n")
    for number in range(6, 9):
        archive.push(make_segment(number, timeline=2))
    return archive.push(history).key


def test_a_damaged_history_is_named_and_hides_neither_the_rest_nor_what_is_safe(
    inst: Installation, stored: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    key = add_timeline(stored, make_segment, tmp_path)
    add_base(inst, 4, days=1)
    database = inst.settings.databases[0]
    assert {window.timeline for window in load_point_in_time(inst, database).windows} == {1, 2}
    flip(path_of(inst, key))
    found = load_point_in_time(inst, database)
    assert found.listing is not None
    assert "00000002.history" in found.listing.unreadable[2].key
    assert len(found.listing.segments) == 9
    assert {window.timeline for window in found.windows} == {1}  # nothing on 2 is called safe
    reach = load_reach(inst, database)
    assert reach.verdict[0] == "failure"
    assert "00000002.history" in reach.verdict[1]
    for target in ("latest", "0/600200"):
        with pytest.raises(CorruptBackup, match="timeline 2, whose history cannot be read"):
            plan_point(inst, "la_factoria", RecoveryTarget.parse(target))
    with pytest.raises(CorruptBackup, match="history of timeline 2 cannot be read"):
        plan_point(inst, "la_factoria", RecoveryTarget.parse("latest", timeline=2))
    Sampler(inst, by="w").look()
    assert check(inst).severity == "failure"
    assert "00000002.history" in check(inst).sentence
    path_of(inst, key).unlink()  # as the hint says: removed, and stored again from the server's pg_wal
    stored.push(tmp_path / "00000002.history")
    assert list_archive(stored).unreadable == {}


def check(inst: Installation) -> HealthCheck:
    [found] = [one for one in examine(inst).checks if one.name == "wal_damage"]
    return found


def test_all_of_the_log_is_read_in_turn_and_damage_is_kept_until_it_is_mended(
    inst: Installation, stored: WalArchive
) -> None:
    database, state = inst.settings.databases[0], WalArchiveState("la_factoria", "primary")
    assert check(inst).severity == "unknown"
    victim = stored.segments()[4]
    whole = path_of(inst, victim.key).read_bytes()
    flip(path_of(inst, victim.key))
    seen = []
    for hour in range(4):
        inst.clock = lambda hour=hour: NOW + hour * HOUR  # type: ignore[misc]
        check_share(inst, database)
        state = wal_archive_state(inst.catalog.engine, "la_factoria", "primary")
        seen.append([one.key for one in state.damaged])
    # six files within three hours: two each hour; then the next round
    assert seen == [[], [], [victim.key], [victim.key]]
    assert (state.round_ended_at, state.round_began_at) == (NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert check(inst).severity == "failure"
    assert victim.name in check(inst).sentence
    add_base(inst, 4, days=1)
    reach = load_reach(inst, database)
    assert reach.newest is not None
    assert reach.newest.to_lsn == victim.number * SEGMENT
    assert f"{victim.name} is damaged" in reach.verdict[1]
    path_of(inst, victim.key).write_bytes(whole)
    check_share(inst, database)
    assert wal_archive_state(inst.catalog.engine, "la_factoria", "primary").damaged == ()
    assert check(inst).severity == "ok"
    inst.clock = lambda: NOW + 20 * HOUR
    assert check(inst).severity == "warning"  # nobody has read it for so long


def test_a_log_that_cannot_be_read_here_is_unknown_and_never_green(inst: Installation, stored: WalArchive) -> None:
    whole = inst.settings
    inst.settings = whole.model_copy(update={"encryption_key": None})
    check_share(inst, inst.settings.databases[0])
    assert (check(inst).severity, NO_KEY in check(inst).sentence) == ("unknown", True)
    inst.settings = whole
    root = whole.home / "storage"
    root.rename(whole.home / "away")
    root.touch()
    check_share(inst, inst.settings.databases[0])
    assert check(inst).severity == "unknown"


def test_damage_that_the_newest_base_backup_needs_asks_for_another_one(inst: Installation, stored: WalArchive) -> None:
    add_sample(inst.catalog.engine, replace(WELL, at=NOW))
    add_base(inst, 4, days=0.5)
    segments = stored.segments()
    early, late = (FaultyFile(segments[n].key, "damaged") for n in (0, 4))
    state = WalArchiveState("la_factoria", "primary", damaged=(early,))
    note_check(inst.catalog.engine, state)
    assert queue_due_bases(inst) == []
    note_check(inst.catalog.engine, replace(state, damaged=(early, late)))
    [run_id] = queue_due_bases(inst)
    assert inst.catalog.runs.get(run_id).reason == "after damage to the log"


def test_each_base_backup_is_read_in_its_turn_the_newest_first(inst: Installation) -> None:
    old, new = add_base(inst, 3, days=2), add_base(inst, 5, days=1)
    database = inst.settings.databases[0]
    asked = [queue_base_check(inst, database) for _ in range(3)]
    assert asked[2] is None
    runs = [inst.catalog.runs.get(run_id or "") for run_id in asked[:2]]
    assert [run.backup_id for run in runs] == [new.backup.id, old.backup.id]
    assert {(run.kind, run.params["level"]) for run in runs} == {("verification", "archive")}


def test_two_contents_of_one_segment_are_named_and_neither_is_handed_out(
    inst: Installation, stored: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    elsewhere = LocalStorage("elsewhere", tmp_path / "elsewhere")
    other = archive_of(inst.settings, inst.settings.databases[0], elsewhere, Cluster(SYSTEM, SEGMENT))
    key = other.push(make_segment(6, fill=b"y")).key
    path_of(inst, key).write_bytes((elsewhere.root / key).read_bytes())
    name = stored.segments()[3].name
    listing = list_archive(stored)
    assert list(listing.conflicts) == [name]
    assert listing.conflicts[name].reason.count("file://") == 2
    add_base(inst, 4, days=1)
    [window] = load_point_in_time(inst, inst.settings.databases[0]).windows
    assert window.to_lsn == 6 * SEGMENT
    with pytest.raises(CorruptBackup, match="two contents"):
        stored.fetch(name, tmp_path / "back")


class Together(LocalStorage):
    """A storage on which two writers finish at the same moment: neither saw the other before it began."""

    def __init__(self, root: Path) -> None:
        super().__init__("primary", root)
        self.barrier = threading.Barrier(2)

    def writer(self, key: str, *, expected_bytes: int | None = None, replace: bool = False) -> LocalWriter:
        writer = super().writer(key, expected_bytes=expected_bytes, replace=replace)
        self.barrier.wait(10)
        return writer


def test_of_two_servers_that_store_one_segment_at_the_same_moment_none_is_told_that_both_are_there(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    storage = Together(tmp_path / "together")
    archive.storage = storage
    paths = []
    for fill in (b"x", b"y"):
        path = tmp_path / fill.decode() / "000000010000000000000003"
        path.parent.mkdir()
        path.write_bytes(make_segment(3, fill=fill).read_bytes())
        paths.append(path)
    outcomes: list[str] = []

    def push(path: Path) -> None:
        try:
            outcomes.append(archive.push(path).key)
        except OtherContent:
            outcomes.append("refused")

    threads = [threading.Thread(target=push, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert "refused" in outcomes
    assert [segment.key for segment in archive.segments()] == [key for key in outcomes if key != "refused"]


def test_the_log_counts_in_what_a_storage_holds_its_limit_and_its_pace(inst: Installation, stored: WalArchive) -> None:
    engine, mb = inst.catalog.engine, 10**6
    Sampler(inst, by="w").look()
    state = wal_archive_state(engine, "la_factoria", "primary")
    assert (state.files, state.bytes) == (6, sum(file.stored.bytes for file in stored.files()))
    for days in range(20, 0, -1):
        at = NOW - timedelta(days=days)
        note_listing(engine, "la_factoria", "primary", at=at, files=1, stored_bytes=(30 - days) * mb, faults=())
    note_listing(engine, "la_factoria", "primary", at=NOW, files=1, stored_bytes=30 * mb, faults=())
    [storage] = inst.settings.storages
    limited = storage.model_copy(update={"limit_bytes": 50 * mb})
    inst.settings = inst.settings.model_copy(update={"storages": (limited,)})
    [card] = load_storage_report(inst).cards
    assert (card.used.copies, card.used.bytes) == (0, 30 * mb)
    assert card.by_type["wal"].bytes == card.by_database["la_factoria"].bytes == 30 * mb
    assert (round(card.growth_bytes_per_day or 0), card.full_in_days) == (mb, 20)
    assert load_rooms(inst)[0].used_bytes == 30 * mb
    levels = wal_levels_since(engine, date(2026, 11, 24))
    assert [(level.day, level.bytes) for level in levels[1:]] == [(date(2026, 11, 24), 29 * mb), (NOW.date(), 30 * mb)]
    assert levels[0].day == date(2026, 11, 23)  # the last before it, from which the change of the first day is known
