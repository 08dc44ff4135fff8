"""The page of the keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from tests.keys.test_key_report import FORMER, OFFLINE, WORKER, drilled, world
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import NOW, add_backup

DAY = timedelta(days=1)


def test_the_page_says_who_can_decrypt_what_is_due_and_what_waits(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, WORKER[1], OFFLINE[1])
    secrets = {"encryption_key": SecretStr(WORKER[0]), "old_encryption_keys": (SecretStr(FORMER[0]),)}
    inst.settings = inst.settings.model_copy(update=secrets)
    add_backup(inst, "orders", NOW - 100 * DAY, recipients=(FORMER[1],))
    add_backup(inst, "orders", NOW - 95 * DAY, recipients=(WORKER[1], OFFLINE[1]))
    app = open_page(inst, "keys")
    assert not app.exception
    text = everything(app).replace("\\", "")
    assert "2 keys each open new backups; 1 of them is kept elsewhere." in text
    assert "never proven in a drill; the drill is overdue by 5 d" in text
    assert "**1** stored backups are encrypted to other keys" in text
    (table,) = (frame.value for frame in app.dataframe)  # whose cells are text, and no markup
    assert list(table["Role"]) == ["offline recovery key", "worker's key", "former key"]
    assert [frame.value for frame in app.table] == []
    drilled(inst, OFFLINE[1], 1)
    assert "Opened \\<b\\>it" in everything(open_page(inst, "keys"))
    assert "the next drill is due in 89 d" in str([link.proto for link in open_page(inst).get("page_link")])
    assert not [key[0] for key in (WORKER, OFFLINE, FORMER) if key[0] in text]


def test_a_rotation_is_confirmed_by_its_name_and_queued_once(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, WORKER[1])
    secrets = {"encryption_key": SecretStr(WORKER[0]), "old_encryption_keys": (SecretStr(FORMER[0]),)}
    inst.settings = inst.settings.model_copy(update=secrets)
    old = add_backup(inst, "orders", NOW - DAY, recipients=(FORMER[1],))
    app = open_page(inst, "keys")
    next(button for button in app.button if button.label.startswith("Encrypt them anew")).click().run()
    assert app.button(key="rotate-go").disabled
    app.text_input(key="rotate-typed").set_value("rotate").run()
    app.button(key="rotate-go").click().run()
    assert not app.exception
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.params["backups"]) == ("rotate", [old.id])


def test_without_a_key_the_page_says_what_to_set(open_page: OpenPage, tmp_path: Path) -> None:
    text = everything(open_page(world(tmp_path), "keys")).replace("\\", "")
    assert "backups keygen" in text
    assert "Backups are not encrypted." in text
