"""What each page shows and does, run through the real entry point on catalogues of every kind."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

import dashboard.session
from dashboard.session import CheckedAt
from services.catalog.model import LogLine
from services.preflight import Check, Preflight
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import (
    HOSTILE,
    NOW,
    PASSWORD,
    Reached,
    add_backup,
    add_run,
    add_verification,
    healthy,
    installation,
)

PAGES = (
    "overview",
    "run_backup",
    "inventory",
    "verify_and_restore",
    "point_in_time",
    "schedules",
    "slo",
    "health",
    "storage",
    "trends",
    "retention",
)


@pytest.fixture
def fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pre-checks that pass: the database of these catalogues does not exist."""
    checks(monkeypatch, Check("connection", "ok", "Connected.", ""))


def checks(monkeypatch: pytest.MonkeyPatch, *found: Check) -> None:
    def fresh(_database: str) -> CheckedAt:
        return CheckedAt(Preflight(found, 61_000_000, 8_400_000, 43_000_000, 14.0), NOW)

    monkeypatch.setattr(dashboard.session, "fresh_checks", fresh)


def test_dashboard_has_no_pages_folder_that_streamlit_would_serve_without_the_entry_point() -> None:
    assert not (Path(dashboard.session.__file__).parent / "pages").exists()


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs_the_entry_point_and_says_that_this_is_sample_data(
    open_page: OpenPage, tmp_path: Path, page: str
) -> None:
    app = open_page(installation(tmp_path, "orders", sample=True), page)
    assert not app.exception
    assert "Sample environment" in everything(app)
    assert "Sample environment" not in everything(open_page(installation(tmp_path, "orders"), page))


