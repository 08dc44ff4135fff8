"""Notes, open questions and action items: what people write in a review. Each function returns what was asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboard.components.review_view import quote
from dashboard.format import escape
from dashboard.who import actor, may, offered
from services import commands
from services.installation import Installation
from services.review.actions import ActionItem
from services.review.document import Quote
from services.review.model import Question, Review
from services.review.notes import Note
from services.review.people import action_words, note_words

_TAKEN = "taken-question"
"""In the session: what the last question that was taken on proposes."""


@dataclass(frozen=True)
class Wish:
    """A command that a person asked for with a click."""

    carry_out: Callable[[Installation], object]
    done: str
    """What is said once it is carried out."""


def form_key(form: str) -> str:
    """Return a key for a form and its widgets, the same until what was written in it has been stored.

    A second click of a double click comes with the same key, and so writes nothing twice.
    """
    return str(st.session_state.setdefault(f"form:{form}", uuid.uuid4().hex))


def new_form(form: str) -> None:
    """Empty a form: its widgets get new keys."""
    st.session_state[f"form:{form}"] = uuid.uuid4().hex


def questions(found: Sequence[Question]) -> None:
    """Draw the open questions, each with a way to make it an action item: that fills in the form below, and says so."""
    st.markdown("## Open questions", anchors=False)
    if not found:
        st.markdown("The week leaves no question open.")
    for n, question in enumerate(found):
        text, button = st.columns([8, 1], vertical_alignment="center")
        text.markdown(f":blue[:material/help:] {escape(question.text)}")
        with button:
            if (
                question.action
                and may("review.write")
                and st.button("Take it on", key=f"take-{n}", icon=":material/add_task:", type="tertiary")
            ):
                st.session_state[f"action-{form_key('action')}"] = question.action
                st.session_state[_TAKEN] = question.action


def actions(review: Review) -> Wish | None:
    """Draw the action items, open ones first, and the form for a new one."""
    st.markdown("## Action items", anchors=False)
    wishes = [_action(item, review) for item in review.actions]
    if not review.actions:
        st.markdown("No action item is open. What was agreed is carried over to each next review until it is done.")
    if offered("review.write"):
        wishes.append(_new_action(review))
    return next((wish for wish in wishes if wish is not None), None)


def notes(review: Review) -> Wish | None:
    """Draw the notes with a way to change them, and the form for a new one."""
    st.markdown("## Notes", anchors=False)
    wishes = [_note(note) for note in review.notes]
    if not review.notes:
        st.markdown("No note yet. What was found out about this week is kept here, for whoever looks back.")
    if may("review.write"):
        wishes.append(_new_note(review))
    return next((wish for wish in wishes if wish is not None), None)


def _action(item: ActionItem, review: Review) -> Wish | None:
    with st.container(horizontal=True, vertical_alignment="center"):
        text = f"~~{escape(item.text)}~~" if item.is_done else escape(item.text)
        locked = not may("review.write")
        ticked = st.checkbox(
            text, value=item.is_done, key=f"done-{item.id}-{item.done_at}", width="stretch", disabled=locked
        )
        st.markdown(_who(item, review.now))
        change = None if item.is_done or locked else _change_action(item)
    words = action_words(item, review.week)
    if words:
        st.caption(escape(words))
    if ticked == item.is_done:
        return change
    if ticked:
        return Wish(lambda inst: commands.complete_action_item(inst, item.id, actor=actor()), "Ticked off.")
    return Wish(lambda inst: commands.reopen_action_item(inst, item.id, actor=actor()), "Open again.")


def _who(item: ActionItem, now: datetime) -> str:
    owner = escape(item.owner) if item.owner else ":yellow[:material/person_off: nobody yet]"
    if item.due is None:
        return owner
    due = f"{item.due:%a} {item.due.day} {item.due:%b}"
    overdue = item.is_overdue(now)
    return f"{owner} · :red[:material/event_busy: overdue since {due}]" if overdue else f"{owner} · due {due}"


def _change_action(item: ActionItem) -> Wish | None:
    with st.popover("Change", type="tertiary"), st.form(f"change-{item.id}", border=False):
        owner = st.text_input("Owner", item.owner, max_chars=commands.MAX_OWNER)
        due = st.date_input("Due", item.due, format="YYYY-MM-DD")
        if not st.form_submit_button("Save"):
            return None
    me = actor()
    return Wish(lambda inst: commands.change_action_item(inst, item.id, owner=owner, due=due, actor=me), "Changed.")


def _new_action(review: Review) -> Wish | None:
    key = form_key("action")
    if (taken := st.session_state.get(_TAKEN)) and taken == st.session_state.get(f"action-{key}"):
        st.info("Not added yet: say who does it and until when, then **Add**.", icon=":material/add_task:",
                title="The question is filled in below")  # fmt: skip
    with st.form(f"action-form-{key}", border=True):
        columns = st.columns([6, 2, 2, 1], vertical_alignment="bottom")
        text = columns[0].text_input("New action item", key=f"action-{key}", max_chars=commands.MAX_NOTE)
        owner = columns[1].text_input("Owner", key=f"owner-{key}", max_chars=commands.MAX_OWNER)
        due = columns[2].date_input("Due", None, min_value=review.now.date(), key=f"due-{key}", format="YYYY-MM-DD")
        if not columns[3].form_submit_button("Add", key=f"add-action-{key}", icon=":material/add_task:"):
            return None

    def add(inst: Installation) -> None:
        commands.add_action_item(
            inst, review.week.label, text, owner=owner, due=due, actor=actor(), idempotency_key=f"action:{key}"
        )
        new_form("action")

    return Wish(add, "Added. It is carried over until it is done.")


def _note(note: Note) -> Wish | None:
    with st.container(border=True):
        quote(Quote(note.text, note_words(note)))
        if not may("review.write"):
            return None
        with st.popover("Edit", type="tertiary", icon=":material/edit:"):
            for version in note.versions[:-1]:
                st.caption(f"Version {version.number}, {escape(version.author)}: {escape(version.text)}")
            with st.form(f"note-{note.id}-{note.latest.number}", border=False):
                text = st.text_area(
                    "Note", note.text, max_chars=commands.MAX_NOTE, key=f"edit-{note.id}-{note.latest.number}"
                )
                save = st.form_submit_button("Save", type="primary", key=f"save-{note.id}-{note.latest.number}")
                withdraw = st.form_submit_button("Withdraw it", key=f"withdraw-{note.id}-{note.latest.number}")
    seen = note.latest.number
    if withdraw:
        return Wish(lambda inst: commands.withdraw_review_note(inst, note.id, seen=seen, actor=actor()), "Withdrawn.")
    if save:
        return Wish(lambda inst: commands.edit_review_note(inst, note.id, text, seen=seen, actor=actor()), "Changed.")
    return None


def _new_note(review: Review) -> Wish | None:
    key = form_key("note")
    with st.form(f"note-form-{key}", border=True):
        text = st.text_area("New note", key=f"note-{key}", max_chars=commands.MAX_NOTE, height=90)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            names = [week.database for week in review.databases if week.status is not None]
            database = st.selectbox(
                "About", names, index=None, key=f"about-{key}", placeholder="the whole week", width=240
            )
            pressed = st.form_submit_button("Write it down", key=f"add-note-{key}", icon=":material/edit_note:")
    if not pressed:
        return None

    def write(inst: Installation) -> None:
        commands.write_review_note(
            inst, review.week.label, text, database=database, actor=actor(), idempotency_key=f"note:{key}"
        )
        new_form("note")

    return Wish(write, "Written down.")
