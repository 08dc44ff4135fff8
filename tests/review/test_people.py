"""Notes and action items: versions, carry-over, double clicks, refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from services import commands
from services.errors import Busy, InputError, UnknownName
from services.installation import Installation
from services.review.actions import actions_of_week, open_actions
from services.review.gather import load_review
from services.review.notes import get_note, notes_of_week
from services.review.week import Week
from tests.review.world import HOSTILE, NOW, WEEK, Clock, at, empty


@pytest.fixture
def inst(tmp_path: Path, catalog_url: str, clock: Clock) -> Installation:
    return empty(tmp_path, "la_factoria", url=catalog_url, clock=clock)


def test_an_edited_note_keeps_what_it_said_before(inst: Installation, clock: Clock) -> None:
    note = commands.write_review_note(inst, "2026-W46", "  the lock\r\nagain ", database="la_factoria", actor="mara")
    assert (note.text, note.week, note.database) == ("the lock\nagain", "2026-W46", "la_factoria")
    clock.now += timedelta(minutes=1)
    edited = commands.edit_review_note(inst, note.id, "the migration's lock", seen=1, actor="jonas")
    assert [(v.number, v.text, v.author) for v in edited.versions] == [
        (1, "the lock\nagain", "mara"),
        (2, "the migration's lock", "jonas"),
    ]
    assert edited.versions[1].at == NOW + timedelta(minutes=1)
    assert [found.text for found in notes_of_week(inst.catalog.engine, "2026-W46")] == ["the migration's lock"]
    assert notes_of_week(inst.catalog.engine, "2026-W45") == []


def test_a_withdrawn_note_leaves_the_review_and_is_kept(inst: Installation) -> None:
    note = commands.write_review_note(inst, "2026-W46", "to the wrong week", actor="mara")
    commands.withdraw_review_note(inst, note.id, actor="mara")
    assert notes_of_week(inst.catalog.engine, "2026-W46") == []
    kept = get_note(inst.catalog.engine, note.id)
    assert [version.text for version in kept.versions] == ["to the wrong week", ""]
    with pytest.raises(InputError, match="was withdrawn"):
        commands.edit_review_note(inst, note.id, "back", actor="mara")


def test_two_who_edit_the_same_note_do_not_overwrite_each_other(inst: Installation) -> None:
    note = commands.write_review_note(inst, "2026-W46", "first", actor="mara")
    commands.edit_review_note(inst, note.id, "second", seen=1, actor="jonas")
    with pytest.raises(Busy, match="changed by jonas"):
        commands.edit_review_note(inst, note.id, "third", seen=1, actor="mara")
    same = commands.edit_review_note(inst, note.id, "second", seen=1, actor="mara")
    assert len(same.versions) == 2, "a second click changes nothing"


def test_of_edits_at_the_same_moment_one_is_written(inst: Installation) -> None:
    note = commands.write_review_note(inst, "2026-W46", "first", actor="mara")

    def edit(n: int) -> str:
        try:
            return commands.edit_review_note(inst, note.id, f"text {n}", seen=1, actor=f"p{n}").latest.author
        except Busy:
            return ""

    with ThreadPoolExecutor(6) as pool:
        won = [author for author in pool.map(edit, range(6)) if author]
    versions = get_note(inst.catalog.engine, note.id).versions
    assert [version.number for version in versions] == [1, 2]
    assert won == [versions[1].author]


def test_the_same_key_writes_a_note_and_an_item_once(inst: Installation) -> None:
    def twice(_: int) -> tuple[str, str]:
        note = commands.write_review_note(inst, "2026-W46", "once", actor="mara", idempotency_key="k" * 90)
        item = commands.add_action_item(inst, "2026-W46", "once", actor="mara", idempotency_key="k" * 90)
        return note.id, item.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(twice, range(4)))) == 1
    assert len(notes_of_week(inst.catalog.engine, "2026-W46")) == len(open_actions(inst.catalog.engine)) == 1


def test_open_items_are_carried_over_until_they_are_done(inst: Installation, clock: Clock) -> None:
    engine = inst.catalog.engine
    clock.now = at("11-16 10:00")  # Monday of W47: the review of W46 is held
    item = commands.add_action_item(
        inst, "2026-W46", "order a disk", owner="ines", due=date(2026, 11, 27), actor="mara"
    )
    later = commands.add_action_item(inst, "2026-W47", "look at billing", actor="mara")

    def shown(number: int) -> list[tuple[str, bool, int]]:
        week = Week(2026, number)
        return [(found.text, found.is_done, found.carried(week)) for found in actions_of_week(engine, week)]

    assert shown(45) == [], "agreed only later"
    assert shown(46) == [("order a disk", False, 0)]
    assert shown(47) == [("order a disk", False, 1), ("look at billing", False, 0)]
    clock.now = at("11-25 10:00")  # in W48
    done = commands.complete_action_item(inst, item.id, note="2 TB", actor="ines")
    assert (done.done_by, done.note, done.done_at) == ("ines", "2 TB", at("11-25 10:00"))
    assert shown(48) == [("look at billing", False, 1), ("order a disk", True, 2)], "open ones first"
    assert shown(49) == [("look at billing", False, 2)]
    assert [found.id for found in open_actions(engine)] == [later.id]
    commands.reopen_action_item(inst, item.id, actor="ines")
    assert shown(49) == [("order a disk", False, 3), ("look at billing", False, 2)], "what is due comes first"


def test_items_are_carried_over_the_end_of_a_year_of_53_weeks(inst: Installation, clock: Clock) -> None:
    clock.now = at("12-21 10:00")
    commands.add_action_item(inst, "2026-W52", "rotate the key", actor="mara")
    carried = [actions_of_week(inst.catalog.engine, week)[0].carried(week) for week in
               (Week(2026, 52), Week(2026, 53), Week(2027, 1))]  # fmt: skip
    assert carried == [0, 1, 2]


def test_an_open_item_gets_another_owner_and_day(inst: Installation) -> None:
    item = commands.add_action_item(inst, "2026-W46", "order a disk", actor="mara")
    changed = commands.change_action_item(inst, item.id, owner="  jonas  b ", due=date(2026, 11, 20), actor="ines")
    assert (changed.owner, changed.due) == ("jonas b", date(2026, 11, 20))
    assert changed.is_overdue(at("11-20 23:00")) is False
    assert changed.is_overdue(at("11-21 00:00")) is True
    commands.complete_action_item(inst, item.id, actor="mara")
    for again in (
        lambda: commands.complete_action_item(inst, item.id, actor="jonas"),
        lambda: commands.change_action_item(inst, item.id, owner="ines", due=None, actor="ines"),
    ):
        with pytest.raises(InputError, match="was done by mara already"):
            again()
    with pytest.raises(InputError, match="is open already"):
        commands.reopen_action_item(
            inst, commands.add_action_item(inst, "2026-W46", "x", actor="mara").id, actor="ines"
        )


def test_what_is_overdue_is_asked_for_in_the_review(inst: Installation, clock: Clock) -> None:
    commands.add_action_item(inst, "2026-W46", "order a disk", owner="ines", due=date(2026, 11, 19), actor="mara")
    clock.now = at("11-25 10:00")
    review = load_review(inst, Week(2026, 47))
    assert any("“order a disk” was due on 19 Nov 2026 (ines)" in question.text for question in review.questions)
    assert [d.text for d in load_review(inst, WEEK).due if d.kind == "action"] == ["order a disk (ines)"]


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 2001, "a\0b", "lone \ud800 surrogate"])
def test_a_text_that_cannot_be_kept_is_refused_and_nothing_is_written(inst: Installation, text: str) -> None:
    with pytest.raises(InputError):
        commands.write_review_note(inst, "2026-W46", text, actor="mara")
    with pytest.raises(InputError):
        commands.add_action_item(inst, "2026-W46", text, actor="mara")
    assert notes_of_week(inst.catalog.engine, "2026-W46") == []
    assert open_actions(inst.catalog.engine) == []


def test_what_cannot_be_is_refused_with_what_is_allowed(inst: Installation) -> None:
    with pytest.raises(InputError, match="lies in the future"):
        commands.write_review_note(inst, "2026-W48", "x", actor="mara")
    with pytest.raises(InputError, match="lies in the future"):
        commands.add_action_item(inst, "2026-W48", "x", actor="mara")
    with pytest.raises(UnknownName, match="factori"):
        commands.write_review_note(inst, "2026-W46", "x", database="factori", actor="mara")
    for due in (date(2026, 11, 17), date(2056, 1, 1)):
        with pytest.raises(InputError, match="no day to have it done by"):
            commands.add_action_item(inst, "2026-W46", "x", due=due, actor="mara")
    with pytest.raises(InputError, match="100 long"):
        commands.add_action_item(inst, "2026-W46", "x", owner="o" * 101, actor="mara")
    for wrong in (
        lambda: commands.edit_review_note(inst, "nothing", "x", actor="mara"),
        lambda: commands.withdraw_review_note(inst, "nothing", actor="mara"),
        lambda: commands.complete_action_item(inst, "nothing", actor="mara"),
        lambda: commands.reopen_action_item(inst, "nothing", actor="ines"),
        lambda: commands.change_action_item(inst, "nothing", owner="x", due=None, actor="ines"),
    ):
        with pytest.raises(UnknownName):
            wrong()
    assert notes_of_week(inst.catalog.engine, "2026-W46") == []
    assert open_actions(inst.catalog.engine) == []


def test_hostile_text_is_kept_as_it_was_written(inst: Installation) -> None:
    text = f"{HOSTILE}\n\x1b[31mred\x1b[0m \u202egnp.exe '; DROP TABLE review_notes; --"
    assert commands.write_review_note(inst, "2026-W46", text, actor="mara").text == text
    assert commands.add_action_item(inst, "2026-W46", text, actor="mara").text == text
