"""The weekly review's page, run through the real entry point."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from services import commands
from services.installation import Installation
from services.review.actions import open_actions
from services.review.gather import load_review
from services.review.notes import notes_of_week
from services.review.sections import make_document
from services.review.week import Week
from tests.pages.conftest import OpenPage, everything
from tests.review.world import HOSTILE, WEEK, Clock, at, empty, small_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-world")
    small_world(folder).close()
    return folder / "catalog.db"


@pytest.fixture
def world(tmp_path: Path, clock: Clock, small_catalog: Path) -> Iterator[Installation]:
    shutil.copy(small_catalog, tmp_path)
    inst = empty(tmp_path, "la_factoria", "billing", clock=clock)
    yield inst
    inst.close()


def plain(text: str) -> str:
    return text.replace("\\", "").replace("\u00a0", " ").replace("\u2060", "")


def shown(app: AppTest) -> str:
    """Return all text of the page, that of its tables too."""
    cells = [str(cell) for table in app.table for cell in (*table.value.columns, *table.value.to_numpy().ravel())]
    return plain("\n".join([everything(app), *cells]))


def widget(app: AppTest, kind: str, begins: str):
    return next(each for each in app.get(kind) if str(each.key).startswith(begins))


def test_the_first_screen_has_the_verdict_the_strip_and_the_few_figures(
    open_page: OpenPage, world: Installation
) -> None:
    app = open_page(world, "weekly_review")
    assert not app.exception
    headings = [plain(block.value) for block in app.markdown if block.value.startswith("# ")]
    assert headings == [
        "# :red[:material/cancel:] 11 of 14 slots satisfied; 1 of 2 databases proven to restore, not proven: billing."
    ]
    assert "2 misses: billing on Wed 11 Nov and Thu 12 Nov; 1 late" in shown(app)
    assert [(metric.label, metric.value, metric.delta) for metric in app.metric] == [
        ("Slots satisfied", "11 of 14", "21.4 points lower · worse"),
        ("Backup duration, one of each", "2 min 00 s", "33 % longer · worse"),
        ("Database size", "160 MB", "7 % larger"),
        ("Storage used", "308 MB", "20 % more"),
        ("Restore tests passed", "1", "1 more"),
        ("Alerts opened", "2", "1 more · worse"),
    ]
    assert "last week 1 min 30 s · mean 1 min 30 s" in shown(app)
    [chart] = app.get("vega_lite_chart")
    assert "billing: 5 satisfied, 2 missed (Wed 11, Thu 12)" in chart.proto.alt
    assert all(table.proto.alt for table in app.table)


def test_the_page_shows_everything_that_the_exports_hold(open_page: OpenPage, world: Installation) -> None:
    commands.write_review_note(world, WEEK.label, "the lock", database="billing", actor="mara")
    commands.add_action_item(world, "2026-W45", "order a disk", actor="mara")
    app = open_page(world, "weekly_review", week="2026-W46")
    text = shown(app) + plain("\n".join(box.label for box in app.checkbox))
    document = make_document(load_review(world, WEEK))
    for section in document.sections:
        if section.key not in ("slots", "actions"):
            for block in section.blocks:
                for each in (row for row in getattr(block, "rows", ())):
                    assert all(plain(cell.text) in text for cell in each), (section.key, each)
    for title in (s.title for s in document.sections if s.key != "slots"):
        assert title in text
    assert "order a disk" in text
    assert "from 2026-W45, carried over 1 week" in text
    assert "the lock" in text


def test_the_week_is_chosen_by_the_url_and_the_neighbours_are_linked(open_page: OpenPage, world: Installation) -> None:
    app = open_page(world, "weekly_review", week="2026-W44")
    assert "13 of 14 slots satisfied; 1 miss: la_factoria on Tue 27 Oct" in shown(app)
    links = [(link.proto.label, link.proto.query_string) for link in app.get("page_link")]
    assert links == [("2026-W43", "week=2026-W43"), ("2026-W45", "week=2026-W45")]
    running = open_page(world, "weekly_review", week="2026-W47")
    assert "The week runs: up to 2026-11-18 12:00 UTC" in shown(running)
    assert [link.proto.label for link in running.get("page_link")] == ["2026-W46"], "nothing leads into the future"


@pytest.mark.parametrize(("week", "said"), [("2026-W48", "lies in the future"), ("nonsense", "is no week"),
                                            ("<b>", "is no week")])  # fmt: skip
def test_a_week_that_cannot_be_is_refused_with_what_is_allowed(
    open_page: OpenPage, world: Installation, week: str, said: str
) -> None:
    app = open_page(world, "weekly_review", week=week)
    assert not app.exception
    assert said in plain(app.error[0].value)
    assert "2026-W4" in plain(app.info[0].value)
    assert [link.proto.label for link in app.get("page_link")] == ["To the newest review"]
    assert not app.metric


def test_a_note_is_written_edited_and_withdrawn(open_page: OpenPage, world: Installation) -> None:
    engine = world.catalog.engine
    app = open_page(world, "weekly_review")
    widget(app, "text_area", "note-").input(f"{HOSTILE}\nsecond line")
    widget(app, "selectbox", "about-").select("billing")
    widget(app, "button", "add-note-").click().run()
    assert not app.exception
    [note] = notes_of_week(engine, WEEK.label)
    assert (note.text, note.database, note.latest.author) == (f"{HOSTILE}\nsecond line", "billing", "dashboard")
    assert "Written down." in [message.value for message in app.success]
    assert widget(app, "text_area", "note-").value == "", "the form is empty again"
    assert "\\<img src\\=x onerror\\=alert\\(1\\)\\>" in everything(app)

    widget(app, "text_area", "edit-").input("the lock")
    widget(app, "button", "save-").click().run()
    [edited] = notes_of_week(engine, WEEK.label)
    assert [version.text for version in edited.versions] == [note.text, "the lock"]
    widget(app, "button", "withdraw-").click().run()
    assert notes_of_week(engine, WEEK.label) == []
    assert "No note yet." in shown(app)


def test_an_action_item_is_added_ticked_off_and_reopened(open_page: OpenPage, world: Installation) -> None:
    engine = world.catalog.engine
    app = open_page(world, "weekly_review")
    widget(app, "text_input", "action-").input("order **a disk**")
    widget(app, "text_input", "owner-").input("ines")
    widget(app, "button", "add-action-").click().run()
    [item] = open_actions(engine)
    assert (item.text, item.owner, item.week, item.created_by) == ("order **a disk**", "ines", "2026-W46", "dashboard")
    [box] = app.checkbox
    assert box.label == "order \\*\\*a disk\\*\\*"
    box.check().run()
    assert open_actions(engine) == []
    [box] = app.checkbox
    assert box.value
    assert "done by dashboard" in shown(app)
    box.uncheck().run()
    assert [found.id for found in open_actions(engine)] == [item.id]


def test_a_question_becomes_an_action_item(open_page: OpenPage, world: Installation) -> None:
    app = open_page(world, "weekly_review")
    assert "The slot of billing on Wed 11 Nov was missed." in shown(app)
    app.button(key="take-0").click().run()
    assert widget(app, "text_input", "action-").value == (
        "billing: see to it that what happened on Wed 11 Nov does not happen again"
    )
    assert open_actions(world.catalog.engine) == [], "nothing is written before somebody says so"
    assert any("Not added yet" in each.value for each in app.info)
    said = everything(app)
    assert said.index("Open questions") < said.index("Action items") < said.index("The week in detail")
    widget(app, "button", "add-action-").click().run()
    assert len(open_actions(world.catalog.engine)) == 1
    assert not any("Not added yet" in each.value for each in app.info)


def test_an_item_of_an_earlier_review_is_carried_over_until_it_is_done(
    open_page: OpenPage, world: Installation, clock: Clock
) -> None:
    item = commands.add_action_item(world, "2026-W44", "order a disk", owner="ines", actor="mara")
    assert "from 2026-W44, carried over 2 weeks" in shown(open_page(world, "weekly_review"))
    commands.complete_action_item(world, item.id, note="2 TB", actor="ines")
    clock.now += timedelta(days=7)
    text = shown(open_page(world, "weekly_review", week="2026-W47"))
    assert "done by ines, 2026-11-18 12:00 UTC: 2 TB" in text
    assert not open_page(world, "weekly_review", week="2026-W48").checkbox


def test_an_empty_note_is_refused_and_said(open_page: OpenPage, world: Installation) -> None:
    app = open_page(world, "weekly_review")
    widget(app, "button", "add-note-").click().run()
    assert [plain(message.value) for message in app.error] == ["The note is empty. Write what is to be remembered."]
    assert notes_of_week(world.catalog.engine, WEEK.label) == []


def test_two_tabs_may_write_a_note_each_at_the_same_state(open_page: OpenPage, world: Installation) -> None:
    tabs = [open_page(world, "weekly_review") for _ in range(2)]
    for n, tab in enumerate(tabs):
        widget(tab, "text_area", "note-").input(f"note {n}")
        widget(tab, "button", "add-note-").click().run()
    assert sorted(note.text for note in notes_of_week(world.catalog.engine, WEEK.label)) == ["note 0", "note 1"]


def test_an_installation_without_anything_teaches_the_next_step(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(empty(tmp_path), "weekly_review")
    assert not app.exception
    assert "Name a database in the settings: then each week has its review." in everything(app)
    assert not app.metric
    one = open_page(empty(tmp_path / "one", "la_factoria", clock=Clock(at("11-18 12:00"))), "weekly_review")
    assert not one.exception
    assert "Take the first one under “Run backup”" in everything(one)
    assert "NEVER BACKED UP" in shown(one)
    assert "Nothing is on record yet." in shown(one)
    assert Week(2026, 47).label in shown(one)
