"""What is said of the write-ahead log: in time, whole, and not held back; from the samples alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.alerts.rules import RULES
from services.catalog.wal_samples import WalSample, add_sample, latest_samples, list_samples, trim_samples
from services.health.checks import examine
from services.health.model import HealthCheck
from services.installation import Installation
from services.settings.model import PitrSettings
from tests.pages.worlds import NOW, add_backup, installation

MINUTE = timedelta(minutes=1)
MB = 10**6
WELL = WalSample(
    "orders", NOW - MINUTE, current_lsn=100 * MB, archived_lsn=98 * MB, archived_at=NOW - 2 * MINUTE, lag_bytes=2 * MB,
    slot_lag_bytes=2 * MB, missing=0,
)  # fmt: skip


@pytest.fixture
def inst(tmp_path: Path) -> Iterator[Installation]:
    made = installation(tmp_path, "orders")
    pitr = PitrSettings(enabled=True, method="receiver", rpo=timedelta(minutes=15), slot_lag=5 * 10**9)
    [database] = made.settings.databases
    made.settings = made.settings.model_copy(update={"databases": (database.model_copy(update={"pitr": pitr}),)})
    yield made
    made.close()


def checks(inst: Installation) -> dict[str, HealthCheck]:
    return {c.name: c for c in examine(inst).checks if c.name in ("wal_delay", "wal_gap", "slot_lag")}


def test_a_log_that_is_archived_in_time_is_well(inst: Installation) -> None:
    add_sample(inst.catalog.engine, WELL)
    found = checks(inst)
    assert {check.severity for check in found.values()} == {"ok"}
    assert set(found) == {"wal_delay", "wal_gap", "slot_lag"} <= set(RULES)
    assert "15 min" in found["wal_delay"].sentence


def test_a_database_without_point_in_time_is_not_spoken_of(tmp_path: Path) -> None:
    plain = installation(tmp_path, "orders")
    assert checks(plain) == {}
    plain.close()


def test_archiving_behind_its_rpo_fails_and_says_what_would_be_lost(inst: Installation) -> None:
    add_sample(inst.catalog.engine, replace(WELL, archived_at=NOW - 20 * MINUTE, lag_bytes=40 * MB))
    found = checks(inst)["wal_delay"]
    assert found.severity == "failure"
    assert "20 min" in found.sentence
    assert "40" in found.sentence
    assert found.since == NOW - 5 * MINUTE


def test_a_quiet_server_is_not_behind_however_long_ago_it_wrote(inst: Installation) -> None:
    add_sample(inst.catalog.engine, replace(WELL, archived_at=NOW - timedelta(days=2), lag_bytes=300))
    assert checks(inst)["wal_delay"].severity == "ok"


def test_a_gap_is_named_and_counted(inst: Installation) -> None:
    add_sample(inst.catalog.engine, replace(WELL, missing=3, first_missing="000000010000000000000007"))
    found = checks(inst)["wal_gap"]
    assert (found.severity, found.count) == ("failure", 3)
    assert found.sentence.startswith("000000010000000000000007 and 2 more")


def test_a_gap_is_not_gone_because_the_storage_cannot_be_listed(inst: Installation) -> None:
    add_sample(inst.catalog.engine, replace(WELL, missing=None, error="The storage does not answer."))
    found = checks(inst)["wal_gap"]
    assert (found.severity, found.count) == ("unknown", 0)
    assert "No segment is missing" not in found.sentence


def test_a_slot_that_holds_back_too_much_or_is_gone_fails(inst: Installation) -> None:
    add_sample(inst.catalog.engine, replace(WELL, slot_lag_bytes=6 * 10**9))
    assert checks(inst)["slot_lag"].severity == "failure"
    add_sample(inst.catalog.engine, replace(WELL, at=NOW - MINUTE / 2, slot_lag_bytes=None))
    assert checks(inst)["slot_lag"].severity == "failure"


def test_what_nobody_could_look_at_is_unknown_and_never_well(inst: Installation) -> None:
    nothing = dict.fromkeys(("wal_delay", "wal_gap", "slot_lag"), "unknown")
    assert {name: check.severity for name, check in checks(inst).items()} == nothing
    add_sample(inst.catalog.engine, replace(WELL, at=NOW - timedelta(hours=1)))
    assert {name: check.severity for name, check in checks(inst).items()} == nothing
    add_sample(inst.catalog.engine, replace(WELL, error="The storage does not answer."))
    assert checks(inst)["wal_delay"].severity == "unknown"
    add_sample(inst.catalog.engine, replace(WELL, at=NOW, archived_at=None, archived_lsn=None, lag_bytes=None))
    assert checks(inst)["wal_delay"].severity == "failure"


def test_the_newest_sound_base_backup_has_an_age(inst: Installation) -> None:
    def found() -> HealthCheck:
        [check] = [c for c in examine(inst).checks if c.name == "base_backup_age"]
        return check

    assert found().severity == "failure"
    add_backup(inst, "orders", NOW - timedelta(hours=47), type="base")
    assert found().severity == "ok"
    inst.clock = lambda: NOW + timedelta(hours=2)
    assert found().severity == "warning"
    add_backup(inst, "orders", NOW, type="base", verification_level="checksum", verification_passed=False)
    assert found().severity == "warning"  # that one is damaged


def test_samples_are_kept_for_ninety_days_and_the_newest_is_found(inst: Installation) -> None:
    engine = inst.catalog.engine
    for days in (0, 1, 89, 91):
        add_sample(engine, replace(WELL, at=NOW - timedelta(days=days)))
    add_sample(engine, WELL)
    add_sample(engine, replace(WELL, lag_bytes=1))  # of the same instant: the first one stays
    assert trim_samples(engine, NOW) == 1
    assert latest_samples(engine, ["orders", "others"])["orders"].at == NOW
    listed = list_samples(engine, "orders", since=NOW - timedelta(days=2), until=NOW - MINUTE)
    assert [sample.lag_bytes for sample in listed] == [2 * MB, 2 * MB]
