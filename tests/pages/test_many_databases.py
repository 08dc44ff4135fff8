"""The overview of more databases than fit on a screen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.installation import Installation
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import NOW, add_backup, add_verification, installation

NAMES = tuple(f"db_{n}" for n in range(8))


def protected(home: Path) -> Installation:
    """Eight databases that need nobody, but for the last one, which was never backed up."""
    inst = installation(home, *NAMES)
    for name in NAMES[:-1]:
        backup = add_backup(inst, name, NOW - timedelta(hours=2))
        add_verification(inst, backup, NOW - timedelta(hours=1))
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW)
    return inst


def test_databases_that_need_nobody_are_a_line_each_and_cost_no_card(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(protected(tmp_path))
    assert not app.exception
    labels = [line.label.replace("\\", "") for line in app.expander]
    assert [label.split("**")[1] for label in labels] == list(NAMES[:-1])
    assert labels[0] == ":green[:material/verified_user:] **db_0** · Last good backup 2 h ago · RPO 28 h"
    assert len(app.get("vega_lite_chart")) == 0
    assert "NEVER BACKED UP" in everything(app)


def test_a_line_that_is_opened_shows_the_whole_card(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(protected(tmp_path))
    app.session_state["card-db_3"] = True
    app.run()
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 1
    assert "to 22 Nov 09:59 UTC" in everything(app)
