"""Who can decrypt what is stored, which key is where, and when somebody must next prove to have the offline one.

Aggregated in SQL: as many queries for five years of backups as for one day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.catalog.key_drills import KeyDrill
from services.catalog.schema import backups
from services.installation import Installation
from services.stream.encryption import public_key


@dataclass(frozen=True)
class KeyHolder:
    """A public key that stored backups are, or will be, encrypted to."""

    public_key: str
    name: str
    """What people call it (``key_names``); empty where nobody said."""
    is_present: bool
    """Whether new backups are encrypted to it."""
    is_at_hand: bool
    """Whether its secret key is in the settings of this process: whoever takes this machine has it."""
    backups: int
    """Stored backups that it opens."""
    only_it: int
    """Those that no other key opens."""
    first_at: datetime | None
    """When the oldest of them finished."""
    proven_at: datetime | None
    """When a drill last passed with it."""
    due_at: datetime | None
    """When a drill is due; None for a key of which none is asked."""

    @property
    def role(self) -> str:
        """Say in two words what the key is for."""
        if not self.is_present:
            return "former key"
        return "worker's key" if self.is_at_hand else "offline recovery key"


@dataclass(frozen=True)
class KeyReport:
    """How things stand with the keys."""

    now: datetime
    holders: tuple[KeyHolder, ...]
    """Present ones first."""
    drills: tuple[KeyDrill, ...]
    """The newest first."""
    waiting: int
    """Stored backups that are encrypted to other keys than new ones, or to none though they should be."""
    unencrypted: int
    """Stored backups that are not encrypted."""

    @property
    def present(self) -> tuple[KeyHolder, ...]:
        return tuple(holder for holder in self.holders if holder.is_present)

    @property
    def due(self) -> KeyHolder | None:
        """The key whose drill is due first; None where none is asked."""
        asked = [holder for holder in self.holders if holder.due_at is not None]
        return min(asked, key=lambda holder: holder.due_at or self.now, default=None)

    @property
    def is_overdue(self) -> bool:
        return self.due is not None and self.due.due_at is not None and self.due.due_at <= self.now


def load_keys(installation: Installation, *, drills: int = 20) -> KeyReport:
    """Return who can decrypt, and what is due, with so many of the newest drills. Three queries, two without drills."""
    settings, now = installation.settings, installation.clock()
    present = settings.recipients
    at_hand = {public_key(secret) for secret in settings.secret_keys()}
    proven = installation.catalog.key_drills.last_passed()
    groups = _groups(installation)
    counted: dict[str, list[tuple[int, bool, datetime]]] = {key: [] for key in present}
    waiting = unencrypted = 0
    encrypting = {database.name for database in settings.databases if database.encrypt}
    for database, recipients, count, first in groups:
        if not recipients:
            unencrypted += count
        if database in encrypting and set(recipients) != set(present):
            waiting += count
        for key in recipients:
            counted.setdefault(key, []).append((count, len(recipients) == 1, first))
    offline = [key for key in present if key not in at_hand] or list(present)
    holders = []
    for key, found in counted.items():
        first_at = min((first for _, _, first in found), default=None)
        began = proven.get(key) or first_at
        is_asked = key in offline and began is not None
        holders.append(
            KeyHolder(
                public_key=key,
                name=settings.key_names.get(key, ""),
                is_present=key in present,
                is_at_hand=key in at_hand,
                backups=sum(count for count, _, _ in found),
                only_it=sum(count for count, alone, _ in found if alone),
                first_at=first_at,
                proven_at=proven.get(key),
                due_at=began + settings.key_drill_every if is_asked and began is not None else None,
            )
        )
    holders.sort(key=lambda holder: (not holder.is_present, holder.is_at_hand))
    held = tuple(installation.catalog.key_drills.list(limit=drills)) if drills else ()
    return KeyReport(now, tuple(holders), held, waiting, unencrypted)


def _groups(installation: Installation) -> list[tuple[str, tuple[str, ...], int, datetime]]:
    """Return (database, recipients, how many stored backups, when the first finished)."""
    text = sa.cast(backups.c.recipients, sa.Text)
    query = (
        sa.select(
            backups.c.database,
            sa.func.min(text).label("recipients"),
            sa.func.count(),
            sa.func.min(backups.c.finished_at),
        )
        .where(backups.c.state == "finished", backups.c.sample.is_(False))
        .group_by(backups.c.database, text)
    )
    with installation.catalog.engine.connect() as connection:
        return [
            (database, tuple(_names(recipients)), count, first)
            for database, recipients, count, first in connection.execute(query)
        ]


def _names(recipients: str) -> list[str]:
    return [str(name) for name in json.loads(recipients)]
