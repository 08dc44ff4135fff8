"""The emergency section of *Run backup*, and the banner over every page while a database is held in read-only mode."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.read_only import switch_on, visit
from services.emergency.release import release
from services.installation import Installation
from services.postgres.connection import Address
from services.postgres.server import LocalServer
from tests.emergency.conftest import SOURCE, can_write, in_two_storages
from tests.pages.conftest import OpenPage, everything
from tests.support.servers import NewDatabase

HOSTILE = "disk <b>errors</b> [x](http://evil)"


@pytest.fixture
def source(server15: LocalServer, database: NewDatabase) -> Address:
    return database(server15, SOURCE)


@pytest.fixture
def installation(tmp_path: Path, source: Address) -> Iterator[Installation]:
    made = in_two_storages(tmp_path / "home", source.url().get_secret_value())
    yield made
    made.close()


def hold(inst: Installation, **changes: object) -> ReadOnlyMode:
    now = inst.clock()
    values = {
        "id": "m", "database": "la_factoria", "run_id": "gone", "attempt": 1, "process": "host:1:1", "actor": "ada",
        "reason": HOSTILE, "began_at": now - timedelta(minutes=3), "release_by": now + timedelta(minutes=27),
        "previous": None, "already_read_only": False, "sql_step": True,
    }  # fmt: skip
    mode = ReadOnlyMode(**(values | changes))  # type: ignore[arg-type]
    with inst.catalog.engine.begin() as connection:
        inst.catalog.read_only_modes.add(mode, connection)
    return mode


@pytest.mark.parametrize("page", ["overview", "run_backup", "storage"])
def test_the_banner_stands_over_every_page_and_its_button_releases(
    open_page: OpenPage,
    installation: Installation,
    source: Address,
    page: str,
) -> None:
    mode = hold(installation)
    with visit(installation.settings.databases[0]) as session:
        switch_on(session, None)
    app = open_page(installation, page)
    (banner,) = [each for each in app.warning if "Since" in each.value]
    assert " ago, by ada" in banner.value
    assert f"at {mode.release_by:%H:%M} UTC at the latest" in banner.value
    assert "<b>" not in banner.value.replace("\\<b\\>", "")
    button(app, "Release now").click().run()
    assert not app.exception
    assert can_write(source)
    assert installation.catalog.read_only_modes.get("m").released_by == PAGE_WITHOUT_SIGN_IN
    assert not [each for each in app.warning if "Since" in each.value]
    assert "new sessions can write" in "".join(each.value for each in app.success)


def test_a_release_that_fails_says_so_and_the_banner_stays(
    open_page: OpenPage,
    installation: Installation,
) -> None:
    mode = hold(installation, command_step=True)
    assert not release(installation, mode, by="a worker"), "there is no command to run"
    app = open_page(installation, "storage")
    assert "could not be released yet" in everything(app)
    button(app, "Release now").click().run()
    assert any("could not be released" in each.value for each in app.error)


def test_nothing_is_started_without_a_reason_and_the_name(
    open_page: OpenPage,
    installation: Installation,
) -> None:
    app = open_page(installation, "run_backup", kind="Emergency")
    shown = everything(app)
    assert "Read\\-only mode off\\, whatever happened" in shown
    assert "primary\\, second\\, all at once" in shown
    button(app, "Start emergency backup").click().run()
    assert "say what happened and type" in "".join(each.value for each in app.error)
    app.toggle[0].set_value(False).run()
    assert "Read\\-only mode off" not in everything(app)
    app.text_input[0].set_value("why")
    app.text_input[1].set_value("la_factoria")
    button(app, "Start emergency backup").click().run()
    assert not app.exception
    (run,) = installation.catalog.runs.list()
    assert (run.state, run.params["type"], run.params["emergency"]["read_only"]) == ("queued", "emergency", False)
    assert "Emergency backup of la\\_factoria" in everything(app)


def test_of_a_database_that_was_read_only_before_no_step_promises_writes(
    open_page: OpenPage,
    installation: Installation,
) -> None:
    with visit(installation.settings.databases[0]) as session:
        switch_on(session, None)
    shown = everything(open_page(installation, "run_backup", kind="Emergency"))
    assert "stays read\\-only\\, as it was before" in shown
    assert "Read\\-only mode off" not in shown


def button(app: AppTest, label: str) -> Any:
    (found,) = [each for each in app.button if each.label == label]
    return found
