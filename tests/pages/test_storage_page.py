"""The page of the storages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from services.installation import Installation
from tests.pages.conftest import OpenPage, everything
from tests.pages.test_copies_shown import in_two_storages
from tests.pages.worlds import HOSTILE, NOW, PASSWORD, add_backup


def grown(home: Path, days: int = 40) -> Installation:
    """Backups of ``orders`` in both storages, and the newest in one alone."""
    inst = in_two_storages(home)
    for day in range(days, -1, -1):
        backup = add_backup(inst, "orders", NOW - timedelta(days=day))
        if day:
            inst.catalog.backups.save_copy(backup.id, replace(backup.copies[0], storage="offsite"))
    return inst


def test_each_storage_says_what_it_holds_of_its_limit_how_fast_it_grows_and_when_it_is_full(
    open_page: OpenPage, tmp_path: Path
) -> None:
    app = open_page(grown(tmp_path), "storage")
    assert not app.exception
    text = everything(app)
    assert "344 MB of 50.0 GB (limit) · under 1 % · nearly full from 80 %" in text
    assert "Grows a day +8.40 MB" in text
    assert "Full in over 10 years" in text
    assert "1 copy is wanting" in text
    assert PASSWORD not in text
    frame = app.dataframe[0].value
    assert frame.to_numpy().tolist() == [["orders", 81, 81 * 8_400_000, 81 * 8_400_000]]
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 3, "two bars and the year"


def test_a_copy_that_failed_shows_its_reason_and_a_button_that_starts_one_run(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = grown(tmp_path, days=1)
    newest = inst.catalog.backups.list()[0]
    failed = replace(
        newest.copies[0], storage="offsite", state="failed", error=f"No room {HOSTILE}", attempts=3,
        next_attempt_at=NOW + timedelta(minutes=20),
    )  # fmt: skip
    inst.catalog.backups.save_copy(newest.id, failed)
    app = open_page(inst, "storage")
    text = everything(app)
    assert ":red[:material/cancel: failed]" in text
    assert "No room \\<b\\>x" in text
    assert "Failed 3 times in a row. Tried again in 20 min." in text
    button = app.button(key=f"copy-{newest.id}-offsite")
    button.click().run()
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.backup_id, run.params["storage"], run.actor) == ("copy", newest.id, "offsite", "dashboard")
    assert "being copied" in everything(app)
    assert [b for b in app.button if b.key == f"copy-{newest.id}-offsite"] == []


def test_a_copy_without_a_source_has_no_button(open_page: OpenPage, tmp_path: Path) -> None:
    inst = in_two_storages(tmp_path)
    backup = add_backup(inst, "orders", NOW)
    inst.catalog.backups.set_copy_state(backup.id, "local", "damaged", checked_at=NOW)
    app = open_page(inst, "storage")
    assert "There is no good copy that it could be made from." in everything(app)
    assert not [b for b in app.button if (b.key or "").startswith("copy-")]


def test_the_storage_of_the_chart_is_in_the_url(open_page: OpenPage, tmp_path: Path) -> None:
    inst = grown(tmp_path)
    both = everything(open_page(inst, "storage"))
    assert "a year ago, 680 MB today" in both
    assert "a year ago, 336 MB today" in everything(open_page(inst, "storage", storage="offsite"))


def test_before_the_first_backup_the_page_teaches_the_next_step(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(in_two_storages(tmp_path), "storage")
    assert not app.exception
    text = everything(app)
    assert "nothing is stored yet" in text
    assert "The first backup starts under" in text
