"""The page Audit, and downloads and exports of pages, as the audit log has them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from services import commands
from services.audit.model import Entry
from services.audit.record import record
from services.audit.watch import anchor_when_due
from services.backups.request import BackupRequest
from services.catalog.schema import audit_log
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.audit.conftest import behind_the_back, fill
from tests.audit.test_wishes import last, log
from tests.pages.conftest import OpenPage, everything
from tests.pages.test_queries import count_queries
from tests.pages.worlds import HOSTILE, NOW, add_backup, installation


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    return installation(tmp_path, "orders")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Any]]:
    """What the page's download buttons would hand out, by the file's name."""
    found: dict[str, Callable[[], Any]] = {}

    def button(_label: str, data: Any, name: str, *_: Any, **__: Any) -> bool:
        found[name] = data
        return False

    monkeypatch.setattr(st, "download_button", button)
    return found


def shown(app: AppTest) -> list[int]:
    return [] if not app.dataframe else list(app.dataframe[0].value["No."])


def test_an_empty_log_says_what_will_be_in_it(open_page: OpenPage, inst: Installation) -> None:
    app = open_page(inst, "audit")
    assert not app.exception
    assert "Whatever anybody asks for from now on is written here" in everything(app)
    assert "nothing recorded yet" in everything(app)


def test_rows_are_shown_newest_first_with_the_state_of_the_chain(open_page: OpenPage, inst: Installation) -> None:
    add_backup(inst, "orders", NOW)
    fill(inst, 3)
    record(inst, Entry(HOSTILE, "backup.create", "database", HOSTILE, HOSTILE, "refused", {"error": HOSTILE}))
    anchor_when_due(inst, by="one")
    app = open_page(inst, "audit")
    assert not app.exception
    assert shown(app) == [6, 5, 4, 3, 2, 1]
    assert "6 rows in one chain" in everything(app)
    assert "newest anchor: row 5 in **local**" in everything(app)
    row = app.dataframe[0].value.iloc[2]
    assert (row["Outcome"], row["Who"]) == ("⊘ refused", HOSTILE)
    assert "<b>x</b>" not in everything(app), "only in the table, where it is text"


def test_filters_are_in_the_url_and_narrow_the_rows(open_page: OpenPage, inst: Installation) -> None:
    fill(inst, 2)
    record(inst, Entry("bob", "export", "file", "backups.csv"))
    record(inst, Entry("bob", "sign_in", outcome="refused"))
    assert shown(open_page(inst, "audit", by="bob")) == [4, 3]
    assert shown(open_page(inst, "audit", action="backup.create")) == [2, 1]
    assert shown(open_page(inst, "audit", outcome="refused")) == [4]
    assert shown(open_page(inst, "audit", target="BACKUPS.c")) == [3]
    inst.clock = lambda: NOW + timedelta(days=3)
    app = open_page(inst, "audit", within="24 hours")
    assert (shown(app), "Choose fewer filters" in everything(app)) == ([], True)


def test_a_broken_chain_is_the_first_thing_said(open_page: OpenPage, inst: Installation) -> None:
    fill(inst, 3)
    behind_the_back(inst, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(actor="eve")))
    app = open_page(inst, "audit")
    assert "Row 2 was changed" in app.error[0].value
    assert "broken" in everything(app)
    next(button for button in app.button if button.label == "Verify now").click().run()
    assert (last(inst).action, last(inst).outcome) == ("audit.verify", "failed")


def test_who_is_no_admin_sees_what_they_did_themselves_and_exports_no_more(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Callable[[], Any]]
) -> None:
    inst = installation(tmp_path, "orders", recipients=True)
    fill(inst, 2)
    inst.settings = inst.settings.model_copy(
        update={"access": AccessSettings(mode="proxy", admins=("boss",), proxy_addresses=("10.0.0.5",))}
    )
    add(inst, "proxy:eve", "operator")
    commands.submit_backup(inst, BackupRequest("orders"), actor="proxy:eve", queue=False)
    for who, numbers in (("proxy:eve", [3]), ("proxy:boss", [3, 2, 1])):
        as_person(monkeypatch, inst, who)
        app = open_page(inst, "audit")
        assert not app.exception
        rows = [row for row in app.dataframe[0].value.to_dict("records") if row["What"] != "sign_in"]
        assert [row["No."] for row in rows][-len(numbers) :] == numbers
        exported = list(csv.DictReader(io.StringIO(files["audit.csv"]())))
        assert {row["actor"] for row in exported} == (
            {who} if who == "proxy:eve" else {"ada", "proxy:eve", "proxy:boss"}
        )
    assert (last(inst).action, last(inst).actor) == ("audit.export", "proxy:boss")


def as_person(monkeypatch: pytest.MonkeyPatch, inst: Installation, who: str) -> None:
    from dashboard import who as module
    from services.access.standing import standing_of

    monkeypatch.setattr(module, "_standing", lambda: standing_of(inst, who))
    monkeypatch.setattr(module, "stands", lambda: True)


def test_an_export_of_a_page_is_recorded_when_it_is_taken(
    open_page: OpenPage, inst: Installation, files: dict[str, Callable[[], Any]]
) -> None:
    add_backup(inst, "orders", NOW - timedelta(days=1))
    assert not open_page(inst, "inventory").exception
    assert [row for row in log(inst) if row.action == "export"] == [], "drawing a page exports nothing"
    assert "orders" in files["backups.csv"]()
    assert (last(inst).actor, last(inst).action, last(inst).target) == ("dashboard", "export", "backups.csv")
    assert last(inst).origin == "127.0.0.1"


def test_a_backup_is_downloaded_from_its_drawer(open_page: OpenPage, inst: Installation) -> None:
    backup = add_backup(inst, "orders", NOW - timedelta(days=1))
    app = open_page(inst, "inventory", backup=backup.id)
    next(button for button in app.button if button.label == "Make a link").click().run()
    assert not app.exception
    row = last(inst)
    assert (row.action, row.target, row.outcome) == ("backup.download", backup.name, "done")
    [link] = [element for element in app.get("link_button") if "/download/" in element.proto.url]
    assert re.search(r"orders\S*\.dump\S*\.age", link.proto.label)
    assert "Good once within 5 minutes" in everything(app).replace(",", "")


def test_a_page_of_many_rows_costs_as_many_queries_as_one_of_few(open_page: OpenPage, tmp_path: Path) -> None:
    counts, pages = [], []
    for total in (2, 2000):
        (tmp_path / str(total)).mkdir()
        inst = installation(tmp_path / str(total), "orders")
        [row] = fill(inst, 1)
        rows = [vars(row) | {"number": n, "actor": f"person {n % 40}"} for n in range(2, total + 1)]
        behind_the_back(inst, lambda c, rows=rows: c.execute(audit_log.insert(), rows))
        counts.append(count_queries(inst, lambda inst=inst: pages.append(open_page(inst, "audit"))))
    assert counts[0] == counts[1] <= 20
    assert shown(pages[1]) == list(range(2000, 1900, -1))
    assert shown(open_page(inst, "audit", **{"from": "200"}))[0] == 1800
