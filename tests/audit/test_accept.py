"""What a verification finds can be accepted, with a reason; what is found later counts again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services import commands
from services.audit.anchors import write_anchor
from services.audit.verify import look_quickly, verify
from services.audit.watch import anchor_when_due
from services.catalog.schema import audit_log
from services.errors import InputError, StorageUnavailable
from services.installation import Installation
from tests.audit.conftest import NOW, behind_the_back, fill
from tests.pages.worlds import add_backup, installation


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    made = installation(tmp_path, "orders")
    add_backup(made, "orders", NOW - timedelta(hours=1))
    return made


def test_accepted_findings_stay_listed_and_count_no_more_until_something_else_is_found(inst: Installation) -> None:
    fill(inst, 6)
    with pytest.raises(InputError, match="nothing to accept"):
        commands.accept_audit(inst, reason="all well", actor="ada")
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(actor="eve")))
    behind_the_back(inst, lambda c: c.execute(audit_log.delete().where(audit_log.c.number == 4)))
    with pytest.raises(InputError, match="reason"):
        commands.accept_audit(inst, reason=" ", actor="ada")
    found = commands.accept_audit(inst, reason="a script of ours, see the incident of Monday", actor="ada")
    assert found.severity == "ok"
    assert [finding.sentence for finding in found.findings][:2] == [
        "Row 2 was changed, or moved here: it does not have its hash.", "Row 4 was removed.",
    ]  # fmt: skip
    assert all("ada, row" in finding.accepted and "Monday" in finding.accepted for finding in found.findings)
    assert look_quickly(inst).severity == "ok"
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(actor="bob")))
    assert verify(inst).severity == "failure"


def test_a_catalogue_restored_from_its_own_backup_is_found_and_can_be_accepted_for_good(inst: Installation) -> None:
    fill(inst, 5)
    anchor_when_due(inst, by="one")
    behind_the_back(inst, lambda c: c.execute(audit_log.delete().where(audit_log.c.number > 2)))
    assert "The newest rows were removed" in verify(inst).sentence
    assert commands.accept_audit(inst, reason="restored from Sunday's copy", actor="ada").severity == "ok"
    fill(inst, 9)  # beyond what was anchored: other rows now have those numbers
    found = verify(inst)
    assert found.severity == "ok"
    assert {finding.kind for finding in found.findings} == {"rewritten"}
    inst.clock = lambda: NOW + timedelta(days=2)
    [again] = anchor_when_due(inst, by="one")
    assert again.anchor is not None
    assert verify(inst).severity == "ok"


def test_however_much_is_found_is_accepted_at_once_and_what_is_new_is_listed_first(inst: Installation) -> None:
    rows = fill(inst, 320)
    for row in rows[100:]:
        write_anchor(inst, "local", chain=rows[0].hash, number=row.number, digest=row.hash)
    behind_the_back(inst, lambda c: c.execute(audit_log.delete().where(audit_log.c.number > 100)))
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number <= 60).values(actor="eve")))
    found = verify(inst)
    assert (len(found.findings), found.more) == (50, 12), "60 rows, and one finding each of the anchors and the machine"
    assert "Row 1 was changed" in found.sentence
    assert "And 61 more." in found.sentence
    accepted = commands.accept_audit(inst, reason="restored from Sunday's copy", actor="ada")
    assert (accepted.severity, accepted.more, accepted.rows) == ("ok", 0, 102)
    assert look_quickly(inst).severity == "ok"
    with pytest.raises(InputError, match="nothing to accept"):
        commands.accept_audit(inst, reason="again", actor="ada")
    inst.clock = lambda: NOW + timedelta(days=2)
    [again] = anchor_when_due(inst, by="one")
    assert again.anchor is not None
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 99).values(actor="eve")))
    found = verify(inst)
    assert (found.severity, found.findings[0].number, found.more) == ("failure", 99, 0)


def test_rows_with_a_made_up_key_are_a_failure_until_they_are_accepted_row_for_row(inst: Installation) -> None:
    fill(inst, 3)
    behind_the_back(
        inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number > 1).values(seal="deadbeef:" + "0" * 64))
    )
    assert verify(inst).sentence.startswith("2 rows, the first of them row 2, sealed with a key that is not here")
    [made] = anchor_when_due(inst, by="one")
    assert made.anchor is None, "an anchor would vouch for them"
    assert commands.accept_audit(inst, reason="the key of the old machine", actor="ada").severity == "ok"
    assert look_quickly(inst).severity == "ok"
    behind_the_back(
        inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 4).values(seal="deadbeef:" + "0" * 64))
    )
    assert verify(inst).sentence.startswith("1 row, row 4, sealed with a key that is not here")


def test_that_a_storage_is_away_is_not_accepted(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(inst, 2)

    def away(*_: object) -> None:
        raise StorageUnavailable("It is away.")

    monkeypatch.setattr("services.audit.verify.read_anchors", away)
    assert verify(inst).severity == "unknown"
    with pytest.raises(InputError, match="nothing to accept"):
        commands.accept_audit(inst, reason="well", actor="ada")


def test_an_acceptance_that_was_added_behind_the_products_back_accepts_nothing(inst: Installation) -> None:
    fill(inst, 3)
    commands_row = {"action": "audit.accept", "detail": '{"findings":["removed:4-4"]}'}
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 3).values(commands_row)))
    assert verify(inst).severity == "failure"
