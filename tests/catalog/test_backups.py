"""Backups and verifications in the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.catalog.catalog import Catalog
from services.catalog.model import Backup, Outcome
from services.errors import UnknownName
from tests.catalog.rows import NOW, make_backup, make_verification


def test_a_backup_comes_back_as_it_was_stored(catalog: Catalog) -> None:
    backup = make_backup(excluded=("audit_*",), pinned=True, note="a “note” 試験", stored_bytes=2**45)
    catalog.backups.add(backup)
    assert catalog.backups.get(backup.id) == backup
    assert catalog.backups.list() == [backup]


def test_adding_it_again_replaces_it(catalog: Catalog) -> None:
    catalog.backups.add(make_backup())
    catalog.backups.add(make_backup(note="second"))
    assert [b.note for b in catalog.backups.list()] == ["second"]
    assert len(catalog.backups.list()[0].copies) == 1


def test_an_ambiguous_name_is_refused_and_an_unknown_one_says_what_is_close(catalog: Catalog) -> None:
    catalog.backups.add(make_backup("la_factoria_backup_1"))
    catalog.backups.add(make_backup("la_factoria_backup_1", id="other", database="billing"))
    with pytest.raises(UnknownName, match=r"ambiguous.*billing.*la_factoria"):
        catalog.backups.find("la_factoria_backup_1")
    assert catalog.backups.find("la_factoria_backup_1", database="billing").id == "other"
    assert catalog.backups.find("other").database == "billing"
    with pytest.raises(UnknownName, match="Did you mean la_factoria_backup_1"):
        catalog.backups.find("la_factoria_backup_2")


NOT_GOOD: dict[str, dict[str, Any]] = {
    "expired": {"state": "expired"},
    "partial": {"excluded": ("audit_logs",)},
    "untrusted": {"trust": "untrusted"},
    "failed a verification": {"verification_passed": False},
    "no copy": {"copies": ()},
    "damaged copy": {"copies": (replace(make_backup().copies[0], state="damaged"),)},
}


@pytest.mark.parametrize("why", NOT_GOOD)
def test_only_a_good_backup_counts_as_the_latest_good_one(catalog: Catalog, why: str) -> None:
    good = make_backup("good", finished_at=NOW - timedelta(days=1))
    bad = make_backup("bad", **NOT_GOOD[why])
    catalog.backups.add(good)
    catalog.backups.add(bad)
    assert not bad.is_good
    assert catalog.backups.latest_good("la_factoria") == good
    assert catalog.backups.latest_proven("la_factoria") is None


def test_the_range_of_a_list_is_half_open(catalog: Catalog) -> None:
    for day in range(3):
        catalog.backups.add(make_backup(f"b{day}", finished_at=NOW + timedelta(days=day)))
    found = catalog.backups.list(since=NOW, until=NOW + timedelta(days=2))
    assert [b.name for b in found] == ["b1", "b0"]


def _with(catalog: Catalog, *steps: tuple[str, Outcome]) -> Backup:
    backup = make_backup()
    catalog.backups.add(backup)
    for number, (level, outcome) in enumerate(steps):
        catalog.verifications.add(make_verification(backup, level, outcome, at=NOW + timedelta(minutes=number)))
    return catalog.backups.get(backup.id)


def test_a_passed_restore_test_proves_a_backup(catalog: Catalog) -> None:
    backup = _with(catalog, ("checksum", "passed"), ("restore", "passed"))
    assert backup.proven_at == NOW + timedelta(minutes=1)
    assert (backup.verification_level, backup.verification_passed) == ("restore", True)


def test_not_testable_is_neither_a_pass_nor_a_failure(catalog: Catalog) -> None:
    backup = _with(catalog, ("restore", "not testable"))
    assert (backup.proven_at, backup.verification_passed, backup.verification_level) == (None, None, None)


def test_a_failure_takes_the_proof_away(catalog: Catalog) -> None:
    backup = _with(catalog, ("restore", "passed"), ("checksum", "failed"))
    assert (backup.proven_at, backup.verification_passed, backup.is_good) == (None, False, False)


def test_a_shallow_pass_does_not_hide_a_deep_failure(catalog: Catalog) -> None:
    backup = _with(catalog, ("restore", "failed"), ("stored", "passed"), ("checksum", "passed"))
    assert (backup.verification_level, backup.verification_passed) == ("restore", False)
    backup = _with(catalog, ("archive", "failed"), ("stored", "passed"), ("restore", "passed"))
    assert (backup.verification_passed, backup.proven_at) == (True, NOW + timedelta(minutes=2))


def test_the_order_in_which_verifications_arrive_does_not_matter(catalog: Catalog) -> None:
    backup = make_backup()
    catalog.backups.add(backup)
    catalog.verifications.add(make_verification(backup, "checksum", "failed", at=NOW + timedelta(minutes=5)))
    catalog.verifications.add(make_verification(backup, "restore", "passed", at=NOW))
    assert catalog.backups.get(backup.id).verification_passed is False


def test_verifications_are_found_by_their_run(catalog: Catalog, add_run: Callable[..., str]) -> None:
    backup = make_backup()
    catalog.backups.add(backup)
    run = add_run("verification")
    mine = make_verification(backup, "checksum", "passed", run_id=run)
    catalog.verifications.add(mine)
    catalog.verifications.add(make_verification(backup, "stored", "passed"))
    assert catalog.verifications.list(run_id=run) == [mine]
    assert catalog.verifications.list(run_id="none") == []
