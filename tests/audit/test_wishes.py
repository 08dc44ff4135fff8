"""What passes the gate is in the log, with its outcome; what cannot be recorded is not done."""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
import sqlalchemy as sa

from services import commands
from services.access.roles import Role
from services.approvals import gate
from services.audit.model import AuditRow
from services.audit.origin import present_origin
from services.audit.record import NotRecorded
from services.audit.stored import stored_rows, to_row
from services.audit.verify import verify
from services.audit.wishes import ACTS_OUTSIDE
from services.backups.request import BackupRequest
from services.catalog.read_only_modes import ReadOnlyMode
from services.catalog.schema import approvals, audit_log, key_drills, people, pins, runs
from services.commands.gate import entered
from services.errors import ApprovalNeeded, BackupsError, InputError, NotPermitted, UnknownName
from services.installation import Installation
from services.jobs import use_cases
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.jobs.use_cases import Backup
from tests.pages.worlds import add_backup
from tests.pages.worlds import installation as world
from tests.support.installations import make_installation


def log(inst: Installation) -> list[AuditRow]:
    with inst.catalog.engine.connect() as connection:
        return [to_row(row) for row in connection.execute(stored_rows().order_by(audit_log.c.number))]


def last(inst: Installation) -> AuditRow:
    return log(inst)[-1]


def seen(row: AuditRow) -> tuple[str, str, str, str, str]:
    return row.actor, row.action, row.target_kind, row.target, row.outcome


def break_log(inst: Installation) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE audit_log RENAME TO away"))


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    return world(tmp_path, "orders", recipients=True)


