"""Which backup the monthly restore test takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.errors import InputError, UnknownName
from services.installation import Installation
from services.restores.pick import parse_month, pick_backup
from tests.catalog.rows import make_backup, make_verification
from tests.support.installations import make_installation

NOW = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    return make_installation(tmp_path, clock=lambda: NOW)


def add(inst: Installation, month: int, day: int, **changes: object) -> str:
    name = f"b{month:02d}{day:02d}"
    backup = make_backup(name, finished_at=datetime(2026, month, day, 2, 10, tzinfo=UTC), **changes)
    inst.catalog.backups.add(backup)
    return backup.id


def test_the_choice_is_by_chance_among_the_months_good_backups_and_can_be_repeated(inst: Installation) -> None:
    november = {add(inst, 11, day) for day in range(1, 11)}
    add(inst, 10, 31)
    add(inst, 12, 1)
    add(inst, 11, 20, excluded=("public.x",))
    add(inst, 11, 21, state="expired", copies=())
    add(inst, 11, 22, trust="untrusted")
    picks = [pick_backup(inst, "la_factoria", month=NOVEMBER, seed=str(n)) for n in range(60)]
    assert {pick.backup_id for pick in picks} == november, "each of them comes up sooner or later, and nothing else"
    assert {(pick.candidates, pick.remark) for pick in picks} == {(10, "")}
    assert picks == [pick_backup(inst, "la_factoria", month=NOVEMBER, seed=str(n)) for n in range(60)]


def test_backups_that_were_never_tested_come_first(inst: Installation) -> None:
    ids = [add(inst, 11, day) for day in (1, 2, 3, 4)]
    for backup_id, outcome in zip(ids, ("passed", "not testable", "passed"), strict=False):
        backup = inst.catalog.backups.get(backup_id)
        inst.catalog.verifications.add(make_verification(backup, "restore", outcome, at=NOW))
    inst.catalog.verifications.add(make_verification(inst.catalog.backups.get(ids[3]), "archive", "passed", at=NOW))
    picked = {pick_backup(inst, "la_factoria", month=NOVEMBER, seed=str(n)).backup_id for n in range(40)}
    assert picked == {ids[1], ids[3]}
    for backup_id in (ids[1], ids[3]):
        inst.catalog.verifications.add(make_verification(inst.catalog.backups.get(backup_id), "restore", "passed"))
    pick = pick_backup(inst, "la_factoria", month=NOVEMBER, seed="x")
    assert pick.remark == "Every good backup of November 2026 was restore-tested before."


def test_a_month_without_a_good_backup_gives_the_newest_good_one_and_says_so(inst: Installation) -> None:
    with pytest.raises(UnknownName, match="no good backup of la_factoria yet"):
        pick_backup(inst, "la_factoria", month=NOVEMBER, seed="x")
    add(inst, 9, 1)
    newest = add(inst, 10, 5)
    pick = pick_backup(inst, "la_factoria", month=NOVEMBER, seed="x")
    assert (pick.backup_id, pick.candidates) == (newest, 0)
    assert pick.remark == "No good backup of November 2026 is stored; this is the newest good one."


@pytest.mark.parametrize(
    ("text", "now", "month"),
    [("last", "2026-12-01", "2026-11"), ("last", "2027-01-15", "2026-12"), ("this", "2026-12-31", "2026-12"),
     ("2026-02", "2026-12-01", "2026-02")],
)  # fmt: skip
def test_a_month_is_named(text: str, now: str, month: str) -> None:
    found = parse_month(text, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert f"{found:%Y-%m-%d}" == f"{month}-01"


@pytest.mark.parametrize("text", ["", "november", "2026-13", "2026-11-05", "2027-01", "30d"])
def test_what_is_no_month_of_the_past_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_month(text, NOW)
    assert caught.value.hint.startswith("Write last, this or")
