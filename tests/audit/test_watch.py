"""Once a day the log is verified and anchored; the checks say when it is not, and settings that changed are noted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.audit.anchors import read_anchors
from services.audit.model import Entry
from services.audit.query import AuditQuery, load_page, load_state
from services.audit.record import record
from services.audit.settings_seen import note_settings
from services.audit.verify import verify
from services.audit.watch import ANCHOR_EVERY, ANCHOR_OVERDUE, anchor, anchor_when_due
from services.catalog.schema import audit_log
from services.health.checks import examine
from services.health.model import HealthCheck
from services.installation import Installation
from services.settings.model import DatabaseSettings
from tests.audit.conftest import behind_the_back, fill
from tests.audit.test_wishes import last, log
from tests.pages.worlds import NOW, add_backup, installation


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    made = installation(tmp_path, "orders")
    add_backup(made, "orders", NOW - timedelta(hours=1))
    return made


def check(inst: Installation, name: str) -> HealthCheck:
    [found] = [check for check in examine(inst).checks if check.name == name]
    return found


def test_the_worker_anchors_once_a_day_and_two_workers_do_it_once(inst: Installation) -> None:
    fill(inst, 2)
    [made] = anchor_when_due(inst, by="one")
    assert made.anchor is not None
    assert anchor_when_due(inst, by="two") == []
    assert [row.action for row in log(inst)[2:]] == ["audit.verify", "audit.anchor"]
    assert made.anchor.number == 3, "the verification is covered, too"
    inst.clock = lambda: NOW + ANCHOR_EVERY
    assert len(anchor_when_due(inst, by="two")) == 1
    assert [anchor.number for anchor in read_anchors(inst, "local")] == [3, 5]
    assert verify(inst).severity == "ok"


def test_a_broken_log_is_not_anchored_and_the_check_fails(inst: Installation) -> None:
    fill(inst, 3)
    assert check(inst, "audit_log").severity == "ok"
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(actor="eve")))
    assert (check(inst, "audit_log").severity, "Row 2" in check(inst, "audit_log").sentence) == ("failure", True)
    [made] = anchor_when_due(inst, by="one")
    assert made.anchor is None
    assert "Row 2 was changed" in made.error
    assert read_anchors(inst, "local") == []
    assert (last(inst).action, last(inst).outcome) == ("audit.verify", "failed")


def test_a_row_that_cannot_be_read_is_a_failed_check_and_silences_no_other(inst: Installation) -> None:
    fill(inst, 3)
    anchor_when_due(inst, by="one")
    inst.clock = lambda: NOW + ANCHOR_EVERY
    there = {each.key for each in examine(inst).checks}
    for column in ("at", "detail", "target"):
        behind_the_back(inst, lambda c, name=column: c.exec_driver_sql(f"UPDATE audit_log SET {name} = x'ff'"))
        assert check(inst, "audit_log").severity == "failure"
        assert {each.key for each in examine(inst).checks} == there
        assert load_page(inst, AuditQuery()).total >= 5
        assert load_state(inst).anchored is not None
        [made] = anchor(inst, ["local"], actor="ada")
        assert "The log is broken" in made.error
    with inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_log RENAME TO away")
    found = {each.name: each for each in examine(inst).checks}
    assert found["audit_log"].sentence == "The audit log cannot be read (OperationalError)."
    assert (found["examination"].severity, found["examination"].count) == ("failure", 1)
    assert "audit_checks.anchors (OperationalError)" in found["examination"].sentence
    assert "backup_age" in found


def test_what_the_daily_verification_found_is_said_even_when_the_newest_rows_are_well(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.audit.verify.QUICK_ROWS", 3)
    fill(inst, 9)
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(actor="eve")))
    assert check(inst, "audit_log").severity == "ok", "it was not verified since"
    anchor_when_due(inst, by="one")
    assert (check(inst, "audit_log").severity, check(inst, "audit_log").sentence) == (
        "failure", "Row 2 was changed, or moved here: it does not have its hash.",
    )  # fmt: skip


def test_an_anchor_that_is_too_old_is_a_warning(inst: Installation) -> None:
    assert check(inst, "audit_anchor").severity == "ok", "there is nothing to anchor"
    fill(inst, 1)
    assert check(inst, "audit_anchor").severity == "ok"
    inst.clock = lambda: NOW + ANCHOR_OVERDUE + timedelta(minutes=1)
    late = check(inst, "audit_anchor")
    assert (late.severity, late.sentence) == ("warning", "Not anchored yet · limit 2 d 00 h")
    anchor_when_due(inst, by="one")
    assert check(inst, "audit_anchor").severity == "ok"


def test_settings_that_changed_between_two_starts_are_noted_by_their_keys_alone(inst: Installation) -> None:
    assert note_settings(inst, "worker") is not None
    assert last(inst).values["first"] is True
    assert note_settings(inst, "worker") is None
    database = inst.settings.databases[0]
    changed = DatabaseSettings(**{
        **{name: getattr(database, name) for name in database.model_fields_set},
        "url": SecretStr("postgresql://app:planted-Passw0rd@127.0.0.1:1/orders"), "rpo": "3h",
    })  # fmt: skip
    inst.settings = inst.settings.model_copy(update={"databases": (changed,), "slo_target": 99.0})
    row = note_settings(inst, "worker")
    assert row is not None
    assert row.values["changed"] == ["databases.orders.rpo", "databases.orders.url", "slo_target"]
    assert row.target.startswith("worker on ")
    assert "planted" not in repr(log(inst))


@pytest.mark.parametrize("databases", [60, 400, 900])
def test_of_very_many_settings_a_change_is_still_named(inst: Installation, databases: int) -> None:
    many = [DatabaseSettings(name=f"orders-{n}", url=SecretStr("postgresql://a@h/x"), rpo="4h", rto="1h", jobs=2,
                             schedule_time_zone="UTC", compression_level=4) for n in range(databases)]  # fmt: skip
    inst.settings = inst.settings.model_copy(update={"databases": tuple(many)})
    assert note_settings(inst, "worker") is not None
    assert note_settings(inst, "worker") is None
    many[7] = many[7].model_copy(update={"rpo": timedelta(hours=5)})
    inst.settings = inst.settings.model_copy(update={"databases": tuple(many)})
    row = note_settings(inst, "worker")
    assert row is not None
    assert row.values["changed"] == [
        {60: "databases.orders-7.rpo", 400: "databases.orders-7", 900: "databases"}[databases]
    ]
    assert "left_out" not in row.detail


def test_of_a_detail_that_is_too_long_the_longest_member_is_left_out(inst: Installation) -> None:
    row = record(inst, Entry("ada", "export", detail={"long": ["x" * 1900] * 20, "run": "r1"}))
    assert row.values == {"long": {"left_out": "38061 characters"}, "run": "r1"}
    row = record(inst, Entry("ada", "export", detail={f"n{n}": "x" * 30 for n in range(1000)}))
    assert list(row.values) == ["left_out"]
