"""The page Health and alerts: what is wrong first, a note that acknowledges, and who was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from dashboard.components.alert_list import HISTORY_COLUMNS, MESSAGE_COLUMNS, history_frame, message_frame
from services.alerts.board import load_board
from services.alerts.evaluate import evaluate
from services.alerts.store import HistoryQuery, open_alerts
from services.installation import Installation
from services.notify.deliver import deliver_due
from services.notify.outbox import recent_messages
from tests.pages.conftest import OpenPage, everything
from tests.pages.test_queries import count_queries
from tests.pages.worlds import HOSTILE, NOW, add_backup, add_run, healthy, installation

TOKEN = "Tok3n-planted-5512"


def look(inst: Installation, at: datetime = NOW) -> None:
    inst.clock = lambda: at
    evaluate(inst, by="test", force=True)


def with_channels(inst: Installation) -> None:
    alerts = inst.settings.alerts.model_copy(update={"urls": (SecretStr(f"json://127.0.0.1:1/{TOKEN}"),)})
    inst.settings = inst.settings.model_copy(update={"alerts": alerts})


def test_open_alerts_come_first_then_checks_history_and_deliveries(open_page: OpenPage, tmp_path: Path) -> None:
    inst = healthy(tmp_path, days=10)
    look(inst)
    app = open_page(inst, "health")
    assert not app.exception
    headings = [block.value.replace("\\", "") for block in app.markdown if block.value.startswith("#")]
    assert headings[:2] == ["# Health and alerts", "## 4 open alerts"]
    assert headings[2].startswith("### No recent backup · :material/database: billing :red-badge[")
    assert [h for h in headings if h.startswith("## ")][1:] == [
        "## Checks",
        "## Workers",
        "## History",
        "## Deliveries",
    ]
    text = everything(app).replace("\\", "")
    assert ":red[:material/cancel: 1 failed] · :yellow[:material/warning: 3 warnings]" in text
    assert "Last good backup 2 d ago · RPO 28 h · breached 23 h ago" in text
    assert "warns at 80 %, fails at 95 %" in text
    assert [block for block in app.info if "BACKUP\\_ALERT\\_EMAIL" in block.value], "nobody is told: that is said"


def test_a_note_acknowledges_an_alert_and_an_empty_one_does_not(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    look(inst)
    [alert] = open_alerts(inst.catalog.engine)
    app = open_page(inst, "health")
    app.button(key=f"FormSubmitter:ack-{alert.id}-Acknowledge").click().run()
    assert "A note is needed" in app.error[0].value.replace("\\", "")
    app.text_input(key=f"note-{alert.id}").input(HOSTILE)
    app.button(key=f"FormSubmitter:ack-{alert.id}-Acknowledge").click().run()
    assert not app.exception
    assert "Acknowledged" in app.success[0].value
    [now] = open_alerts(inst.catalog.engine)
    assert (now.note, now.acknowledged_by) == (HOSTILE, "dashboard")
    assert "**Acknowledged**" in everything(app)
    assert "<b>x</b>" not in everything(app), "what a person wrote is escaped"
    assert not [button for button in app.button if "Acknowledge" in button.label]


def test_what_others_wrote_is_escaped(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(hours=2))
    add_run(inst, "orders", NOW - timedelta(hours=1), state="failed", error=HOSTILE, hint=HOSTILE)
    look(inst)
    app = open_page(inst, "health")
    assert not app.exception
    assert "<b>" not in everything(app)
    assert ":red[danger]" not in everything(app)


def test_a_link_in_a_message_leads_to_its_alert_also_when_it_has_resolved(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    look(inst)
    [alert] = open_alerts(inst.catalog.engine)
    assert not open_page(inst, "health", alert=alert.id).info[0].value.startswith("No backup")
    add_backup(inst, "orders", NOW)
    look(inst, NOW + timedelta(minutes=1))
    look(inst, NOW + timedelta(minutes=7))
    app = open_page(inst, "health", alert=alert.id)
    assert "No backup was ever finished\\. Well again\\:" in app.info[0].value
    assert "no alert" in open_page(inst, "health", alert="nothing").error[0].value.replace("\\", "")


def test_the_history_filters_by_its_url(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    look(inst)
    both = open_page(inst, "health").dataframe[0].value
    assert sorted(both["About"]) == ["database orders", "database users"]
    only = open_page(inst, "health", db="users", state="open").dataframe[0].value
    assert list(only["About"]) == ["database users"]
    none = open_page(inst, "health", db="users", state="resolved")
    assert [block for block in none.info if "No alert fits" in block.value]


def test_deliveries_show_what_waits_and_no_secret(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    with_channels(inst)
    look(inst)
    deliver_due(inst)
    inst.clock = lambda: NOW + timedelta(minutes=10)
    app = open_page(inst, "health")
    frame = app.dataframe[1].value
    assert list(frame["State"]) == ["… waiting"]
    assert "A Connection error occurred" in frame["Why it waits"][0]
    assert "1 waiting, the oldest 10 min ago" in everything(app)
    assert TOKEN not in everything(app) + str(app) + frame.to_csv()


def test_the_overview_says_how_many_alerts_are_open(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    assert "open alert" not in str([link.proto.label for link in open_page(inst).get("page_link")])
    look(inst)
    [link] = [link for link in open_page(inst).get("page_link") if "open alert" in link.proto.label]
    assert link.proto.label == ":red[2 open alerts]"
    assert "health" in link.proto.page


def test_an_installation_without_databases_and_alerts_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(installation(tmp_path), "health")
    assert not app.exception
    assert "## No open alert" in everything(app)
    assert [block for block in app.info if "backups alert check" in block.value]


def test_many_subjects_that_are_well_fold_into_one(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, *(f"db{n}" for n in range(8)), paused=tuple(f"db{n}" for n in range(8)))
    app = open_page(inst, "health")
    assert [box for box in app.expander if "others are well" in box.label]


def test_the_queries_of_the_page_do_not_grow(tmp_path: Path) -> None:
    inst = healthy(tmp_path, days=3)
    few = count_queries(inst, partial(load_board, inst, HistoryQuery()))
    with_channels(inst)
    for hours in range(0, 100, 25):
        look(inst, NOW + timedelta(hours=hours))
    assert len(recent_messages(inst.catalog.engine)) > 5
    assert count_queries(inst, partial(load_board, inst, HistoryQuery())) == few <= 36


def test_frames_keep_their_columns_and_types_when_they_are_empty(tmp_path: Path) -> None:
    assert tuple(history_frame([], NOW).columns) == HISTORY_COLUMNS
    assert tuple(message_frame([]).columns) == MESSAGE_COLUMNS
    inst = installation(tmp_path, "orders")
    look(inst)
    [alert] = open_alerts(inst.catalog.engine)
    frame = history_frame([replace(alert, resolved_at=NOW + timedelta(hours=3))], NOW + timedelta(days=9))
    assert list(frame["Lasted"]) == ["3 h"]
    assert str(frame["Opened (UTC)"].dtype).startswith("datetime64")
    assert history_frame([alert], NOW)["Resolved (UTC)"].isna().all()


@pytest.mark.parametrize("severity", ["warning", "failure"])
def test_an_undelivered_message_is_a_finding_of_the_list(tmp_path: Path, severity: str) -> None:
    inst = installation(tmp_path, "orders")
    with_channels(inst)
    look(inst)
    deliver_due(inst)
    minutes = 10 if severity == "warning" else 61
    inst.clock = lambda: NOW + timedelta(minutes=minutes)
    board = load_board(inst, HistoryQuery())
    [found] = [check for check in board.report.checks if check.name == "notifications"]
    assert found.severity == severity
