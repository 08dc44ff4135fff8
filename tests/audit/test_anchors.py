"""Anchors in the storages: signed, written once, and compared with the log when it is verified."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services import commands
from services.audit.anchors import read_anchors, write_anchor
from services.audit.head import FILE
from services.audit.model import Entry
from services.audit.record import record
from services.audit.verify import verify
from services.audit.watch import anchor
from services.backups.rebuild import rebuild
from services.catalog.schema import audit_log
from services.errors import AlreadyExists, StorageUnavailable
from services.installation import Installation
from services.janitor import sweep
from services.settings.model import StorageSettings
from tests.audit.conftest import NOW, behind_the_back, fill


def anchored(inst: Installation, rows: int) -> Path:
    """Record rows and anchor the last one; return the anchor's file. This machine remembers nothing besides."""
    written = fill(inst, rows)
    anchor = write_anchor(inst, "primary", chain=written[0].hash, number=rows, digest=written[-1].hash)
    (inst.settings.home / FILE).unlink()
    return inst.settings.home / "storage" / anchor.key


def only_sentence(inst: Installation) -> str:
    verdict = verify(inst)
    assert verdict.severity == "failure"
    return verdict.sentence


def test_an_anchor_names_the_newest_row_and_is_signed_as_manifests_are(lite: Installation) -> None:
    document = json.loads(anchored(lite, 3).read_bytes())
    assert (document["number"], document["kind"]) == (3, "backups audit anchor")
    assert document["signature"]["algorithm"] == "ed25519"
    assert document["at"] == "2026-11-22T12:00:00.123Z"
    found = read_anchors(lite, "primary")
    assert [(anchor.number, anchor.trust, anchor.fault) for anchor in found] == [(3, "signed", "")]
    assert verify(lite).severity == "ok"


def test_the_newest_rows_cannot_be_cut_off_nor_the_log_written_anew(lite: Installation) -> None:
    anchored(lite, 4)
    behind_the_back(lite, lambda c: c.execute(audit_log.delete().where(audit_log.c.number > 2)))
    assert "The newest rows were removed: the anchor in primary knows row 4, the log ends at 2." in only_sentence(lite)
    behind_the_back(lite, lambda c: c.execute(audit_log.delete()))
    assert "anchors of another log, up to row 4" in only_sentence(lite)
    lite.clock = lambda: NOW.replace(hour=13)
    fill(lite, 6)  # with the product's own key: the seals are right
    assert "anchors of another log, up to row 4" in only_sentence(lite)


def test_rows_that_were_written_anew_after_the_first_disagree_with_the_anchor(lite: Installation) -> None:
    anchored(lite, 4)
    behind_the_back(lite, lambda c: c.execute(audit_log.delete().where(audit_log.c.number > 1)))
    lite.clock = lambda: NOW.replace(hour=13)
    fill(lite, 5)
    assert "Row 4 is not the one that is anchored in primary: the log was rewritten." in only_sentence(lite)


def test_an_anchor_that_is_changed_foreign_or_misnamed_is_found(lite: Installation) -> None:
    path = anchored(lite, 3)
    whole = path.read_bytes()
    for data, words in (
        (whole.replace(b'"number": 3', b'"number": 2'), "it is not the anchor that its name says"),
        (whole.replace(b"12:00:00", b"11:00:00"), "its signature is not ours"),
        (
            json.dumps({k: v for k, v in json.loads(whole).items() if k != "signature"}).encode(),
            "signature is not ours",
        ),
        (b"{", "it cannot be read"),
        (b"[]", "it cannot be read"),
    ):
        path.write_bytes(data)
        assert words in only_sentence(lite)
    path.write_bytes(whole)
    assert verify(lite).severity == "ok"


def test_an_anchor_is_written_once_and_again_only_to_the_same_effect(lite: Installation) -> None:
    path = anchored(lite, 3)
    anchor = read_anchors(lite, "primary")[0]
    write_anchor(lite, "primary", chain=anchor.chain, number=3, digest=anchor.hash)
    path.write_bytes(path.read_bytes().replace(b"12:00:00", b"11:00:00"))
    with pytest.raises(AlreadyExists):
        write_anchor(lite, "primary", chain=anchor.chain, number=3, digest=anchor.hash)


def test_a_storage_that_is_away_is_unknown_and_an_empty_one_gets_no_anchor(lite: Installation) -> None:
    rows = fill(lite, 2)
    storage = lite.settings.home / "storage"
    shutil.rmtree(storage)
    with pytest.raises(StorageUnavailable, match="Nothing is stored"):
        write_anchor(lite, "primary", chain=rows[0].hash, number=2, digest=rows[1].hash)
    assert verify(lite).severity == "ok", "nothing is expected there"
    away = StorageSettings(
        name="primary", url="s3://backups/p", endpoint_url="http://127.0.0.1:1", access_key_id="k",
        secret_access_key=SecretStr("planted-Passw0rd"), timeout=timedelta(seconds=3),
    )  # fmt: skip
    lite.settings = lite.settings.model_copy(update={"storages": (away,)})
    lite._storages.clear()
    verdict = verify(lite)
    assert (verdict.severity, verdict.findings[0].kind) == ("unknown", "no anchor")
    assert "The anchors in primary could not be read" in verdict.sentence


def test_rebuild_and_the_janitor_leave_anchors_and_log_alone(lite: Installation) -> None:
    path = anchored(lite, 3)
    report = rebuild(lite)
    swept = sweep(lite, apply=True)
    assert (report.unreadable, swept.orphans, swept.removed) == ([], [], [])
    assert path.exists()
    assert (verify(lite).severity, verify(lite).rows) == ("ok", 3)


def test_every_anchor_is_read_and_compared_and_missed_when_it_is_gone(lite: Installation) -> None:
    rows = fill(lite, 45)
    made = [write_anchor(lite, "primary", chain=rows[0].hash, number=row.number, digest=row.hash) for row in rows]
    for each in made[:3]:
        record(lite, Entry("worker", "audit.anchor", "storage", "primary", detail={"key": each.key}))
    assert {each.trust for each in read_anchors(lite, "primary")} == {"signed"}
    assert verify(lite).severity == "ok"
    (lite.settings.home / "storage" / made[0].key).unlink()
    assert only_sentence(lite) == f"The anchor {made[0].key} is not in primary any more."
    (lite.settings.home / "storage" / made[1].key).unlink()
    assert only_sentence(lite).startswith(f"2 anchors, the first of them {made[0].key}, are not in primary")


def test_a_log_that_begins_anew_beside_many_old_anchors_is_accepted_once_and_for_all(lite: Installation) -> None:
    """As after ``backups rebuild`` in a fresh installation: the old numbers are the higher ones, for years."""
    rows = fill(lite, 60)
    for row in rows:
        write_anchor(lite, "primary", chain=rows[0].hash, number=row.number, digest=row.hash)
    behind_the_back(lite, lambda c: c.execute(audit_log.delete()))
    (lite.settings.home / FILE).unlink()
    lite.clock = lambda: NOW.replace(hour=13)
    fill(lite, 3)
    assert len(verify(lite).findings) == 1
    assert "anchors of another log, up to row 60" in only_sentence(lite)
    assert commands.accept_audit(lite, reason="rebuilt", actor="ada").severity == "ok"
    for more in range(1, 4):
        fill(lite, 20)  # past the old numbers
        assert [made.error for made in anchor(lite, ["primary"], actor="ada")] == [""], more
    assert (verify(lite).severity, verify(lite).more) == ("ok", 0)
