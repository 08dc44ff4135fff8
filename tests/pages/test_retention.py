"""The retention page, and what the inventory says of each backup's keeping."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services import commands
from services.catalog.deletions import BY_HAND, Cause, CopyOutcome
from services.catalog.model import Backup
from services.installation import Installation
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import HOSTILE, NOW, add_backup, add_run, installation

DAY = timedelta(days=1)


def world(tmp_path: Path, days: int = 20, *names: str) -> Installation:
    """A database with one backup a day, and others without any."""
    inst = installation(tmp_path, "orders", *names)
    for n in range(days):
        add_backup(inst, "orders", NOW - n * DAY, type="scheduled", verification_passed=True)
    return inst


def delete(inst: Installation, backup: Backup, state: str = "deleted", error: str = "") -> None:
    """Log a deletion as a cleanup does."""
    run = add_run(inst, "orders", NOW, state="finished", kind="cleanup")
    cause = Cause(run.id, HOSTILE, BY_HAND, HOSTILE)
    with inst.catalog.engine.begin() as connection:
        begun = inst.catalog.deletions.begin(backup.id, cause, now=NOW, connection=connection)
        outcomes = [CopyOutcome("local", state, error)]  # type: ignore[arg-type]
        inst.catalog.deletions.finish(begun, outcomes, now=NOW, connection=connection)  # type: ignore[arg-type]


def metrics(app: Any) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def test_the_plan_says_the_policy_in_words_and_lists_what_goes_with_its_reason(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = world(tmp_path, 20)
    add_backup(inst, "orders", NOW - 40 * DAY, excluded=("public.x",))
    app = open_page(inst, "retention")
    assert not app.exception
    text = everything(app)
    assert "The newest good backup of each of the last 7 days\\, 4 weeks\\, 12 months and 5 years that have one" in text
    assert metrics(app)["Kept"][0] == "9 backups"
    assert metrics(app)["Goes next"][0] == "12 backups"
    assert "Tiers filled: 7 of 7 daily · 3 of 4 weekly · 1 of 12 monthly · 1 of 5 yearly" in text
    [table] = app.dataframe
    assert list(table.value["Why"])[:2] == ["partial, and older than its age", "outside every tier"]
    assert list(table.value["Finished (UTC)"]) == sorted(table.value["Finished (UTC)"]), "the oldest first"
    assert [button.label for button in app.button] == ["Clean up now …"]


def test_several_databases_have_a_row_each_and_one_is_looked_at(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(world(tmp_path, 20, "billing", "users"), "retention", database="billing")
    assert list(app.dataframe[0].value["Database"]) == ["orders", "billing", "users"]
    assert list(app.dataframe[0].value["Goes next"]) == [11, 0, 0]
    assert set(app.dataframe[0].value["Policy"]) == {"7 days · 4 weeks · 12 months · 5 years"}
    assert "There is no backup of this database yet" in everything(app)
    assert not app.button


def test_nothing_to_delete_is_said_and_no_button_offers_it(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(world(tmp_path, 5), "retention")
    assert app.success[0].value.startswith("Nothing")
    assert not app.button


def test_the_confirmation_shows_exactly_what_goes_and_wants_the_name(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, 20)
    app = open_page(inst, "retention")
    app.button(key="clean-up").click().run()
    assert not app.exception
    assert "11 backups" in everything(app)
    assert "This cannot be undone" in everything(app)
    assert list(app.dataframe[1].value["id"]) == list(app.dataframe[0].value["id"])
    delete_button = app.button(key="delete-orders")
    assert (delete_button.label, delete_button.disabled) == ("Delete 11 backups", True)
    assert inst.catalog.runs.list() == []


def test_a_running_cleanup_is_watched_and_one_that_failed_in_part_says_what_it_could_not_delete(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = world(tmp_path, 20)
    run = add_run(inst, "orders", NOW, state="running", kind="cleanup", phase="deleting", bytes_done=5, bytes_total=10)
    app = open_page(inst, "retention", run=run.id)
    assert "Retention cleanup of orders" in everything(app)
    assert "deleting · 50 %" in app.get("progress")[0].proto.text
    items = [{"name": HOSTILE, "outcome": "failed", "error": HOSTILE}, {"name": "ok", "outcome": "deleted"}]
    other = installation(tmp_path / "other", "orders")
    result = {"outcome": "partly failed", "reason": "1 backup deleted; 1 could not be deleted.", "failed": 1,
              "items": items}  # fmt: skip
    done = add_run(other, "orders", NOW, state="finished", kind="cleanup", result=result)
    app = open_page(other, "retention", run=done.id)
    assert not app.exception
    assert ":yellow[partly failed]" in everything(app)
    [warning] = app.warning
    assert warning.value.startswith("- **\\<b\\>")
    assert "1 backup deleted\\; 1 could not be deleted\\." in everything(app)


def test_the_simulator_shows_at_once_what_other_numbers_keep_against_todays_policy(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = world(tmp_path, 20)
    same = open_page(inst, "retention", view="Simulator")
    assert metrics(same)["Stays"] == ("9 backups", "as many as today's policy")
    assert metrics(same)["Against today's plan"][0] == "the same"
    app = open_page(inst, "retention", view="Simulator", **{"daily-orders": "14", "weekly-orders": "0"})
    assert not app.exception
    assert metrics(app)["Stays"] == ("14 backups", "5 more than today's policy")
    assert metrics(app)["Goes"] == ("6 backups", "5 fewer than today's policy")
    assert metrics(app)["Against today's plan"][0] == "42.0 MB less freed"
    held = app.table[0].value
    assert list(held["Store"]) == ["Now, cleaned up", "In 30 days", "In 365 days"]
    assert held["Simulated"].iloc[0] == "14 backups · 118 MB"
    assert held["Difference"].iloc[0] == "+5 · +42.0 MB"
    fates = app.dataframe[0].value
    assert list(fates["Fate"][:14]) == ["✓ stays"] * 14
    assert set(fates["Today's policy"][8:13]) == {"would delete it"}
    assert len(app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")) == 3
    app.number_input(key="daily-orders").set_value(3).run()
    assert metrics(app)["Stays"][0] == "3 backups"


def test_the_simulator_looks_ahead(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(world(tmp_path, 20), "retention", view="Simulator", after="365 days")
    assert metrics(app)["Stays"][0] == "0 backups"
    assert "in 365 days" in everything(app)
    assert "one every 24 h of 8.40 MB" in everything(app).replace("\\", "")


def test_the_simulator_says_that_hours_of_history_tell_nothing_of_a_year(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    for minutes in (10, 20, 30):
        add_backup(inst, "orders", NOW - timedelta(minutes=minutes))
    app = open_page(inst, "retention", view="Simulator", after="365 days")
    assert not app.exception
    assert "Too little history to look ahead" in everything(app)
    assert list(app.table[0].value["Store"]) == ["Now, cleaned up"], "no figure for what nobody knows"
    assert metrics(app)["Stays"][0] == "3 backups", "as of now, whatever horizon the address asks for"


def test_a_policy_of_zeros_is_refused_in_the_simulator_with_what_is_allowed(
    open_page: OpenPage, tmp_path: Path
) -> None:
    zeros = {f"{tier}-orders": "0" for tier in ("daily", "weekly", "monthly", "yearly")}
    app = open_page(world(tmp_path, 3), "retention", view="Simulator", **zeros)
    assert not app.exception
    assert "would keep nothing" in app.error[0].value
    assert "7\\,4\\,12\\,5" in app.info[0].value
    low = open_page(world(tmp_path / "low", 3), "retention", view="Simulator", **{"minimum-orders": "0"})
    assert low.number_input(key="minimum-orders").value == 3


def test_the_log_of_deletions_says_who_what_from_where_and_why(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, 3, "billing")
    gone, refused = (add_backup(inst, "orders", NOW - n * DAY) for n in (50, 51))
    delete(inst, gone)
    delete(inst, refused, "whole", f"AccessDenied {HOSTILE}")
    app = open_page(inst, "retention", view="Deletion log")
    assert not app.exception
    table = app.dataframe[0].value
    assert sorted(table["Outcome"]) == ["✓ deleted", "✕ failed"]
    assert set(table["Why"]) == {"by hand"}
    assert set(table["Storage"]) == {"local"}
    only = open_page(inst, "retention", view="Deletion log", outcome="failed").dataframe[0].value
    assert list(only["Backup"]) == [refused.name]
    none = open_page(inst, "retention", view="Deletion log", of="billing")
    assert "Nothing was deleted yet" in everything(none)


def test_the_inventory_shows_badges_keep_until_and_what_could_not_be_deleted(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = world(tmp_path, 10)
    refused = inst.catalog.backups.list()[9]
    delete(inst, refused, "whole", "AccessDenied")
    add_backup(inst, "orders", NOW - 60 * DAY, state="expired", expired_at=NOW - 30 * DAY)
    add_backup(inst, "orders", NOW - 61 * DAY, state="deleting")
    frame = open_page(inst, "inventory").dataframe[0].value
    assert list(frame["Kept by"][0]) == ["daily", "weekly", "monthly", "yearly", "minimum"]
    assert frame["Kept until (UTC)"][0] == "2026-12-14 00:00"
    assert (list(frame["Kept by"][9]), frame["Kept until (UTC)"][9]) == (["goes"], "next cleanup")
    assert frame["State"][9] == "✓ good · deletion failed"
    assert (list(frame["Kept by"][10]), frame["Kept until (UTC)"][10], frame["State"][10]) == ([], "–", "– expired")
    assert (list(frame["Kept by"][11]), frame["State"][11]) == (["goes"], "✕ half deleted")


@pytest.mark.parametrize(
    ("kept", "expected"),
    [("weekly", [0, 7]), ("daily", range(7)), ("goes next", [8, 9]), ("minimum", range(3)),
     ("deletion failed", [9]), ("another reason", [])],
)  # fmt: skip
def test_the_inventory_filters_by_what_keeps_a_backup(
    open_page: OpenPage, tmp_path: Path, kept: str, expected: list[int]
) -> None:
    inst = world(tmp_path, 10)
    backups = inst.catalog.backups.list()
    delete(inst, backups[9], "whole", "AccessDenied")
    app = open_page(inst, "inventory", kept=kept)
    assert not app.exception
    shown = list(app.dataframe[0].value["id"]) if app.dataframe else []
    assert shown == [backups[n].id for n in expected]


def test_the_inventory_pages_its_rows_and_begins_again_with_other_filters(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    for n in range(230):
        add_backup(inst, "orders" if n % 2 else "users", NOW - timedelta(hours=n))
    app = open_page(inst, "inventory")
    assert "230 backups" in everything(app)
    first = list(app.dataframe[0].value["id"])
    assert len(first) == 100
    assert "Rows 1 to 100 of 230" in everything(app)
    assert app.button(key="page-Newer").disabled
    app.button(key="page-Older").click().run()
    app.button(key="page-Older").click().run()
    assert "Rows 201 to 230 of 230" in everything(app)
    assert app.button(key="page-Older").disabled
    assert len(set(app.dataframe[0].value["id"]) | set(first)) == 130
    assert app.query_params["from"] == "200"
    app.selectbox(key="db").set_value("orders").run()
    assert "Rows 1 to 100 of 115" in everything(app)
    assert not open_page(inst, "inventory", **{"from": "9" * 30}).exception
    assert "Rows 1 to 100" in everything(open_page(inst, "inventory", **{"from": "-3"}))


def test_a_backup_is_pinned_and_unpinned_in_its_drawer_with_a_reason(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, 10)
    backup = inst.catalog.backups.list()[9]
    app = open_page(inst, "inventory", backup=backup.id)
    assert "with the next cleanup: outside every tier" in everything(app)
    app.text_input(key=f"pin-reason-{backup.id}").input(HOSTILE)
    app.button(key=f"pin-{backup.id}").click().run()
    assert not app.exception
    assert inst.catalog.backups.get(backup.id).pinned
    text = everything(app)
    assert "Pinned by dashboard" in text
    assert "\\<b\\>x" in text
    assert "not stored beside the backup yet" in text
    assert "for as long as that holds" in text
    app.button(key=f"pin-{backup.id}").click().run()
    assert not inst.catalog.backups.get(backup.id).pinned
    assert "Unpinned by dashboard" in everything(app)


def test_the_drawer_says_why_and_until_when_a_backup_is_kept_and_why_it_could_not_be_deleted(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = world(tmp_path, 10)
    newest, oldest = (inst.catalog.backups.list()[n] for n in (0, 9))
    text = everything(open_page(inst, "inventory", backup=newest.id))
    assert "- **weekly**: the newest good backup of its week" in text
    assert "until **2026-12-14 00:00:00 UTC**, if one good backup a day keeps coming" in text
    delete(inst, oldest, "whole", f"AccessDenied {HOSTILE}")
    app = open_page(inst, "inventory", backup=oldest.id)
    [warning] = [w.value for w in app.warning]
    assert warning.startswith("AccessDenied \\<b\\>x")


def test_a_backup_of_a_database_without_settings_has_no_policy(open_page: OpenPage, tmp_path: Path) -> None:
    inst = world(tmp_path, 1)
    stray = add_backup(inst, "forgotten", NOW - 900 * DAY)
    assert "Nothing deletes it by itself" in everything(open_page(inst, "inventory", backup=stray.id))
    commands.set_pin(inst, stray.id, pinned=True, actor="ada")
