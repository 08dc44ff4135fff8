"""Incremental base backups of PostgreSQL 17 and newer: taken, restored from, and refused where there can be none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services import commands
from services.catalog.model import Backup
from services.errors import InputError, StorageFull
from services.pitr.base_model import BaseBackup
from services.pitr.combine import check_chain_room
from services.pitr.lay_out import GROWTH, Part
from services.pitr.recovery_server import Recovered
from services.pitr.target import RecoveryTarget
from services.postgres.connection import connect
from tests.pitr.lab import NAME, PointLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[PointLab]:
    lab = PointLab(18, tmp_path)
    yield lab
    lab.close()


def incremental(lab: PointLab) -> Backup:
    run = lab.run(commands.submit_base_backup(lab.inst, NAME, incremental=True, actor="t", queue=False))
    assert run.state == "finished", f"{run.error} {run.hint}"
    return lab.inst.catalog.backups.get(run.backup_id or "")


def test_a_chain_is_smaller_restores_whole_and_its_damaged_part_is_the_one_condemned(lab: PointLab) -> None:
    lab.sql("ALTER SYSTEM SET summarize_wal = on", "SELECT pg_reload_conf()", "CREATE TABLE steps (n int)")
    lab.sql("CREATE TABLE large AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 8000) n")
    full = lab.base()
    lab.sql("INSERT INTO steps VALUES (1)")
    first = incremental(lab)
    for kept in (lab.inst.settings.home / "base-manifests").iterdir():
        kept.unlink()  # as on another machine: the parent itself is read
    lab.sql("INSERT INTO steps VALUES (2)")
    second = incremental(lab)
    lab.sql("INSERT INTO steps VALUES (3)")
    lab.ship()
    assert BaseBackup.of(second).parent_id == first.id
    assert BaseBackup.of(first).parent_id == full.id
    assert second.plain_bytes < full.plain_bytes / 2
    run_id = commands.submit_verification(lab.inst, second.id, "archive", actor="t", queue=False)
    assert lab.run(run_id).result["outcome"] == "passed"
    seen: list[tuple[int, int]] = []

    def look(recovered: Recovered) -> None:
        with connect(recovered.address.with_database("postgres")) as connection:
            row = connection.execute("SELECT (SELECT sum(n) FROM steps), (SELECT count(*) FROM large)").fetchone()
            assert row is not None
            seen.append(row)

    report = lab.restore("latest", look)
    assert (report.base_name, seen) == (second.name, [(6, 8000)])
    path = Path(first.copies[0].location.removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    target = RecoveryTarget.parse("latest")
    run = lab.run(commands.submit_point_test(lab.inst, NAME, target, actor="t", queue=False))
    assert run.result["outcome"] == "failed", f"{run.error} {run.hint}"
    sound = {b.name: lab.inst.catalog.backups.get(b.id).is_sound for b in (full, first, second)}
    assert sound == {full.name: True, first.name: False, second.name: True}
    assert lab.restore("latest").base_name == full.name  # what stands on the damaged one is passed over
    with pytest.raises(InputError, match="what it stands on"):
        lab.restore("latest", base=second.name)
    # before anything of it is fetched: the parts, and what is put together of them
    parts = [Part(base, base.backup.copies[0]) for base in (BaseBackup.of(full), BaseBackup.of(second))]
    free = shutil.disk_usage(lab.inst.settings.home).free
    large = replace(parts[1].base.backup, database_bytes=int(free / GROWTH))
    chain = [parts[0], replace(parts[1], base=replace(parts[1].base, backup=large))]
    with pytest.raises(StorageFull, match="chain of 2 base backups"):
        check_chain_room(chain, lab.inst.settings.home, lab.inst.settings.home)
    check_chain_room(parts, lab.inst.settings.home, lab.inst.settings.home)


def test_without_summaries_or_without_a_parent_it_is_refused_with_what_is_right(lab: PointLab) -> None:
    run = lab.run(commands.submit_base_backup(lab.inst, NAME, incremental=True, actor="t", queue=False))
    assert (run.result["exit_code"], "summarize_wal is off" in run.error) == (2, True)
    lab.sql("ALTER SYSTEM SET summarize_wal = on", "SELECT pg_reload_conf()")
    run = lab.run(commands.submit_base_backup(lab.inst, NAME, incremental=True, actor="t", queue=False))
    assert (run.result["exit_code"], "stand on" in run.error) == (2, True)
