"""Action items of the reviews, in the catalogue: what was agreed, who does it, until when, and whether it was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.audit.pending import settle
from services.catalog.schema import action_items
from services.errors import InputError, UnknownName
from services.ids import new_id
from services.names import shortened
from services.review.week import LONG, Week, parse_label


@dataclass(frozen=True)
class ActionItem:
    """One thing that people agreed to do. It is carried over to each following review until it is done."""

    id: str
    week: str
    """The review in which it was agreed: ``2026-W46``."""
    text: str
    owner: str
    """Who does it; empty: nobody yet."""
    due: date | None
    created_at: datetime
    created_by: str
    done_at: datetime | None = None
    done_by: str | None = None
    note: str = ""
    """What came of it."""

    @property
    def is_done(self) -> bool:
        return self.done_at is not None

    def is_overdue(self, now: datetime) -> bool:
        """Say whether its day has passed, in UTC, and it is not done."""
        return self.due is not None and not self.is_done and self.due < now.date()

    def carried(self, week: Week) -> int:
        """Return for how many weeks it has been carried over to the review of a week."""
        return max(0, (week.start - parse_label(self.week).start) // LONG)


def actions_of_week(engine: sa.Engine, week: Week) -> list[ActionItem]:
    """Return what the review of a week has to look at: agreed in it or before, and not done before it began.

    Open ones first, by the day on which they are due, then by age.
    """
    query = sa.select(*_COLUMNS).where(
        action_items.c.week <= week.label,
        sa.or_(action_items.c.done_at.is_(None), action_items.c.done_at >= week.start),
    )
    found = _fetch(engine, query)
    return sorted(found, key=lambda item: (item.is_done, item.due is None, item.due or date.max, item.id))


def open_actions(engine: sa.Engine) -> list[ActionItem]:
    """Return what is not done, in the same order."""
    found = _fetch(engine, sa.select(*_COLUMNS).where(action_items.c.done_at.is_(None)))
    return sorted(found, key=lambda item: (item.due is None, item.due or date.max, item.id))


def get_action(engine: sa.Engine, action_id: str) -> ActionItem:
    """Return an action item. Raise UnknownName."""
    found = _fetch(engine, sa.select(*_COLUMNS).where(action_items.c.id == action_id))
    if not found:
        raise UnknownName(f"There is no action item {shortened(action_id)!r}.", hint="See `backups review actions`.")
    return found[0]


def add_action(
    engine: sa.Engine,
    *,
    week: str,
    text: str,
    owner: str,
    due: date | None,
    created_by: str,
    now: datetime,
    key: str | None,
) -> ActionItem:
    """Add an action item. The same ``key`` returns the item that was added with it before."""
    action_id = new_id(now)
    values: dict[str, Any] = {
        "id": action_id, "week": week, "text": text, "owner": owner, "due": due, "created_at": now,
        "created_by": created_by, "done_at": None, "done_by": None, "note": "", "idempotency_key": key,
    }  # fmt: skip
    try:
        with engine.begin() as connection:
            connection.execute(action_items.insert().values(values))
            settle(connection, action_id=action_id)
    except IntegrityError:
        with engine.connect() as connection:
            known = connection.scalar(sa.select(action_items.c.id).where(action_items.c.idempotency_key == key))
        assert known is not None, "only the key can be taken"
        return get_action(engine, known)
    return get_action(engine, action_id)


def change_action(engine: sa.Engine, action_id: str, *, was_done: bool, **changes: Any) -> ActionItem:
    """Write changes to an item that is still done, or open, as ``was_done`` says. Raise InputError when it is not."""
    done = action_items.c.done_at.is_not(None)
    with engine.begin() as connection:
        changed = connection.execute(
            action_items.update()
            .where(action_items.c.id == action_id, done if was_done else sa.not_(done))
            .values(changes)
        )
        if changed.rowcount:
            settle(connection)
    found = get_action(engine, action_id)
    if changed.rowcount == 0:
        state = f"was done by {found.done_by}" if found.is_done else "is open"
        raise InputError(f"This action item {state} already.", hint="Look at it in the review.")
    return found


_COLUMNS = [column for column in action_items.c if column.name != "idempotency_key"]


def _fetch(engine: sa.Engine, query: sa.Select[Any]) -> list[ActionItem]:
    with engine.connect() as connection:
        return [ActionItem(**row._mapping) for row in connection.execute(query)]
