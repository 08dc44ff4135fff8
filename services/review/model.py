"""What the review of a week holds: facts, all of them read from the catalogue, and what people wrote about them.

Foreign text (names, notes, reasons, errors) is as it was written; whoever shows it escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.alerts.model import Alert
from services.catalog.model import Outcome, RunKind
from services.review.actions import ActionItem
from services.review.figures import Figure
from services.review.notes import Note
from services.review.week import Week
from services.schedules.outcomes import SlotOutcome
from services.status import DatabaseStatus, RestoreTest, Severity

DayState = Literal["satisfied", "late", "missed", "open", "backup", "nothing"]
"""``open``: neither satisfied nor past its deadline, or not due yet. ``backup``: no slot was due, and a good backup
was made all the same. ``nothing``: no slot was due, and none was made."""


@dataclass(frozen=True)
class DayOfSlots:
    """One database on one UTC day: the backup slots that were due on it, by how they stand."""

    day: date
    satisfied: int = 0
    late: int = 0
    missed: int = 0
    open: int = 0
    good_backups: int = 0
    """Good backups that were finished on that day, for whatever reason."""
    words: str = ""
    """What is to be said of the day, causes included."""

    @property
    def slots(self) -> int:
        return self.satisfied + self.late + self.missed + self.open

    @property
    def settled(self) -> int:
        """Those of which it is known how they ended."""
        return self.satisfied + self.late + self.missed

    @property
    def state(self) -> DayState:
        """The worst of its slots; an open one is worse than a satisfied one."""
        if self.slots:
            return "missed" if self.missed else "late" if self.late else "open" if self.open else "satisfied"
        return "backup" if self.good_backups else "nothing"


@dataclass(frozen=True)
class DatabaseWeek:
    """One database's week."""

    database: str
    status: DatabaseStatus | None
    """At the end of the week, or now while it runs. None for one that the settings no longer name."""
    days: tuple[DayOfSlots, ...]
    """Seven, Monday first."""
    duration: Figure
    """Median duration of its good backups."""
    database_size: Figure
    """Of the database, when its newest good backup up to the end of the week was made."""
    stored_size: Figure
    """Stored bytes of that backup."""

    @property
    def proof(self) -> RestoreTest | None:
        """The newest restore test that had passed by then."""
        return None if self.status is None else self.status.evidence.last_passed

    @property
    def is_proven(self) -> bool:
        """Whether a restore was proven to work: a passed test within its maximum age, and none that failed since."""
        return self.status is not None and self.status.is_restorable


@dataclass(frozen=True)
class ReviewedTest:
    """One restore test of the week, with its proof."""

    run_id: str | None
    backup_id: str
    backup_name: str
    database: str
    outcome: Outcome
    proof: str
    """What was compared and found equal; or why it failed or was not testable."""
    finished_at: datetime
    seconds: float | None
    """The measured RTO."""
    rto_seconds: float | None
    """What the settings promise."""


@dataclass(frozen=True)
class ChecksOfLevel:
    """Verifications of one level in the week, by outcome."""

    level: str
    passed: int
    failed: int
    not_testable: int
    total: Figure


@dataclass(frozen=True)
class FailedRun:
    """A run that failed or was lost in the week."""

    id: str
    kind: RunKind
    database: str | None
    at: datetime
    state: Literal["failed", "lost"]
    error: str
    hint: str


@dataclass(frozen=True)
class ReviewedBackup:
    """An emergency backup of the week."""

    id: str
    name: str
    database: str
    finished_at: datetime
    seconds: float
    stored_bytes: int
    note: str
    actor: str


@dataclass(frozen=True)
class DatabaseDeletions:
    """Backups of one database that were deleted in the week."""

    database: str
    backups: int
    bytes: int


@dataclass(frozen=True)
class StorageWeek:
    """What one storage held at the end of the week."""

    name: str
    used: Figure
    limit_bytes: int | None
    full_in_days: int | None
    """At the pace of the last 90 days; None where that is far away, nothing bounds it, or the week is long past."""


@dataclass(frozen=True)
class Due:
    """Something that is due in the week that follows."""

    kind: Literal["backups", "restore test", "verification", "upkeep", "proof", "key", "action"]
    database: str | None
    text: str
    at: datetime | None
    """When, or when first."""
    severity: Severity = "ok"
    """``warning``: overdue already, or nothing will do it by itself."""


@dataclass(frozen=True)
class Question:
    """Something that the week leaves open, for people to answer."""

    database: str | None
    text: str
    action: str
    """What an action item about it could say."""
    checks: tuple[str, ...] = ()
    """Health checks that say the same: an alert of one of them asks nothing more."""


@dataclass(frozen=True)
class WeekVerdict:
    """The week in one sentence."""

    sentence: str
    severity: Severity
    headline: str
    """Slots and proofs alone, for where the whole sentence is too long."""
    detail: str
    """What the headline leaves out; may be empty."""


@dataclass(frozen=True)
class Review:
    """Everything that the review of a week shows."""

    week: Week
    now: datetime
    until: datetime
    """Up to when it speaks: the end of the week, or now while it runs."""
    sample: bool
    since: datetime | None
    """When the first thing that is on record happened; None: nothing ever did."""
    verdict: WeekVerdict
    figures: tuple[Figure, ...]
    """In the order of ``services.review.totals``."""
    databases: tuple[DatabaseWeek, ...]
    """In the order of the settings, then those that they no longer name."""
    misses: tuple[SlotOutcome, ...]
    """Late and missed slots of backup schedules, in order of time, with their causes."""
    restore_tests: tuple[ReviewedTest, ...]
    checks: tuple[ChecksOfLevel, ...]
    alerts: tuple[Alert, ...]
    """Those that were opened or resolved in the week, or still open at its end; open ones first."""
    failures: tuple[FailedRun, ...]
    """The newest first."""
    deletions: tuple[DatabaseDeletions, ...]
    emergencies: tuple[ReviewedBackup, ...]
    storages: tuple[StorageWeek, ...]
    due: tuple[Due, ...]
    questions: tuple[Question, ...]
    notes: tuple[Note, ...]
    actions: tuple[ActionItem, ...]
    """Open ones first, those that are due first."""

    @property
    def is_running(self) -> bool:
        """Whether the week has not ended: then it is compared with the same days of the weeks before."""
        return self.until < self.week.end

    def figure(self, key: str) -> Figure:
        """Return the figure of that key. Raise KeyError."""
        return next((f for f in self.figures if f.key == key), None) or _missing(key)


def _missing(key: str) -> Figure:
    raise KeyError(key)
