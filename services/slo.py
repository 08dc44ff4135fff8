"""The service level: how many slots of the backup schedules were satisfied within their deadline, and what that cost.

Slots are counted, not attempts, so that a run that never started counts (Google's SRE workbook, chapter 2: an SLI is
the share of valid events that were good; here an event is a slot whose deadline has passed). With some thirty slots a
month a burn rate says nothing; what is said is how many misses the target allows, and how many are left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor

from services.catalog.slot_evidence import MeasuredRestores, last_good_before, measured_restores
from services.errors import InputError
from services.installation import Installation
from services.schedules.history import slots_between
from services.schedules.outcomes import SlotDay, SlotOutcome, slot_days
from services.schedules.standing import Standing, backup_history, judge_slots
from services.settings.model import DatabaseSettings

WINDOWS = (30, 90, 365)
"""Days that the page offers."""
LONGEST = 10 * 365
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Tally:
    """Slots, counted. Late ones are missed; open ones, whose deadline has not passed, are neither."""

    satisfied: int
    missed: int
    open: int
    target: float
    """Percent of the slots that are to be satisfied."""

    @property
    def slots(self) -> int:
        """Those that count."""
        return self.satisfied + self.missed

    @property
    def share(self) -> float | None:
        """Percent satisfied; None where no slot counts."""
        return 100 * self.satisfied / self.slots if self.slots else None

    @property
    def allowed(self) -> int:
        """Misses that the target allows among these slots."""
        return floor(self.slots * (100 - Fraction(str(self.target))) / 100)

    @property
    def left(self) -> int:
        """Misses left in the budget; negative when it is overspent."""
        return self.allowed - self.missed

    @property
    def is_kept(self) -> bool | None:
        """Whether the target is met; None where no slot counts."""
        return self.left >= 0 if self.slots else None


@dataclass(frozen=True)
class DatabaseSlo:
    """One database's service level over a window."""

    database: str
    tally: Tally
    misses: tuple[SlotOutcome, ...]
    """Late and missed slots, the newest first."""
    days: tuple[SlotDay, ...]
    """Days on which a slot was due, in order."""
    rpo: timedelta
    rpo_achieved: timedelta | None
    """The longest time between the data of two consecutive good backups, up to now; None without a good one."""
    rto: timedelta
    restores: MeasuredRestores | None
    """Restore tests that passed within the window; None where there was none."""

    @property
    def rpo_kept(self) -> bool | None:
        return None if self.rpo_achieved is None else self.rpo_achieved <= self.rpo

    @property
    def rto_kept(self) -> bool | None:
        return None if self.restores is None else self.restores.slowest_seconds <= self.rto.total_seconds()


@dataclass(frozen=True)
class Slo:
    """The service level of all databases over a window of ``days`` up to ``now``."""

    now: datetime
    days: int
    total: Tally
    databases: tuple[DatabaseSlo, ...]
    """In the order of the settings."""

    @property
    def since(self) -> datetime:
        return self.now - timedelta(days=self.days)


def load_slo(inst: Installation, *, days: int = 30, database: str | None = None) -> Slo:
    """Return the service level over the last ``days``, of one database or of all.

    Five queries (and one more for each further thousand misses), whatever the catalogue holds. Raise UnknownName,
    InputError for a window that cannot be.
    """
    if not 1 <= days <= LONGEST:
        raise InputError(f"A window of {days} days cannot be looked at.", hint=f"Use 30, 90, 365; at most {LONGEST:,}.")
    chosen = [inst.settings.database(database)] if database is not None else list(inst.settings.databases)
    now = inst.clock()
    since = now - timedelta(days=days)
    histories = inst.catalog.schedules.all()
    slots = {d.name: slots_between(backup_history(histories, d.name), since, now + _TICK) for d in chosen}
    standings = judge_slots(inst, slots, now, backups_since=since)
    before = last_good_before(inst.catalog.engine, slots, since)
    restores = measured_restores(inst.catalog.engine, since)
    target = inst.settings.slo_target
    found = tuple(
        _of_database(d, standings[d.name], target, before.get(d.name), restores.get(d.name), since, now) for d in chosen
    )
    return Slo(now, days, _tally((o for d in chosen for o in standings[d.name].outcomes), target), found)


def longest_gap(snapshots: Sequence[datetime], now: datetime) -> timedelta | None:
    """Given when the data of good backups was read, return the longest time between two of them, or up to ``now``.

    That much was at risk at the worst moment: the RPO that was achieved. None without any.
    """
    ordered = [at for at in sorted(snapshots) if at <= now]
    return max(later - earlier for earlier, later in pairwise([*ordered, now])) if ordered else None


def _of_database(
    database: DatabaseSettings,
    standing: Standing,
    target: float,
    before: datetime | None,
    restores: MeasuredRestores | None,
    since: datetime,
    now: datetime,
) -> DatabaseSlo:
    snapshots = [backup.snapshot_at for backup in standing.backups if not backup.fault and backup.finished_at >= since]
    return DatabaseSlo(
        database=database.name,
        tally=_tally(standing.outcomes, target),
        misses=tuple(outcome for outcome in reversed(standing.outcomes) if outcome.is_miss and outcome.decided),
        days=slot_days(standing.outcomes),
        rpo=database.rpo,
        rpo_achieved=longest_gap([before, *snapshots] if before is not None else snapshots, now),
        rto=database.rto,
        restores=restores,
    )


def _tally(outcomes: Iterable[SlotOutcome], target: float) -> Tally:
    counts = Counter("open" if not o.decided else "missed" if o.is_miss else "satisfied" for o in outcomes)
    return Tally(counts["satisfied"], counts["missed"], counts["open"], target)
