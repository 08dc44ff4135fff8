"""A thousand stored backups, each damaged at a random place: no verification of content passes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import commands
from services.backups.request import BackupRequest
from services.catalog.model import Backup
from services.catalog.runs import Claim
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.server import LocalServer
from services.restores.copies import choose_copy
from services.verification.archive import check_archive
from services.verification.checksum import check_checksum
from services.verification.finding import BACKUP_IS_BAD
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase
from tests.whole.source import SOURCE

TRIALS = 1000


@pytest.fixture
def installation(tmp_path: Path, server18: LocalServer, database: NewDatabase) -> Iterator[Installation]:
    made = make_installation(tmp_path, url=database(server18, SOURCE).url().get_secret_value())
    yield made
    made.close()


def back_up(installation: Installation, name: str, *, encrypt: bool) -> Backup:
    request = BackupRequest("la_factoria", name=name, encrypt=encrypt)
    run = execute_run(
        installation,
        commands.submit_backup(installation, request, actor="t", queue=False),
        worker=process_identity(),
    )
    assert run.backup_id is not None, run.error
    return installation.catalog.backups.get(run.backup_id)


def damaged(data: bytes, other: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Return the data with one byte flipped, cut, lengthened, with two pieces swapped, or another backup's."""
    kind = chance.choice(["flip"] * 6 + ["cut", "append", "swap", "other"])
    at = chance.randrange(len(data))
    if kind == "flip":
        return kind, data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
    if kind == "cut":
        return kind, data[:at]
    if kind == "append":
        return kind, data + chance.randbytes(chance.randrange(1, 100))
    if kind == "swap":
        size = chance.randrange(1, len(data) // 4)
        first, second = sorted((chance.randrange(len(data) - 2 * size), chance.randrange(len(data) - size)))
        second = max(second, first + size)
        swapped = (
            data[:first]
            + data[second : second + size]
            + data[first + size : second]
            + data[first : first + size]
            + data[second + size :]
        )
        return kind, swapped if swapped != data else other
    return kind, other


def passes(installation: Installation, backup: Backup, level: str, active: ActiveRun) -> bool:
    """Say whether the check of that level, the one behind ``verify --level``, lets the stored file pass."""
    check = check_checksum if level == "checksum" else check_archive
    try:
        finding = check(installation, backup, choose_copy(backup, None), active)
    except BACKUP_IS_BAD:
        return False
    return finding.outcome == "passed"


@pytest.mark.timeout(600)
def test_of_a_thousand_damaged_backups_not_one_passes(installation: Installation) -> None:
    chance = random.Random(20261122)
    backups = [back_up(installation, f"b{number}", encrypt=number < 2) for number in range(4)]
    files = [Path(backup.copies[0].location.removeprefix("file://")) for backup in backups]
    contents = [file.read_bytes() for file in files]
    active = ActiveRun(installation, Claim("no run", "w", 1), actor="t")
    for backup in backups:  # undamaged, each passes: the checks can pass
        assert passes(installation, backup, "checksum", active)
        assert passes(installation, backup, "archive", active)
    passed: list[str] = []
    for trial in range(TRIALS):
        number = trial % 4
        kind, data = damaged(contents[number], contents[number ^ 1], chance)
        files[number].write_bytes(data)
        level = "checksum" if trial % 8 < 4 else "archive"
        if passes(installation, backups[number], level, active):
            passed.append(f"trial {trial}: {kind}, {level}, backup {number}")
        files[number].write_bytes(contents[number])
    assert passed == []
