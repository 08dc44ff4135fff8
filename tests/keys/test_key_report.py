"""Who can decrypt what, and when the recovery key is to be proven: on the page, the overview and in health."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.catalog.key_drills import KeyDrill
from services.health.checks import examine
from services.installation import Installation
from services.keys.holders import load_keys
from services.keys.words import drill_words
from services.stream.encryption import generate_key
from tests.pages.worlds import NOW, add_backup, installation

WORKER, OFFLINE, FORMER = (generate_key() for _ in range(3))
DAY = timedelta(days=1)


def world(home: Path, *recipients: str) -> Installation:
    inst = installation(home, "orders")
    changes = {"recipients": recipients, "encryption_key": None, "key_names": {OFFLINE[1]: "safe <b>in</b> Basel"}}
    inst.settings = inst.settings.model_copy(update=changes)
    return inst


def drilled(inst: Installation, key: str, days_ago: int, *, passed: bool = True) -> None:
    inst.catalog.key_drills.add(
        KeyDrill(
            f"d{days_ago}{passed}", NOW - days_ago * DAY, "ada", key, None, "b", "local", passed, "Opened <b>it</b>."
        )
    )


def severity(inst: Installation, name: str) -> str:
    return next((check.severity for check in examine(inst).checks if check.name == name), "none")


def test_each_key_is_told_with_what_it_opens_and_what_only_it_opens(tmp_path: Path) -> None:
    inst = world(tmp_path, WORKER[1], OFFLINE[1])
    add_backup(inst, "orders", NOW - 3 * DAY, recipients=(FORMER[1],))
    add_backup(inst, "orders", NOW - 2 * DAY, recipients=(WORKER[1], OFFLINE[1]))
    add_backup(inst, "orders", NOW - DAY, recipients=(WORKER[1], OFFLINE[1]), state="expired")
    report = load_keys(inst)
    told = {holder.public_key: (holder.role, holder.backups, holder.only_it) for holder in report.holders}
    assert told[FORMER[1]] == ("former key", 1, 1)
    assert told[OFFLINE[1]] == ("offline recovery key", 1, 0)
    assert (report.waiting, report.unencrypted) == (1, 0)


def test_a_drill_is_due_ninety_days_after_the_last_or_after_the_first_backup(tmp_path: Path) -> None:
    inst = world(tmp_path, OFFLINE[1])
    assert load_keys(inst).due is None, "there is nothing yet that it could open"
    add_backup(inst, "orders", NOW - 91 * DAY, recipients=(OFFLINE[1],))
    assert severity(inst, "key_drill") == "warning"
    assert "never proven in a drill; the drill is overdue by 24 h" in drill_words(load_keys(inst)).replace(
        "1 d", "24 h"
    )
    drilled(inst, OFFLINE[1], 80, passed=False)
    assert severity(inst, "key_drill") == "warning", "a drill that failed proves nothing"
    drilled(inst, OFFLINE[1], 80)
    assert severity(inst, "key_drill") == "ok"
    assert "last proven 80 d ago; the next drill is due in 10 d" in drill_words(load_keys(inst))


def test_one_key_alone_is_warned_of_and_two_are_not(tmp_path: Path) -> None:
    assert severity(world(tmp_path / "one", OFFLINE[1]), "recovery_key") == "warning"
    assert severity(world(tmp_path / "two", WORKER[1], OFFLINE[1]), "recovery_key") == "ok"
    sample = installation(tmp_path / "sample", "orders", recipients=True, sample=True)
    assert severity(sample, "recovery_key") == "none", "the sample environment protects nothing"