def test_what_a_caller_s_environment_says_of_ssh_is_told_as_their_word(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = socket.gethostname()
    for said, origin in (
        ("203.0.113.9 50022 10.0.0.1 22", f"{machine} (by its own account ssh from 203.0.113.9)"),
        ("headquarters 1 2 3", machine), ("", machine),
    ):  # fmt: skip
        monkeypatch.setenv("SSH_CONNECTION", said)
        assert present_origin() == origin


def test_each_kind_of_command_is_recorded_with_who_what_on_what_and_why(inst: Installation) -> None:
    backup = add_backup(inst, "orders", inst.clock())
    told: list[tuple[Callable[[], Any], tuple[str, str, str, str]]] = [
        (lambda: commands.submit_backup(inst, BackupRequest("orders", note="before 4.2"), actor="ada", queue=False),
         ("backup.create", "database", "orders", "before 4.2")),
        (lambda: commands.submit_verification(inst, backup.id, "checksum", actor="ada", queue=False),
         ("backup.verify", "backup", backup.name, "")),
        (lambda: commands.set_pin(inst, backup.id, pinned=True, actor="ada", reason="the year's end"),
         ("backup.pin", "backup", backup.name, "the year's end")),
        (lambda: commands.submit_deletion(inst, [backup.id], actor="ada", reason="too old", queue=False),
         ("backup.delete", "backup", backup.name, "too old")),
        (lambda: commands.set_schedule(inst, "orders/backup", cron="0 3 * * *", actor="ada", reason="quieter"),
         ("schedule.change", "schedule", "orders/backup", "quieter")),
        (lambda: commands.write_review_note(inst, "2026-W47", "All well.", actor="ada"),
         ("review.write", "review", "2026-W47", "")),
        (lambda: commands.add_person(inst, "mara@example.com", Role.VIEWER, actor="ada", reason="new here"),
         ("people.change", "person", "mara@example.com", "new here")),
        (lambda: commands.set_role(inst, "mara@example.com", Role.ADMIN, actor="ada"),
         ("people.change", "person", "mara@example.com", "")),
    ]  # fmt: skip
    for command, (action, kind, target, reason) in told:
        before = len(log(inst))
        result = command()
        rows = log(inst)
        assert len(rows) == before + 1, action
        assert seen(rows[-1]) == ("ada", action, kind, target, "done")
        assert rows[-1].reason == reason
        if isinstance(result, str) and rows[-1].values.get("run"):
            assert rows[-1].values["run"] == result
    assert last(inst).values["before"] == "viewer"
    assert last(inst).values["role"] == "admin"
    assert verify(inst).severity == "ok"


def test_what_is_refused_or_fails_is_recorded_with_why(inst: Installation) -> None:
    with pytest.raises(UnknownName):
        commands.submit_backup(inst, BackupRequest("nowhere"), actor="ada", queue=False)
    assert seen(last(inst)) == ("ada", "backup.create", "database", "nowhere", "refused")
    assert "nowhere" in last(inst).values["error"]
    with pytest.raises(InputError):
        commands.send_test_messages(inst, actor="ada")
    assert [(row.action, row.outcome) for row in log(inst)[-2:]] == [("alert.test", "begun"), ("alert.test", "refused")]
    with pytest.raises(BackupsError), entered(inst, "compare", actor="ada", arguments={"database": "orders"}):
        raise BackupsError("The server went away.")
    assert seen(last(inst)) == ("ada", "compare", "database", "orders", "failed")


def test_who_may_not_is_refused_in_the_log_as_well(tmp_path: Path) -> None:
    inst = make_installation(tmp_path, access=AccessSettings(mode="proxy", admins=("cli:root@*",)))
    add(inst, "proxy:eve", "viewer")
    with pytest.raises(NotPermitted):
        commands.submit_backup(inst, BackupRequest("la_factoria"), actor="proxy:eve", queue=False)
    assert seen(last(inst)) == ("proxy:eve", "backup.create", "database", "la_factoria", "refused")
    assert "needs the role operator" in last(inst).values["error"]


def test_a_second_click_is_recorded_and_starts_nothing_and_the_products_own_is_no_news(inst: Installation) -> None:
    def click(actor: str) -> str:
        return commands.submit_backup(inst, BackupRequest("orders"), actor=actor, idempotency_key="k", queue=False)

    assert click("ada") == click("ada")
    rows = log(inst)
    assert [row.values.get("run") or row.values["result"] for row in rows] == [click("schedule")] * 2
    assert len(log(inst)) == 2


def rows_of(inst: Installation, *tables: sa.Table) -> list[object]:
    with inst.catalog.engine.connect() as connection:
        return [row for table in tables for row in connection.execute(sa.select(table)).all()]


def test_what_cannot_be_recorded_is_not_done(inst: Installation) -> None:
    backup = add_backup(inst, "orders", inst.clock())
    inst.settings = inst.settings.model_copy(update={"two_person": ("delete",)})
    for reason in ("changed", "rejected"):
        with pytest.raises(ApprovalNeeded):
            commands.submit_deletion(inst, [backup.id], actor=reason, queue=False)
        assert last(inst).values["request"] in last(inst).values["error"]
        assert (last(inst).outcome, len(log(inst))) == ("refused", 1 if reason == "changed" else 2)
    changed, rejected = inst.catalog.approvals.waiting(inst.clock())
    with inst.catalog.engine.begin() as connection:
        connection.execute(approvals.update().where(approvals.c.id == changed.id).values(digest="other"))
    secret = str(pyrage.x25519.Identity.generate())
    commands.add_person(inst, "eve@example.com", Role.VIEWER, actor="ada")
    break_log(inst)
    done = {
        "ask": lambda: commands.submit_deletion(inst, [backup.id], actor="ada", queue=False),
        "reject": lambda: commands.reject_request(inst, rejected.id, actor="ada"),
        "changed": lambda: commands.approve_request(inst, changed.id, actor="ada", queue=False),
        "drill": lambda: commands.hold_key_drill(inst, [secret], actor="ada"),
        "sign out": lambda: commands.sign_out(inst, actor="person:eve@example.com"),
        "run": lambda: commands.submit_backup(inst, BackupRequest("orders"), actor="ada", queue=False),
        "pin": lambda: commands.set_pin(inst, backup.id, pinned=True, actor="ada"),
        "person": lambda: commands.add_person(inst, "mara@example.com", Role.VIEWER, actor="ada"),
        "outside": lambda: commands.send_test_messages(inst, actor="ada"),
    }
    tables = (runs, pins, people, approvals, key_drills)
    before = rows_of(inst, *tables)
    for name, command in done.items():
        with pytest.raises(NotRecorded, match="could not be recorded"):
            command()
        assert rows_of(inst, *tables) == before, name


def test_no_command_writes_into_the_catalogue_without_recording_it_in_the_same_transaction() -> None:
    """Of what acts outside of the catalogue a row says before that it begins."""
    checked = 0
    for path in (*Path(commands.__path__[0]).glob("*.py"), Path(gate.__file__)):
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for block in (node for node in ast.walk(function) if isinstance(node, ast.With)):
                if not any(".begin()" in ast.unparse(item.context_expr) for item in block.items):
                    continue
                permission = getattr(getattr(commands, function.name, None), "permission", "")
                called = {ast.unparse(node.func) for node in ast.walk(block) if isinstance(node, ast.Call)}
                assert called & {"settle", "record"} or permission in ACTS_OUTSIDE, f"{path.name}: {function.name}"
                checked += 1
    assert checked > 8


def test_what_changes_with_a_refusal_is_recorded_in_one_row_with_it(inst: Installation) -> None:
    backup = add_backup(inst, "orders", inst.clock())
    inst.settings = inst.settings.model_copy(update={"two_person": ("delete",)})
    with pytest.raises(ApprovalNeeded):
        commands.submit_deletion(inst, [backup.id], actor="bob", queue=False)
    [wish] = inst.catalog.approvals.waiting(inst.clock())
    with inst.catalog.engine.begin() as connection:
        connection.execute(approvals.update().values(digest="other"))
    with pytest.raises(InputError, match="has changed"):
        commands.approve_request(inst, wish.id, actor="ada", queue=False)
    commands.hold_key_drill(inst, [str(pyrage.x25519.Identity.generate())], actor="ada")
    assert [(row.action, row.outcome) for row in log(inst)] == [
        ("backup.delete", "refused"), ("approval.decide", "refused"), ("keys.drill", "done"),
    ]  # fmt: skip
    assert last(inst).values["passed"] is False


def test_a_run_is_cancelled_and_read_only_mode_released_even_when_it_cannot_be_recorded(
    inst: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = commands.submit_backup(inst, BackupRequest("orders"), actor="ada", queue=False)
    mode = ReadOnlyMode(
        "m", "orders", run_id, 1, "h:1:1", "ada", "", inst.clock(), inst.clock() + timedelta(hours=1), None, False
    )
    with inst.catalog.engine.begin() as connection:
        inst.catalog.read_only_modes.add(mode, connection)
    break_log(inst)
    [released] = commands.release_read_only(inst, "orders", actor="ada")
    assert released.released_at is not None
    commands.request_cancel(inst, run_id, actor="ada")
    assert inst.catalog.runs.get(run_id).state == "cancelled"
    loud = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert any(text.startswith("emergency.release of ada is done, and cannot be recorded") for text in loud)
    assert any(text.startswith("run.cancel of ada is done, and cannot be recorded") for text in loud)


def test_a_run_that_reads_a_backup_says_so_before_it_reads_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = world(tmp_path, "orders")
    backup = add_backup(inst, "orders", inst.clock())
    stand_in = Backup()
    stand_in.go.set()
    for kind in ("verification", "backup"):
        monkeypatch.setitem(use_cases.USE_CASES, kind, stand_in)
    run_id = commands.submit_verification(inst, backup.id, "archive", actor="ada", queue=False)
    execute_run(inst, run_id, worker=process_identity())
    asked, begun, ended = log(inst)
    assert seen(begun) == ("ada", "backup.read", "backup", backup.name, "begun")
    assert (begun.values["run"], begun.values["level"], asked.values["run"]) == (run_id, "archive", run_id)
    assert seen(ended) == ("ada", "run.end", "backup", backup.name, "done")

    run_id = commands.submit_verification(inst, backup.id, "archive", actor="ada", queue=False)
    break_log(inst)
    run = execute_run(inst, run_id, worker=process_identity())
    assert run.state == "failed"
    assert "could not be recorded" in run.error
    assert run_id not in stand_in.done, "not a byte was read"


def test_a_run_that_fails_or_never_starts_is_recorded_as_failed(inst: Installation) -> None:
    run_id = commands.submit_backup(inst, BackupRequest("orders"), actor="ada", queue=False)
    inst.catalog.runs.fail_queued(run_id, now=inst.clock(), error="No.", hint="")
    assert seen(last(inst)) == ("ada", "run.end", "database", "orders", "failed")
    assert last(inst).values["error"] == "No."
    run_id = commands.submit_backup(inst, BackupRequest("orders"), actor="ada", queue=False)
    claim = inst.catalog.runs.claim(run_id, worker="w", now=inst.clock())
    inst.catalog.runs.take_back(inst.catalog.runs.get(claim.run_id), state="lost", now=inst.clock(), error="gone")
    assert (last(inst).outcome, last(inst).values["state"]) == ("failed", "lost")
