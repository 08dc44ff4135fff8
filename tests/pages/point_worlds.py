"""Installations with point in time on: base backups in the catalogue, segments in a storage, samples of the log."""

from __future__ import annotations

import os
import struct
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from services.catalog.model import Run
from services.catalog.wal_samples import WalSample, add_sample
from services.installation import Installation
from services.pitr.archive import WalArchive
from services.pitr.base_model import BaseBackup
from services.pitr.point_report import DatabaseFound, PointReport
from services.pitr.wal_names import SegmentName
from services.settings.model import PitrSettings
from services.storage.local import LocalStorage
from tests.pages.worlds import NOW, add_backup, add_run, installation

SYSTEM = "7436158027694216193"
SEGMENT = 1 << 20
TARGET = {"to": "2026-11-22T11:00:00Z", "inclusive": True, "timeline": 1, "base": None}


def with_log(home: Path, *, hours: int = 30, missing: tuple[int, ...] = (), away: bool = False) -> Installation:
    """One database whose log is archived: a segment of 1 MB an hour up to a minute ago, but for ``missing`` ones.

    The first base backup is as old as the first segment. ``away``: the server refuses, and the storage is a file.
    """
    inst = installation(home, "orders", recipients=True)
    database = inst.settings.databases[0].model_copy(
        update={"pitr": PitrSettings(enabled=True, system_identifier=SYSTEM), "encrypt": False}
    )
    inst = Installation(inst.settings.model_copy(update={"databases": (database,)}), inst.catalog, inst.clock)
    root = home / "storage"
    archive = WalArchive(LocalStorage("local", root), "orders", SYSTEM, segment_bytes=SEGMENT)
    for number in range(1, hours + 1):
        if number not in missing:
            store_segment(archive, home, number, NOW - timedelta(hours=hours - number, minutes=1))
    (root / "orders" / "wal" / "cluster.json").write_text(
        f'{{"system_identifier": "{SYSTEM}", "segment_bytes": {SEGMENT}}}'
    )
    add_base(inst, NOW - timedelta(hours=hours - 1, minutes=30), number=1)
    for minute in range(0, 120, 10):
        at = NOW - timedelta(minutes=minute)
        add_sample(
            inst.catalog.engine,
            WalSample("orders", at, hours * SEGMENT - minute * 9000, hours * SEGMENT - minute * 9000 - 50_000,
                      at - timedelta(seconds=40), 50_000, missing=len(missing)),
        )  # fmt: skip
    if away:
        root.rename(home / "gone")
        root.write_text("")
    return inst


def store_segment(archive: WalArchive, home: Path, number: int, at: datetime) -> None:
    folder = home / "pg_wal"
    folder.mkdir(exist_ok=True)
    path = folder / SegmentName(1, number).name(SEGMENT)
    header = struct.pack("<HHIQIIQII", 0xD110, 2, 1, number * SEGMENT, 0, 0, int(SYSTEM), SEGMENT, 8192)
    path.write_bytes(header + b"x" * (SEGMENT - len(header)))
    stored = Path(archive.storage.location(archive.push(path).key).removeprefix("file://"))
    os.utime(stored, (at.timestamp(), at.timestamp()))


def add_base(inst: Installation, at: datetime, *, number: int) -> BaseBackup:
    """Add a base backup that was consistent at ``at`` and lies in the segment of that number."""
    physical: dict[str, Any] = {
        "system_identifier": SYSTEM, "timeline": 1, "start_lsn": f"0/{number * SEGMENT + 40:X}",
        "stop_lsn": f"0/{number * SEGMENT + 400:X}", "segment_bytes": SEGMENT, "server_major": 18,
        "started_at": (at - timedelta(minutes=2)).isoformat(), "stopped_at": at.isoformat(), "superuser": "postgres",
        "manifest_sha256": "c" * 64, "parent_id": None,
    }  # fmt: skip
    backup = add_backup(inst, "orders", at, type="base", format="base-tar", physical=physical)
    return BaseBackup.of(inst.catalog.backups.get(backup.id))


def add_point_test(inst: Installation, base: BaseBackup, at: datetime, *, rows: int = 480) -> Run:
    """Add a restore test to a point that passed."""
    report = PointReport(
        target="2026-11-22T11:00:00.000Z", base_id=base.backup.id, base_name=base.backup.name, into="",
        server_version="18.1", timeline=2, reached_lsn="0/1C00000", last_commit_at="2026-11-22 10:59:59.98+00",
        stopping="recovery stopping before commit", segments=27, wal_bytes=27 * SEGMENT, base_bytes=61_000_000,
        files=1312, fetch_seconds=2.4, recovery_seconds=3.1, check_seconds=0.4,
        databases=(DatabaseFound("orders", 3, 9_000_000, rows), DatabaseFound("postgres", 0, 7_000_000, 0)),
        pg_verifybackup="18.1",
    )  # fmt: skip
    result = {"report": report.to_json(), "outcome": "passed", "reason": report.summary}
    return add_run(inst, "orders", at, kind="point_test", state="finished", result=result, params=TARGET)
