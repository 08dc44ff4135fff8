"""What waits for a second person, on the pages where it belongs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dashboard import wall
from services import commands
from services.catalog.schema import audit_log
from services.errors import ApprovalNeeded
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.test_sign_in import OIDC, claims
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import HOSTILE, NOW, add_backup, installation

DAY = timedelta(days=1)


def two_persons(home: Path) -> Installation:
    inst = installation(home, "orders")
    inst.settings = inst.settings.model_copy(update={"two_person": ("delete", "restore")})
    return inst


def test_a_deletion_that_waits_is_shown_with_who_asked_and_is_rejected_by_a_click(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = two_persons(tmp_path)
    backup = add_backup(inst, "orders", NOW - 40 * DAY)
    assert "is asked for by one person" in everything(open_page(inst, "retention"))
    with pytest.raises(ApprovalNeeded):
        commands.submit_deletion(inst, [backup.id], force_reason=HOSTILE, actor="cli:ada@host", reason=HOSTILE)
    app = open_page(inst, "retention")
    assert not app.exception
    text = everything(app)
    assert "Deletions that wait for a second person" in text
    assert any(each.label.startswith("What exactly: 1 backup, ") for each in app.expander)
    assert [list(each.value["Backup"]) for each in app.dataframe if "Takes up" in each.value] == [[backup.name]]
    assert "Asked for by cli:ada" in text.replace("\\", "")
    assert HOSTILE not in text
    (wish,) = inst.catalog.approvals.list()
    assert app.button(key=f"approve-{wish.id}").disabled, "nobody has signed in"
    assert f"backups approvals approve {wish.id}" in text
    open_page(inst, "retention").button(key=f"reject-{wish.id}").click().run()
    assert inst.catalog.approvals.get(wish.id).state == "rejected"


def test_a_restore_that_waits_is_on_the_page_of_restores(open_page: OpenPage, tmp_path: Path) -> None:
    inst = two_persons(tmp_path)
    backup = add_backup(inst, "orders", NOW - DAY)
    with pytest.raises(ApprovalNeeded):
        commands.submit_restore(inst, backup.id, "orders_new", actor="cli:ada@host")
    text = everything(open_page(inst, "verify_and_restore"))
    assert "Restore orders_backup_20261121_120000 into orders_new" in text.replace("\\", "")


def test_what_the_command_line_asked_for_is_taken_over_before_it_is_approved(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = two_persons(tmp_path)
    access = AccessSettings(**OIDC | {"admins": ("root@example.com", "cli:root@*")})
    inst.settings = inst.settings.model_copy(update={"access": access})
    monkeypatch.setattr(wall, "_built", [True])
    backup = add_backup(inst, "orders", NOW - 40 * DAY)
    with pytest.raises(ApprovalNeeded):
        commands.submit_deletion(inst, [backup.id], force_reason="old", actor="cli:root@host")
    (wish,) = inst.catalog.approvals.list()
    app = open_page(inst, "retention", claims(inst, "root@example.com"))
    assert app.button(key=f"approve-{wish.id}").label == "Take over"
    app.button(key=f"approve-{wish.id}").click().run()
    assert "it is yours now" in everything(app)
    app = open_page(inst, "retention", claims(inst, "root@example.com"))
    button = app.button(key=f"approve-{wish.id}")
    assert (button.label, button.disabled) == ("Approve", True)
    with inst.catalog.engine.connect() as connection:
        signed_in = sa.select(sa.func.count()).where(audit_log.c.action == "sign_in")
        assert connection.scalar(signed_in) == 1, "a page that is loaded anew is no new sign-in"
