"""What the checks of several copies together say of a backup."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.catalog.catalog import Catalog
from services.catalog.model import Backup, Copy
from services.catalog.verdict import Check, Verdict, judge
from services.postgres.server import LocalServer
from tests.catalog.rows import NOW, make_backup, make_verification
from tests.support.catalogs import make_catalog
from tests.support.servers import NewDatabase

STEP = timedelta(minutes=1)


def say(*words: str) -> Verdict:
    """Judge checks written as ``storage level passed|damaged|missing|bad|anew``, a minute between two of them."""
    checks = []
    for number, word in enumerate(words):
        storage, level, outcome = word.split()
        checks.append(
            Check(
                storage, level, outcome in ("passed", "anew"), NOW + number * STEP,
                of_copy=outcome in ("damaged", "missing"), missing=outcome == "missing", stored_anew=outcome == "anew",
            )
        )  # fmt: skip
    return judge(checks)


def test_without_checks_nothing_is_said() -> None:
    assert say() == Verdict()


def test_a_damaged_copy_condemns_the_backup_when_no_other_vouches_for_it() -> None:
    assert say("a checksum damaged").passed is False
    assert say("a checksum passed", "a checksum damaged").passed is False
    assert say("a checksum damaged", "b checksum damaged").passed is False


def test_a_backup_stands_while_another_copy_vouches_for_it_and_shows_that_check() -> None:
    verdict = say("a checksum passed", "b checksum passed", "b archive damaged")
    assert (verdict.level, verdict.at, verdict.passed, verdict.of_backup) == ("checksum", NOW, True, False)


@pytest.mark.parametrize(
    ("before", "proven"),
    [(("b checksum passed",), True), (("b stored passed",), False), ((), False)],
    ids=["read to its end", "only looked at", "never checked"],
)
def test_a_proof_survives_its_copy_only_where_the_same_bytes_were_read_elsewhere(
    before: tuple[str, ...], proven: bool
) -> None:
    verdict = say(*before, "a restore passed", "a checksum damaged")
    assert (verdict.proven_at is not None) is proven


def test_a_copy_that_was_only_looked_at_does_not_vouch_for_a_damaged_one() -> None:
    assert say("b stored passed", "a restore passed", "a checksum damaged").passed is False
    assert say("a checksum damaged", "b stored passed").passed is False
    assert say("a checksum damaged", "b stored passed", "b checksum passed").passed is True
    assert say("b stored passed", "a restore passed", "a checksum missing").passed is True, "nothing speaks against b"


def test_safe_is_where_a_copy_that_was_read_is_still_stored_and_in_the_settings() -> None:
    verdict = say("b checksum passed", "c stored passed", "d checksum passed", "a checksum damaged")
    assert verdict.safe_in(["b", "c", "d"], ["a", "b", "c", "d"]) == ("b", "d")
    assert verdict.safe_in(["c", "d"], ["a", "b", "c", "d"]) == ("d",), "deleted from b since"
    assert verdict.safe_in(["b", "c", "d"], ["a", "b", "c"]) == ("b",), "nobody looks into d any more"


def test_a_later_shallow_look_does_not_unsay_that_a_copy_was_read() -> None:
    verdict = say("b checksum passed", "b stored passed", "a restore passed", "a checksum damaged")
    assert (verdict.proven_at is not None, verdict.read_in) == (True, {"b"})


def test_when_the_last_vouching_copy_fails_too_the_backup_fails_and_its_proof_is_gone() -> None:
    verdict = say("a restore passed", "b checksum passed", "a checksum damaged", "b checksum damaged")
    assert (verdict.passed, verdict.proven_at, verdict.at) == (False, None, NOW + 3 * STEP)
    again = say(
        "a restore passed", "b checksum passed", "a checksum damaged", "b checksum damaged", "a checksum passed"
    )
    assert (again.passed, again.proven_at) == (True, None), "only a restore test proves anew"


def test_what_does_not_restore_though_its_bytes_are_as_recorded_condemns_every_copy() -> None:
    verdict = say("a checksum passed", "b checksum passed", "a restore bad")
    assert (verdict.passed, verdict.level, verdict.of_backup) == (False, "restore", True)
    assert say("a restore bad", "b checksum passed").passed is False
    assert say("a restore bad", "b restore passed").passed is True


def test_a_shallow_pass_of_a_copy_does_not_hide_what_a_deeper_check_found_in_it() -> None:
    assert say("a archive damaged", "a checksum passed").passed is False
    assert say("a archive damaged", "a archive passed").passed is True


def test_a_copy_that_was_only_away_is_what_it_was_when_it_is_found_again() -> None:
    assert say("a restore missing", "a stored passed").passed is True, "a look suffices to see that it is there"
    back = say("a restore passed", "a checksum missing", "a checksum passed")
    assert (back.proven_at, back.read_in) == (NOW, {"a"})
    assert say("a restore passed", "a stored missing").proven_at is None
    assert say("a restore passed", "a stored missing", "a stored passed").proven_at is None, "not read yet"
    assert say("a restore passed", "a stored missing", "a checksum damaged", "a checksum passed").proven_at is None
    assert say("a archive damaged", "a stored missing", "a stored passed").passed is False, "still damaged"


def test_a_copy_that_was_stored_anew_is_not_what_was_found_before() -> None:
    assert say("a archive damaged", "a checksum anew").passed is True
    assert say("a archive bad", "a checksum anew").passed is False, "the same bytes are as bad in a new copy"


def test_the_row_of_a_backup_follows_the_checks_of_each_copy(catalog: Catalog) -> None:
    backup = _in_two_storages(catalog)
    catalog.verifications.add(make_verification(backup, "checksum", "passed", at=NOW))
    damaged = make_verification(
        backup, "checksum", "failed", at=NOW + STEP, storage="second", detail={"copy_state": "damaged", "scope": "copy"}
    )
    catalog.verifications.add(damaged)
    stands = catalog.backups.get(backup.id)
    assert (stands.verification_passed, stands.verification_at) == (True, NOW)
    bad = make_verification(backup, "restore", "failed", at=NOW + 2 * STEP, detail={"scope": "backup"})
    catalog.verifications.add(bad)
    assert catalog.backups.get(backup.id).verification_passed is False
    with catalog.engine.connect() as connection:
        assert catalog.verifications.verdict(backup.id, connection).of_backup


def test_records_from_before_there_were_scopes_are_read_by_what_they_learned_of_the_copy(catalog: Catalog) -> None:
    backup = _in_two_storages(catalog)
    catalog.verifications.add(make_verification(backup, "checksum", "passed", at=NOW))
    old = make_verification(
        backup, "checksum", "failed", at=NOW + STEP, storage="second", detail={"copy_state": "missing"}
    )
    catalog.verifications.add(old)
    assert catalog.backups.get(backup.id).verification_passed is True
    anew = make_verification(
        backup, "stored", "passed", at=NOW + 2 * STEP, storage="second", detail={"stored_anew": True}
    )
    catalog.verifications.add(anew)
    assert catalog.backups.get(backup.id).verification_at == NOW + 2 * STEP


def _in_two_storages(catalog: Catalog) -> Backup:
    backup = make_backup()
    second: Copy = replace(backup.copies[0], storage="second")
    backup = replace(backup, copies=(*backup.copies, second))
    catalog.backups.add(backup)
    return backup


def test_of_two_checks_that_end_at_once_a_failure_is_never_overwritten(
    server18: LocalServer, database: NewDatabase
) -> None:
    """The second waits for the first; before, each judged without the other's row, and the later verdict stayed."""
    catalog = make_catalog(database(server18).url().get_secret_value())
    backup = make_backup()
    catalog.backups.add(backup)
    failed = make_verification(backup, "archive", "failed", at=NOW)
    passed = make_verification(backup, "checksum", "passed", at=NOW + STEP)
    added = threading.Event()

    def add_the_other() -> None:
        with catalog.engine.begin() as other:
            catalog.verifications.add(passed, other)
            added.set()

    with ThreadPoolExecutor(1) as pool:
        with catalog.engine.begin() as one:
            catalog.verifications.add(failed, one)
            waiting = pool.submit(add_the_other)
            _until_somebody_waits(catalog, added)
        waiting.result(30)
    assert catalog.backups.get(backup.id).verification_passed is False
    assert not catalog.backups.get(backup.id).is_good
    catalog.close()


def _until_somebody_waits(catalog: Catalog, added: threading.Event) -> None:
    """Wait until another connection waits for a lock; or has added its row without, which is the fault."""
    query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with catalog.engine.connect() as watcher:
            if watcher.scalar(query):
                return
        time.sleep(0.02)
    raise AssertionError(f"nobody waits; added without: {added.is_set()}")
