"""Which kept backups are known to be damaged or gone, in which storage, and whether another copy is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from services.catalog.schema import backups, copies
from services.catalog.verdict import Verdict
from services.catalog.verifications import VerificationStore


@dataclass(frozen=True)
class Corruption:
    """Kept backups of one database whose stored bytes are known to be bad, or whose copies are gone."""

    damaged: int = 0
    """Backups of which something is damaged and no copy vouches for it: those are lost, as far as anybody knows."""
    damaged_id: str = ""
    damaged_name: str = ""
    """The newest of them."""
    unchecked_in: tuple[str, ...] = ()
    """Storages that hold another copy of that one, which nobody has read to its end yet."""
    since: datetime | None = None
    elsewhere: int = 0
    """Backups of which a copy is damaged while another one vouches for the backup."""
    elsewhere_name: str = ""
    """The newest of them."""
    elsewhere_in: tuple[str, ...] = ()
    """The storages in which its copy is damaged."""
    elsewhere_safe: tuple[str, ...] = ()
    """Those in which it is safe: its copy there was read to its end and has not failed since."""
    elsewhere_since: datetime | None = None
    unmade: int = 0
    """Copies that could not be made."""
    unmade_name: str = ""
    unmade_in: str = ""
    """The storage of the newest of them."""
    unmade_storages: frozenset[str] = frozenset()
    """Every storage that lacks one."""
    unmade_error: str = ""
    missing: int = 0
    """Copies that were looked for and not found."""
    missing_in: Mapping[str, int] = field(default_factory=dict)
    """The same, by storage."""
    lost: int = 0
    """Kept backups of which no copy is left."""
    missing_name: str = ""
    missing_since: datetime | None = None


def corruption(engine: sa.Engine, storages: Sequence[str]) -> dict[str, Corruption]:
    """Return, of each database that has any, how many kept backups are damaged and how many copies are gone.

    ``storages``: those of the settings; a copy in another one is nobody's any more. Two queries.
    """
    bad_check = sa.and_(backups.c.verification_passed.is_(False), backups.c.verification_level != "restore")
    flagged = sa.select(copies.c.backup_id).where(
        copies.c.storage.in_(storages), copies.c.state.in_(("damaged", "missing", "failed"))
    )
    # Two ways to the ids, each along an index: an OR over a join would read every backup.
    wrong = sa.union(sa.select(backups.c.id).where(bad_check), flagged).subquery()
    query = (
        sa.select(
            backups.c.id, backups.c.database, backups.c.name, backups.c.finished_at, backups.c.verification_at,
            backups.c.verification_passed, bad_check.label("bad"), copies.c.storage, copies.c.state,
            copies.c.checked_at, copies.c.error,
        )
        .join_from(wrong, backups, backups.c.id == wrong.c.id)
        .join(copies, copies.c.backup_id == backups.c.id, isouter=True)
        .where(backups.c.state == "finished")
    )  # fmt: skip
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    damaged = {row.id for row in rows if row.state == "damaged" and row.storage in storages}
    verdicts = VerificationStore(engine).verdicts(damaged) if damaged else {}
    found: dict[str, Corruption] = {}
    # sorted by the server, it would walk all backups
    rows = sorted(rows, key=lambda row: (row.finished_at, row.id))
    for _, its in groupby(rows, key=lambda row: row.id):
        one = list(its)
        backup, ours = one[0], [row for row in one if row.storage in storages]
        stored = [row.storage for row in ours if row.state == "stored"]
        safe = verdicts.get(backup.id, Verdict()).safe_in(stored, storages)
        so_far = found.get(backup.database, Corruption())
        is_left = any(row.state == "stored" for row in one)
        found[backup.database] = _add(so_far, backup, ours, safe, is_left=is_left)
    return found


def _add(
    so_far: Corruption, backup: sa.Row[Any], its: Sequence[sa.Row[Any]], safe: tuple[str, ...], *, is_left: bool
) -> Corruption:
    """Count in one backup, by a row for each of its copies in the settings' storages.

    ``safe``: the storages where it is that; ``is_left``: whether a copy is stored anywhere.
    """
    damaged = tuple(row.storage for row in its if row.state == "damaged")
    stored = tuple(row.storage for row in its if row.state == "stored")
    missing = [row for row in its if row.state == "missing"]
    unmade = [row for row in its if row.state == "failed"]
    found: dict[str, Any] = {}
    seen_at = max((row.checked_at for row in its if row.state == "damaged" and row.checked_at), default=None)
    if damaged and safe:
        found |= {
            "elsewhere": so_far.elsewhere + 1, "elsewhere_name": backup.name,
            "elsewhere_in": damaged, "elsewhere_safe": safe,
            "elsewhere_since": _earlier(so_far.elsewhere_since, seen_at),
        }  # fmt: skip
    # A backup whose only copy is gone fails its verification as well; it is missing, not damaged.
    elif damaged or (backup.bad and not missing):
        at = backup.verification_at if backup.bad else seen_at
        found |= {
            "damaged": so_far.damaged + 1, "damaged_id": backup.id, "damaged_name": backup.name,
            "unchecked_in": stored if damaged else (), "since": _earlier(so_far.since, at),
        }  # fmt: skip
    if missing:
        seen = max((row.checked_at for row in missing if row.checked_at), default=None)
        counts = Counter(so_far.missing_in) + Counter(row.storage for row in missing)
        found |= {
            "missing": so_far.missing + len(missing), "missing_in": dict(counts), "missing_name": backup.name,
            "missing_since": _earlier(so_far.missing_since, seen), "lost": so_far.lost + (not is_left),
        }  # fmt: skip
    if unmade:
        found |= {
            "unmade": so_far.unmade + len(unmade), "unmade_name": backup.name, "unmade_in": unmade[-1].storage,
            "unmade_error": unmade[-1].error,
            "unmade_storages": so_far.unmade_storages | {row.storage for row in unmade},
        }  # fmt: skip
    return replace(so_far, **found)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [at for at in (one, other) if at is not None]
    return min(known, default=None)