def test_the_overview_opens_with_the_verdict_then_the_worst_database(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(healthy(tmp_path, days=10))
    assert not app.exception
    headings = [block.value.replace("\\", "") for block in app.markdown if block.value.startswith("#")]
    assert "1 of 3 databases is proven to restore." in headings[0]
    cards = [heading for heading in headings if "-badge[" in heading]
    assert [card.split()[1] for card in cards] == ["billing", "orders", "archive_2024", "la_factoria"]
    assert [card.split("-badge")[0].rsplit(":", 1)[1] for card in cards] == ["red", "yellow", "gray", "green"]
    assert "Last good backup 2 d ago · RPO 28 h · breached 23 h ago" in everything(app)


def test_a_silent_worker_is_a_banner_that_says_what_to_do_and_nothing_stays_green(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = healthy(tmp_path, days=3)
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW - timedelta(minutes=5))
    app = open_page(inst)
    [banner] = app.warning
    assert "backups worker" in banner.value
    assert "PROTECTED" not in everything(app)
    assert "UNKNOWN" in everything(app)
    assert "worker last heard 5 min ago" in everything(app)
    assert "alive" not in everything(app)


def test_running_work_is_shown_over_the_state(open_page: OpenPage, tmp_path: Path) -> None:
    inst = healthy(tmp_path, days=3)
    add_run(inst, "la_factoria", NOW - timedelta(seconds=5), state="running", phase="dumping",
            bytes_done=17_000_000, bytes_total=43_000_000)  # fmt: skip
    text = everything(open_page(inst))
    assert "dumping · 40 % · 17.0 MB of about 43.0 MB · 3.40 MB/s" in text
    assert "PROTECTED" in text


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_installation_teaches_the_next_step(open_page: OpenPage, tmp_path: Path, page: str) -> None:
    app = open_page(installation(tmp_path), page)
    assert not app.exception
    assert app.info
    assert "■" not in everything(app), "no legend without a strip"


@pytest.mark.usefixtures("fine")
def test_a_click_asks_for_one_backup_and_the_page_shows_its_run(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", recipients=True)
    app = open_page(inst, "run_backup")
    second = open_page(inst, "run_backup")  # a tab that was opened before the click
    app.text_input(key="note-orders").input("before the deploy")
    app.button(key="go-orders").click().run()
    assert not app.exception
    [run] = inst.catalog.runs.list()
    assert (run.kind, run.database, run.state) == ("backup", "orders", "queued")
    assert run.params["note"] == "before the deploy"
    assert app.query_params["run"] == run.id
    assert "waiting for the worker" in app.get("progress")[0].proto.text

    second.button(key="go-orders").click().run()
    assert [found.id for found in inst.catalog.runs.list()] == [run.id], "the second tab's click starts nothing"
    reloaded = open_page(inst, "run_backup")
    assert not [button for button in reloaded.button if button.key == "go-orders"]


def test_a_blocking_check_wants_a_reason(open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks(monkeypatch, Check("rights", "blocking", "The role cannot read secrets.", "GRANT SELECT."))
    inst = installation(tmp_path, "orders", recipients=True)
    app = open_page(inst, "run_backup")
    assert "This backup is blocked." in everything(app)
    assert app.button(key="go-orders").label == "Back up all the same"
    app.button(key="go-orders").click().run()
    assert inst.catalog.runs.list() == []
    assert "give a reason" in app.error[0].value
    app.text_input(key="force-orders").input("secrets are not ours")
    app.button(key="go-orders").click().run()
    [run] = inst.catalog.runs.list()
    assert run.params["force_reason"] == "secrets are not ours"


def test_a_failed_run_shows_reason_hint_the_last_25_lines_and_what_happens_next(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = installation(tmp_path, "orders")
    run = add_run(inst, "orders", NOW, state="failed", error=f"pg_dump broke {HOSTILE}", hint="Look at the server.")
    inst.catalog.runs.add_log(run.id, [LogLine(NOW, "info", f"line {n} {HOSTILE}") for n in range(40)])
    app = open_page(inst, "run_backup", run=run.id)
    assert not app.exception
    assert app.error[0].value.startswith("pg\\_dump broke \\<b\\>")
    assert app.info[0].value == "Look at the server\\."
    lines = app.code[0].value.splitlines()
    assert len(lines) == 25
    assert lines[-1].endswith(HOSTILE), "a log is plain text, shown as it is"
    assert "What happens next" in everything(app)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_run_that_ended_after_its_backup_was_stored_shows_that_backup(
    open_page: OpenPage, tmp_path: Path, state: Reached
) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW)
    run = add_run(inst, "orders", NOW, state=state, error="The backup was stored, but failed its verification.",
                  result={"backup_id": backup.id})  # fmt: skip
    if state == "failed":
        add_verification(inst, backup, NOW, level="checksum", outcome="failed")
    app = open_page(inst, "run_backup", run=run.id)
    assert not app.exception
    text = everything(app)
    assert "Nothing of it was kept" not in text
    assert "half-stored" not in text
    assert "stays stored" in text
    verified = next(metric for metric in app.metric if metric.label == "Verified")
    if state == "failed":
        assert ":red[:material/cancel: **damaged:** it failed its checksum check" in text
        assert verified.value == "failed"
        assert ":red[:material/cancel: checksum check" in text
        assert ":green[" not in text
    else:
        assert verified.value == "not yet"
    links = [link.proto.page for link in app.get("page_link") if "inventory" in link.proto.page]
    assert links


def test_a_cancelled_run_without_a_backup_kept_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    run = add_run(inst, "orders", NOW, state="cancelled")
    assert "Nothing of it was kept" in everything(open_page(inst, "run_backup", run=run.id))


@pytest.mark.parametrize(("outcome", "tone"), [("failed", "red"), ("not testable", "gray"), ("passed", "green")])
@pytest.mark.parametrize("kind", ["restore", "restore_test", "verification"])
def test_the_activity_says_what_a_check_found(
    open_page: OpenPage, tmp_path: Path, kind: str, outcome: str, tone: str
) -> None:
    inst = installation(tmp_path, "orders")
    add_run(inst, "orders", NOW, state="finished", kind=kind, result={"outcome": outcome})
    [line] = [block.value for block in open_page(inst).markdown if f":{tone}[{outcome}]" in block.value]
    assert line.startswith(f":{tone}[:material/")


def test_the_result_of_a_run_is_its_own_not_the_newest_of_its_backup(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=30))
    first = add_run(inst, "orders", NOW, state="finished", kind="restore_test", backup_id=backup.id)
    add_verification(inst, backup, NOW - timedelta(days=29), outcome="failed", run_id=first.id)
    for n in range(25):
        add_verification(inst, backup, NOW - timedelta(days=28, seconds=-n))
    assert "9 rows instead of 10" in everything(open_page(inst, "verify_and_restore", run=first.id))
    alone = add_run(inst, "orders", NOW, state="failed", kind="restore_test", error="no server")
    assert "Measured RTO" not in everything(open_page(inst, "verify_and_restore", run=alone.id))


def test_an_older_proof_is_not_shown_as_kept_when_a_later_test_failed(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    proven = add_backup(inst, "orders", NOW - timedelta(days=3))
    add_verification(inst, proven, NOW - timedelta(days=3))
    newer = add_backup(inst, "orders", NOW - timedelta(days=1))
    add_verification(inst, newer, NOW - timedelta(hours=20), outcome="failed")
    add_backup(inst, "orders", NOW - timedelta(hours=1))
    app = open_page(inst)
    proof = next(metric for metric in app.metric if metric.label == "Proven by a restore test")
    assert proof.delta == "a later test failed"


def test_the_form_offers_the_newest_backup_that_is_not_known_to_be_damaged(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    sound = add_backup(inst, "orders", NOW - timedelta(days=2))
    damaged = add_backup(inst, "orders", NOW - timedelta(days=1))
    add_verification(inst, damaged, NOW, level="checksum", outcome="failed")
    app = open_page(inst, "verify_and_restore")
    assert app.selectbox[0].value.id == sound.id
    assert open_page(inst, "verify_and_restore", backup=damaged.id).selectbox[0].value.id == damaged.id


def test_the_inventory_filters_by_its_url_and_counts(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    proven = add_backup(inst, "orders", NOW - timedelta(days=1), note=HOSTILE)
    add_backup(inst, "orders", NOW - timedelta(days=2), trust="untrusted")
    add_backup(inst, "users", NOW - timedelta(days=3))
    add_backup(inst, "users", NOW - timedelta(days=4), adopted=True)
    add_verification(inst, proven, NOW)
    app = open_page(inst, "inventory")
    frame = app.dataframe[0].value
    assert list(frame["Database"]) == ["orders", "orders", "users", "users"]
    assert list(frame["State"]) == ["✓ good", "⚠ untrusted", "✓ good", "▖ adopted"]
    assert frame["Proof"][0] == "◆ proven 2026-11-22"
    only = open_page(inst, "inventory", db="orders", proof="proven").dataframe[0].value
    assert list(only["id"]) == [proven.id]
    none = open_page(inst, "inventory", q="nothing like it")
    assert [info.proto.title for info in none.info] == ["No backup fits these filters"]
    [clear] = [button for button in none.button if button.label == "Clear the filters"]
    assert len(clear.click().run().dataframe[0].value) == 4


def test_a_backup_without_a_signature_is_marked_and_its_drawer_says_what_that_means(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = installation(tmp_path, "orders")
    unsigned = add_backup(inst, "orders", NOW - timedelta(days=1), trust="unsigned")
    add_backup(inst, "orders", NOW - timedelta(days=2), trust="unsigned", excluded=("public.temp_data",))
    signed = add_backup(inst, "orders", NOW - timedelta(days=3))
    states = open_page(inst, "inventory").dataframe[0].value["State"]
    assert list(states) == ["⚠ good · unsigned", "▖ partial · unsigned", "✓ good"]
    drawer = open_page(inst, "inventory", backup=unsigned.id)
    assert ":yellow-badge[:material/signature: unsigned]" in everything(drawer)
    [warning] = drawer.warning
    assert warning.proto.title == "No signature vouches for it"
    assert "BACKUP\\_SIGNING\\_KEY" in warning.value
    assert "unsigned" not in everything(open_page(inst, "inventory", backup=signed.id))


def test_the_drawer_labels_each_hash_and_names_a_storage_class_only_where_a_storage_has_classes(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=1))
    app = open_page(inst, "inventory", backup=backup.id)
    text = everything(app)
    assert "in **local** · 8.40 MB" in text
    assert "Standard" not in text
    codes = [code.value for code in app.code]
    labels = [caption.value for caption in app.caption]
    assert backup.sha256 in codes
    assert backup.plain_sha256 in codes
    assert {"sha256 of the stored file", "sha256 of the dump within", "Encrypted to the age key"} <= set(labels)


def test_an_inventory_without_backups_leads_to_the_first_one(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(installation(tmp_path, "orders"), "inventory")
    assert [info.proto.title for info in app.info] == ["No backup was made yet"]
    assert [link.proto.label for link in app.get("page_link")] == ["Run the first backup"]


def test_a_note_is_shown_while_its_backup_runs_and_on_the_card_of_what_it_made(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = installation(tmp_path, "orders")
    run = inst.catalog.runs.add(kind="backup", database="orders", actor="dashboard", reason="",
                                params={"note": HOSTILE}, now=NOW)  # fmt: skip
    shown = "**Note:** \\<b\\>x"
    assert shown in everything(open_page(inst, "run_backup"))
    backup = add_backup(inst, "orders", NOW, note=HOSTILE)
    claim = inst.catalog.runs.claim(run.id, worker="host:1", now=NOW)
    inst.catalog.runs.finish(claim, state="finished", now=NOW, result={"backup_id": backup.id})
    assert everything(open_page(inst, "run_backup", run=run.id)).count(shown) == 1


def test_the_drawer_of_a_backup_opens_by_its_url_and_escapes_what_others_wrote(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=1), note=HOSTILE, actor=HOSTILE, trust="untrusted")
    app = open_page(inst, "inventory", backup=backup.id)
    assert not app.exception
    assert "nothing of it is confirmed" in everything(app)
    text = everything(app)
    assert "**Note:** \\<b\\>x\\<\\/b\\> \\*\\*bold" in text
    cells = [str(cell) for table in app.table for cell in table.value.to_numpy().ravel()]
    assert any(cell.startswith("\\<b\\>x") for cell in cells), "the person's name"
    assert any("Type: On-Demand" in code.value for code in app.code)
    assert not [code for code in app.code if "pg_restore" in code.value], "no commands for what nobody vouches for"


def test_a_restore_test_is_shown_table_by_table_differences_first(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=1))
    run = add_run(inst, "orders", NOW, state="finished", kind="restore_test", backup_id=backup.id)
    add_verification(inst, backup, NOW, outcome="failed", run_id=run.id)
    app = open_page(inst, "verify_and_restore", run=run.id)
    assert not app.exception
    text = everything(app)
    assert "Measured RTO 9.5 s" in text
    assert "9 rows instead of 10" in text
    table = next(frame.value for frame in app.dataframe if "Rows restored" in frame.value)
    assert table["Outcome"][0] == "✕ differs"
    assert (table["Rows in the source"][0], table["Rows restored"][0]) == (10, 9)
    assert set(table["Outcome"][1:]) == {"✓ equal"}


def test_the_button_of_a_restore_test_starts_one_run(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=1))
    app = open_page(inst, "verify_and_restore", backup=backup.id)
    app.button(key="check").click().run()
    [run] = inst.catalog.runs.list()
    assert (run.kind, run.backup_id, run.params["level"]) == ("restore_test", backup.id, "restore")


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_the_password(open_page: OpenPage, tmp_path: Path, page: str) -> None:
    app = open_page(healthy(tmp_path, days=3), page)
    assert PASSWORD not in everything(app) + str(app)


@pytest.mark.usefixtures("fine")
def test_a_typed_name_is_used_or_refused_though_the_clock_moves_on_meanwhile(
    open_page: OpenPage, tmp_path: Path
) -> None:
    seconds = count()
    inst = installation(tmp_path, "orders", recipients=True, clock=lambda: NOW + timedelta(seconds=next(seconds)))
    app = open_page(inst, "run_backup")
    app.text_input(key="name-orders").input("not a name!")
    app.button(key="go-orders").click().run()
    assert inst.catalog.runs.list() == []
    assert "cannot be called" in app.error[0].value
    assert app.text_input(key="name-orders").value == "not a name!"

    app.text_input(key="name-orders").input("before_the_move")
    app.number_input(key="level-orders").set_value(7)
    app.checkbox(key="pin-orders").check()
    app.button(key="go-orders").click().run()
    [run] = inst.catalog.runs.list()
    given = (run.params["name"], run.params["compression_level"], run.params["pin"])
    assert given == ("before_the_move", 7, True)
