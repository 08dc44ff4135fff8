"""What people do in a review: notes on its week, and action items that are carried over until they are done."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from services.catalog.runs import stored_key
from services.commands.gate import permitted
from services.commands.submit import check_note
from services.errors import Busy, InputError
from services.installation import Installation
from services.review import actions, notes
from services.review.actions import ActionItem
from services.review.notes import Note
from services.review.week import parse_week

MAX_OWNER = 100
FARTHEST = timedelta(days=3 * 366)
"""An action item that is due later than this was mistyped."""


@permitted("review.write")
def write_review_note(
    installation: Installation,
    week: str,
    text: str,
    *,
    database: str | None = None,
    actor: str,
    idempotency_key: str | None = None,
) -> Note:
    """Add a note to a week, on one database or on the whole. Raise InputError, UnknownName."""
    now = installation.clock()
    label = parse_week(week, now).label
    text = _checked(text, "note")
    if database is not None:
        installation.settings.database(database)
    return notes.add_note(
        installation.catalog.engine, week=label, database=database, text=text, author=actor, now=now,
        key=stored_key(idempotency_key),
    )  # fmt: skip


@permitted("review.write")
def edit_review_note(
    installation: Installation, note_id: str, text: str, *, seen: int | None = None, actor: str
) -> Note:
    """Replace what a note says; what it said before is kept. ``seen``: the version that the editor looked at.

    Raise InputError, UnknownName, and Busy when somebody has changed it since.
    """
    return _change(installation, note_id, _checked(text, "note"), seen, actor)


@permitted("review.write")
def withdraw_review_note(installation: Installation, note_id: str, *, seen: int | None = None, actor: str) -> Note:
    """Take a note out of its review; what it said is kept. Raise UnknownName, InputError, Busy."""
    return _change(installation, note_id, "", seen, actor)


@permitted("review.write")
def add_action_item(
    installation: Installation,
    week: str,
    text: str,
    *,
    owner: str = "",
    due: date | None = None,
    actor: str,
    idempotency_key: str | None = None,
) -> ActionItem:
    """Add an action item to the review of a week. Raise InputError."""
    now = installation.clock()
    label = parse_week(week, now).label
    text = _checked(text, "action item")
    return actions.add_action(
        installation.catalog.engine, week=label, text=text, owner=_checked_owner(owner), due=_checked_due(due, now),
        created_by=actor, now=now, key=stored_key(idempotency_key),
    )  # fmt: skip


@permitted("review.write")
def change_action_item(
    installation: Installation,
    action_id: str,
    *,
    owner: str,
    due: date | None,
    actor: str,  # noqa: ARG001 - the gate reads it
) -> ActionItem:
    """Give an open action item another owner or day. Raise InputError when it is done, UnknownName."""
    engine, now = installation.catalog.engine, installation.clock()
    known = actions.get_action(engine, action_id)
    if due != known.due:
        _checked_due(due, now)
    return actions.change_action(engine, action_id, was_done=False, owner=_checked_owner(owner), due=due)


@permitted("review.write")
def complete_action_item(installation: Installation, action_id: str, *, note: str = "", actor: str) -> ActionItem:
    """Tick an action item off. Raise InputError when it is done already, UnknownName."""
    note = _checked(note, "note") if note.strip() else ""
    engine = installation.catalog.engine
    actions.get_action(engine, action_id)
    return actions.change_action(
        engine, action_id, was_done=False, done_at=installation.clock(), done_by=actor, note=note
    )


@permitted("review.write")
def reopen_action_item(
    installation: Installation,
    action_id: str,
    *,
    actor: str,  # noqa: ARG001 - the gate reads it
) -> ActionItem:
    """Take back that an action item was done. Raise InputError when it is open, UnknownName."""
    engine = installation.catalog.engine
    actions.get_action(engine, action_id)
    return actions.change_action(engine, action_id, was_done=True, done_at=None, done_by=None, note="")


def _change(installation: Installation, note_id: str, text: str, seen: int | None, actor: str) -> Note:
    engine = installation.catalog.engine
    note = notes.get_note(engine, note_id)
    if text == note.text:
        return note  # a second click
    if note.is_withdrawn:
        raise InputError("This note was withdrawn.", hint="Write a new one.")
    if seen is not None and seen != note.latest.number:
        raise Busy(
            f"This note has been changed by {note.latest.author} since.", hint="Look at it, and change it again."
        )
    return notes.change_note(engine, note, text=text, author=actor, now=installation.clock())


def _checked(text: str, what: str) -> str:
    """Return the text as it is stored. Raise InputError for one that is empty, too long, or cannot be stored."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise InputError(f"The {what} is empty.", hint="Write what is to be remembered.")
    check_note(text)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"The {what} holds what is no text.", hint="Write it in UTF-8, without NUL characters.")
    return text


def _checked_owner(owner: str) -> str:
    owner = " ".join(owner.split())
    if len(owner) > MAX_OWNER:
        raise InputError(f"The owner has {len(owner)} characters.", hint=f"Write a name, at most {MAX_OWNER} long.")
    return _checked(owner, "owner") if owner else ""


def _checked_due(due: date | None, now: datetime) -> date | None:
    today = now.astimezone(UTC).date()
    if due is not None and not today <= due <= today + FARTHEST:
        raise InputError(
            f"{due} is no day to have it done by.", hint=f"Write a day from {today} on, within three years."
        )
    return due
