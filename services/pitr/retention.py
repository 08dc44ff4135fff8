"""The retention of point in time: which base backups and which log a window needs. Pure.

* The newest sound base backup that is as old as the window, and whose chain is sound, opens it; it and all later ones
  are kept, and all of the log from its beginning on. Incremental ones keep what they stand on.
* What is pinned, or being deleted, is kept with the log that makes it consistent, from its start to its stop.
* Without a single base backup nothing goes: nobody can tell what one that is being taken will need.
* The log of another cluster, which the database was before it was made anew, goes once it is older than the window
  and no base backup of that cluster is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.pitr.archive import ArchivedFile
from services.pitr.base_model import BaseBackup
from services.pitr.parent import usable
from services.pitr.wal_names import SegmentName, history_timeline


@dataclass(frozen=True)
class WindowPlan:
    """What becomes of the base backups and the log of one database."""

    opened_by: BaseBackup | None
    """The base backup that opens the window; None while none is as old as the window."""
    kept: tuple[BaseBackup, ...]
    going: tuple[BaseBackup, ...]
    """Those that the window does not need, the oldest first."""


def plan_window(bases: Sequence[BaseBackup], *, window: timedelta, now: datetime) -> WindowPlan:
    """Given all base backups that are left, return which of them go."""
    ordered = sorted(bases, key=lambda base: (base.stopped_at, base.backup.id))
    sound = usable(base for base in ordered if base.backup.is_sound)  # with all that an incremental one stands on
    opening = [base for base in sound if base.stopped_at <= now - window]
    if not opening:
        return WindowPlan(None, tuple(ordered), ())
    opened_by = opening[-1]
    kept = {base.backup.id for base in ordered if base.stopped_at >= opened_by.stopped_at or base.backup.pinned}
    by_id = {base.backup.id: base for base in ordered}
    for base in ordered:
        parent = base.parent_id if base.backup.id in kept else None
        while parent is not None and parent in by_id:
            kept.add(parent)
            parent = by_id[parent].parent_id
    return WindowPlan(
        opened_by,
        tuple(base for base in ordered if base.backup.id in kept),
        tuple(base for base in ordered if base.backup.id not in kept),
    )


def log_begins(plan: WindowPlan, system_identifier: str) -> int | None:
    """Return the number of the first segment that the window needs, or None where it needs all that there is."""
    ours = [base for base in plan.kept if base.system_identifier == system_identifier]
    if plan.opened_by is not None:
        ours = [base for base in ours if base.stopped_at >= plan.opened_by.stopped_at]
    return min((base.first_segment for base in ours), default=None)


def log_going(
    plan: WindowPlan,
    left: Iterable[BaseBackup],
    files: Mapping[str, Sequence[ArchivedFile]],
    *,
    segment_bytes: int,
    current: str,
    window: timedelta,
    now: datetime,
) -> list[ArchivedFile]:
    """Return the files of the log that nothing needs, the oldest segments first.

    ``files``: by system identifier; ``current`` is that of the server. ``left``: every base backup of which anything is
    left, those too that are being deleted.
    """
    remaining = list(left)
    going: list[ArchivedFile] = []
    for identifier, listed in files.items():
        ours = [base for base in remaining if base.system_identifier == identifier]
        if not ours:
            if identifier != current and all(file.stored.modified_at < now - window for file in listed):
                going += listed
            continue
        begins = log_begins(plan, identifier)
        if begins is None:
            begins = min(base.first_segment for base in ours)
        islands = [(base.first_segment, base.last_segment) for base in ours]
        going += [file for file in listed if _is_before(file, begins, islands, segment_bytes)]
    return sorted(going, key=lambda file: (file.key.system_identifier, file.key.file[8:], file.key.file))


def _is_before(file: ArchivedFile, begins: int, islands: Sequence[tuple[int, int]], segment_bytes: int) -> bool:
    """Say whether a file holds log before ``begins`` that no base backup needs. Histories stay: they are tiny."""
    if history_timeline(file.key.file) is not None:
        return False
    number = SegmentName.parse(file.key.file[:24], segment_bytes).number
    return number < begins and not any(first <= number <= last for first, last in islands)
