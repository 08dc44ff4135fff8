"""Notes on a week, in the catalogue. A note is never altered: an edit is a further version, and the old ones stay."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.audit.pending import settle
from services.catalog.schema import review_notes
from services.errors import Busy, UnknownName
from services.ids import new_id
from services.names import shortened


@dataclass(frozen=True)
class NoteVersion:
    """What a note said from a moment on."""

    number: int
    text: str
    """Empty: it was withdrawn."""
    author: str
    at: datetime


@dataclass(frozen=True)
class Note:
    """One note on a week: on one of its databases, or on the whole."""

    id: str
    week: str
    """``2026-W46``."""
    database: str | None
    versions: tuple[NoteVersion, ...]
    """The oldest first; never empty."""

    @property
    def latest(self) -> NoteVersion:
        return self.versions[-1]

    @property
    def text(self) -> str:
        return self.latest.text

    @property
    def is_withdrawn(self) -> bool:
        return not self.text


def notes_of_week(engine: sa.Engine, week: str) -> list[Note]:
    """Return a week's notes in the order in which they were first written, without those that were withdrawn."""
    rows = _fetch(engine, review_notes.c.week == week)
    return [note for note in rows if not note.is_withdrawn]


def get_note(engine: sa.Engine, note_id: str) -> Note:
    """Return a note with all its versions, also a withdrawn one. Raise UnknownName."""
    found = _fetch(engine, review_notes.c.id == note_id)
    if not found:
        raise UnknownName(f"There is no note {shortened(note_id)!r}.", hint="See `backups review`.")
    return found[0]


def add_note(
    engine: sa.Engine, *, week: str, database: str | None, text: str, author: str, now: datetime, key: str | None
) -> Note:
    """Write a new note. The same ``key`` returns the note that was written with it before."""
    note_id = new_id(now)
    if _insert(engine, note_id, 1, week, database, NoteVersion(1, text, author, now), key):
        return get_note(engine, note_id)
    with engine.connect() as connection:
        known = connection.scalar(sa.select(review_notes.c.id).where(review_notes.c.idempotency_key == key))
    assert known is not None, "only the key can be taken"
    return get_note(engine, known)


def change_note(engine: sa.Engine, note: Note, *, text: str, author: str, now: datetime) -> Note:
    """Write the next version of a note. Raise Busy when somebody else has just done so."""
    number = note.latest.number + 1
    if not _insert(engine, note.id, number, note.week, note.database, NoteVersion(number, text, author, now), None):
        raise Busy("This note has just been changed by somebody else.", hint="Look at it, and change it again.")
    return get_note(engine, note.id)


def _insert(
    engine: sa.Engine, note_id: str, number: int, week: str, database: str | None, version: NoteVersion, key: str | None
) -> bool:
    values: dict[str, Any] = {
        "id": note_id, "version": number, "week": week, "database": database, "text": version.text,
        "author": version.author, "at": version.at, "idempotency_key": key,
    }  # fmt: skip
    try:
        with engine.begin() as connection:
            connection.execute(review_notes.insert().values(values))
            settle(connection, note_version=number)
    except IntegrityError:
        return False
    return True


def _fetch(engine: sa.Engine, wanted: sa.ColumnElement[bool]) -> list[Note]:
    query = sa.select(review_notes).where(wanted).order_by(review_notes.c.id, review_notes.c.version)
    versions: defaultdict[str, list[NoteVersion]] = defaultdict(list)
    heads: dict[str, tuple[str, str | None]] = {}
    with engine.connect() as connection:
        for row in connection.execute(query):
            heads.setdefault(row.id, (row.week, row.database))
            versions[row.id].append(NoteVersion(row.version, row.text, row.author, row.at))
    return [Note(note_id, *heads[note_id], tuple(found)) for note_id, found in versions.items()]
