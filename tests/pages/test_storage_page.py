"""The page of the storages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from streamlit.testing.v1 import AppTest

from services.catalog.model import Backup
from services.installation import Installation
from services.settings.model import StorageSettings
from tests.pages.conftest import OpenPage, everything
from tests.pages.test_copies_shown import in_two_storages
from tests.pages.worlds import HOSTILE, NOW, PASSWORD, add_backup, installation


def grown(home: Path, days: int = 40) -> Installation:
    """Backups of ``orders`` in both storages, and the newest in one alone.

    The storages' limit is small, so that no machine's disk is smaller.
    """
    inst = in_two_storages(home)
    storages = tuple(s.model_copy(update={"limit_bytes": 2 * 10**9}) for s in inst.settings.storages)
    inst = Installation(inst.settings.model_copy(update={"storages": storages}), inst.catalog, inst.clock)
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
    assert "344 MB of 2.00 GB (limit) · 17 % · nearly full from 80 %" in text
    assert "Grows a day +8.40 MB" in text
    assert "Full in 197 days" in text
    assert "1 copy is wanting" in text
    assert PASSWORD not in text
    classes, tiers = (frame.value for frame in app.dataframe)
    assert classes.to_numpy().tolist() == [["orders", "on-demand", 81, 81 * 8_400_000, 81 * 8_400_000]]
    assert list(tiers.columns) == ["Database", "Daily", "Weekly", "Monthly", "Yearly", "No tier", "Goes next"]
    daily = tiers["Daily"][0]
    assert daily == (1 + 6 * 2) * 8_400_000, "seven days, of which the newest has one copy"
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
    assert ":gray[:material/hourglass_top: queued]" in everything(app)
    assert [b for b in app.button if b.key == f"copy-{newest.id}-offsite"] == []


def test_a_copy_without_a_source_has_no_button(open_page: OpenPage, tmp_path: Path) -> None:
    inst = in_two_storages(tmp_path)
    backup = add_backup(inst, "orders", NOW)
    inst.catalog.backups.set_copy_state(backup.id, "local", "damaged", checked_at=NOW)
    app = open_page(inst, "storage")
    assert "There is no good copy that it could be made from;" in everything(app)
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


# -- cold storage and compression --------------------------------------------------------------------------------------


def with_cloud(home: Path) -> Installation:
    """One database whose backups are in a storage with cold classes, the oldest of them three months old."""
    inst = installation(home, "orders")
    classes = ("STANDARD_IA", "GLACIER")
    cloud = StorageSettings(
        name="cloud", url="s3://bucket/prod", endpoint_url="https://s3.example", storage_classes=classes
    )
    inst = Installation(inst.settings.model_copy(update={"storages": (cloud,)}), inst.catalog, inst.clock)
    for days in (90, 60, 1):
        stored(inst, days)
    return inst


def stored(inst: Installation, days: float, storage_class: str = "STANDARD", **more: object) -> Backup:
    at = NOW - timedelta(days=days)
    backup = add_backup(inst, "orders", at, **more)
    copy = replace(backup.copies[0], storage="cloud", storage_class=storage_class)
    backup = replace(backup, copies=(copy,))
    inst.catalog.backups.add(backup)
    return backup


def open_dialog(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    return button.click().run()


def test_the_archive_dialog_shows_what_it_will_do_wants_the_name_typed_and_does_just_that(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = with_cloud(tmp_path)
    app = open_dialog(open_page(inst, "storage"), "Move to cold storage …")
    assert not app.exception
    assert "**2 copies, 16.8 MB**, would be moved" in everything(app)
    assert "Before it is read it is thawed, Standard within 5 h, Bulk within 12 h" in everything(app)
    frame = next(each.value for each in app.dataframe if "From" in each.value)
    assert list(frame["To"]) == ["Glacier Flexible Retrieval"] * 2
    assert app.button(key="archive-go").disabled
    app.text_input(key="archive-typed").input("clod").run()
    assert app.button(key="archive-go").disabled
    later = stored(inst, 45)  # which was not shown
    app.text_input(key="archive-typed").input("cloud").run()
    app.button(key="archive-go").click().run()
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.database, run.actor) == ("archive", "orders", "dashboard")
    moved = [inst.catalog.backups.get(backup_id).finished_at for backup_id, _, _ in run.params["moves"]]
    assert moved == [NOW - timedelta(days=90), NOW - timedelta(days=60)]
    assert later.id not in {backup_id for backup_id, _, _ in run.params["moves"]}
    assert {(storage, name) for _, storage, name in run.params["moves"]} == {("cloud", "GLACIER")}
    assert "2 copies are queued to be moved" in "\n".join(each.value for each in app.success)


def test_the_archive_dialog_says_what_is_left_and_why(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_cloud(tmp_path)
    failed = stored(inst, 80, verification_passed=False, verification_level="checksum", verification_at=NOW)
    app = open_dialog(open_page(inst, "storage"), "Move to cold storage …")
    app.selectbox(key="archive-class").select("STANDARD_IA").run()
    text = everything(app)
    assert "It is read as it is · billed for at least 30 days." in text
    assert "it failed its verification" in text
    assert failed.name.replace("_", "\\_") in text
    app.number_input(key="archive-days").set_value(300).run()
    assert "No copy there is old enough" in everything(app)
    assert not [each for each in app.button if each.key == "archive-go"]


def test_thaws_are_listed_with_their_expected_time_and_one_can_be_asked_for(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = with_cloud(tmp_path)
    thawing, late, thawed = (stored(inst, days, "GLACIER") for days in (100, 110, 120))
    frozen = stored(inst, 130, "GLACIER")
    changes: list[tuple[Backup, dict[str, object]]] = [
        (thawing, {"thaw_requested_at": NOW - timedelta(hours=2), "thaw_tier": "Bulk"}),
        (late, {"thaw_requested_at": NOW - timedelta(hours=9), "thaw_tier": "Standard"}),
        (thawed, {"thaw_requested_at": NOW - timedelta(hours=30), "thaw_tier": "Standard",
                  "thawed_at": NOW - timedelta(hours=26), "thawed_until": NOW + timedelta(days=6)}),
    ]  # fmt: skip
    for backup, values in changes:
        inst.catalog.backups.save_copy(backup.id, replace(backup.copies[0], **values))  # type: ignore[arg-type]
    app = open_page(inst, "storage")
    text = everything(app)
    assert "asked for 2 h ago, Bulk · expected by 22 Nov 22:00 UTC (in 10 h)" in text
    assert "thawing, later than usual" in text
    assert "readable until 28 Nov 12:00 UTC (in 6 d)" in text
    app = open_dialog(app, "Thaw a backup …")
    assert [option.split(" · ")[0] for option in app.selectbox(key="thaw-backup").options] == [frozen.name]
    app.selectbox(key="thaw-tier").select_index(1).run()
    app.button(key="thaw-go").click().run()
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.backup_id) == ("thaw", frozen.id)
    assert (run.params["storage"], run.params["days"], run.params["tier"]) == ("cloud", 7, "Bulk")


def test_the_compress_dialog_shows_what_it_will_replace_before_it_does(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_cloud(tmp_path)
    plain = stored(inst, 50, compression="none", encryption="none", recipients=())
    app = open_dialog(open_page(inst, "storage"), "Compress older backups …")
    assert "**1 backup, 8.40 MB**, would be compressed with zstd" in everything(app)
    assert "The old object is deleted." in everything(app)
    app.text_input(key="compress-typed").input("compress").run()
    app.button(key="compress-go").click().run()
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.params["backups"]) == ("compress", [plain.id])


def test_without_cold_storage_the_button_is_off_and_the_page_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(grown(tmp_path, days=2), "storage")
    assert "None of these storages has colder classes" in everything(app)
    assert {each.label: each.disabled for each in app.button if each.label.endswith("…")} == {
        "Move to cold storage …": True, "Thaw a backup …": True, "Compress older backups …": False}  # fmt: skip


def test_the_drawer_of_a_backup_shows_the_error_of_a_copy_and_what_lies_frozen(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = in_two_storages(tmp_path)
    backup = add_backup(inst, "orders", NOW - timedelta(days=60))
    inst.catalog.backups.save_copy(backup.id, replace(backup.copies[0], storage_class="GLACIER"))
    assert "wanting] in **offsite**" in everything(open_page(inst, "inventory", backup=backup.id))
    failed = replace(backup.copies[0], storage="offsite", state="failed", error=f"away {HOSTILE}", attempts=1)
    inst.catalog.backups.save_copy(backup.id, failed)
    text = everything(open_page(inst, "inventory", backup=backup.id))
    assert ":red[:material/cancel: failed] in **offsite**" in text
    assert "away \\<b\\>x" in text
    assert "frozen: it cannot be read before it is thawed" in text.replace("\\", "")
