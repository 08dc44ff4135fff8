"""Rows as they are stored, whatever somebody has made of them: nothing in one can stop the others from being read.

A catalogue that was tampered with may hold an instant that is none, bytes where text belongs, a number that is no
number. So the columns are read as text, and what cannot be a row that was written is an ``UnreadableRow``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from services.audit.model import AuditRow, instant_text
from services.catalog.schema import audit_log

NOBODY_KNOWS = datetime.fromtimestamp(0, UTC)
"""The instant of a row whose own cannot be read."""
_TEXTS = ("actor", "origin", "action", "target_kind", "target", "reason", "outcome", "detail", "previous", "hash",
          "seal")  # fmt: skip


@dataclass(frozen=True)
class UnreadableRow(AuditRow):
    """A row that cannot have been written by us; what can be read of it, and of all of it a digest."""

    digest: str = ""


class _Number(sa.sql.functions.FunctionElement[Any]):
    """A column's number; NULL where SQLite holds something else in it."""

    type = sa.BigInteger()
    inherit_cache = True


class _Text(sa.sql.functions.FunctionElement[Any]):
    """A column's text; of SQLite, where text may be no UTF-8 and stop the reading, its bytes, or NULL."""

    type = sa.types.NullType()
    inherit_cache = True


class _Moment(_Text):
    """An instant as the hash takes it (``services.audit.model.instant_text``); NULL for infinity."""

    inherit_cache = True


@compiles(_Number)
@compiles(_Text)
def _as_it_is(element: sa.sql.functions.FunctionElement[Any], compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.clauses, **kw))


@compiles(_Moment)
def _as_written(element: _Moment, compiler: Any, **kw: Any) -> str:
    # With its era: 2026 before Christ is another year.
    column = compiler.process(element.clauses, **kw)
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z" BC')"""


@compiles(_Number, "sqlite")
def _number_of(element: _Number, compiler: Any, **kw: Any) -> str:
    column = compiler.process(element.clauses, **kw)
    return f"CASE WHEN typeof({column}) = 'integer' THEN {column} END"


@compiles(_Text, "sqlite")
@compiles(_Moment, "sqlite")
def _bytes_of(element: _Text, compiler: Any, **kw: Any) -> str:
    column = compiler.process(element.clauses, **kw)
    return f"CASE WHEN typeof({column}) = 'text' THEN CAST({column} AS BLOB) END"


def stored_rows() -> sa.Select[Any]:
    """Return the query of whole rows, for ``to_row``."""
    c = audit_log.c
    texts = (_Text(c[name]).label(name) for name in _TEXTS)
    return sa.select(_Number(c.number).label("number"), _Moment(c.at).label("at"), *texts)


def moment(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return an instant's column, or what was made of one, for ``read_moment``."""
    return _Moment(column)


def text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a text's column, for ``read_text``."""
    return _Text(column)


def read_moment(value: Any) -> datetime | None:
    """Return the instant that ``moment`` has read; None for what is none, or is not written as we write it."""
    if isinstance(value, datetime):
        return value
    written = read_text(value).removesuffix(" AD")
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return at if at.tzinfo is not None and instant_text(at) == written else None


def read_text(value: Any) -> str:
    """Return the text that ``text`` has read; of what is none, what can be read of it."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value or "")


def to_row(found: sa.Row[Any]) -> AuditRow:
    """Return a row of ``stored_rows``. Never raises: what cannot have been written by us is an UnreadableRow."""
    raw = found._mapping
    at = read_moment(raw["at"])
    values: dict[str, Any] = {name: read_text(raw[name]) for name in _TEXTS}
    is_whole = at is not None and isinstance(raw["number"], int) and all(_is_text(raw[name]) for name in _TEXTS)
    values |= {"number": raw["number"] or 0, "at": at or NOBODY_KNOWS}
    if is_whole:
        return AuditRow(**values)
    return UnreadableRow(**values, digest=hashlib.sha256(repr(tuple(raw.values())).encode()).hexdigest())


def _is_text(value: Any) -> bool:
    if not isinstance(value, bytes):
        return isinstance(value, str)
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
