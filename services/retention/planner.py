"""The planner: which backups are kept, by which tiers and reasons, and until when. Pure; knows neither clock nor store.

The rule, per database (docs/retention.md has it with examples):

* A tier of N keeps the newest good backup in each of the N most recent calendar periods *that contain a good one*
  (UTC day, ISO week, month, year). So a quiet month deletes nothing.
* Always kept: pinned ones; the newest ``minimum`` good ones; the newest proven one; on-demand and emergency ones
  younger than 30 days; what is queued, running or being read; what is dated after now; what its storage has locked;
  what lies, with a copy, in a storage that the settings do not name.
* Failed, cancelled and lost ones, and those that failed a verification, go when they are older than 7 days and a newer
  good one exists. Partial ones go by age. Base backups, adopted files and untrusted ones never go by this rule.

Time is ordered by (``finished_at``, ``id``).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, get_args

from services.retention.keep_until import Outlook
from services.retention.periods import CALENDARS, Calendar, utc_day
from services.retention.policy import TIERS, RetentionPolicy, Tier

State = Literal["queued", "running", "finished", "failed", "cancelled", "lost", "deleting", "expired"]
Reason = Literal[
    "daily", "weekly", "monthly", "yearly", "pinned", "minimum", "proven", "recent on-demand", "active", "future",
    "recent failure", "no newer good", "recent partial", "base", "adopted", "untrusted", "locked",
    "unnamed storage",
]  # fmt: skip
Going = Literal["", "outside every tier", "old failure", "old partial", "deletion begun", "expired"]
"""Why nothing keeps a backup; empty for one that is kept."""

REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order in which they are told."""
ON_DEMAND_AGE = timedelta(days=30)
"""On-demand and emergency backups are kept while they are younger than this."""
FAILURE_AGE = timedelta(days=7)
"""What failed goes when it is older than this."""

_WORKING = ("queued", "running")
_BROKEN = ("failed", "cancelled", "lost")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the planner has to know of a backup, or of an attempt at one."""

    id: str
    finished_at: datetime | None
    """None for what is queued or running."""
    state: State = "finished"
    type: str = "scheduled"
    pinned: bool = False
    proven_at: datetime | None = None
    verification_passed: bool | None = None
    database: str = ""
    partial: bool = False
    adopted: bool = False
    untrusted: bool = False
    stored: bool = True
    """False when no whole copy of a finished backup is left."""
    active: bool = False
    """True while a run works on it: a verification, a restore, …"""
    bytes: int = 0
    """What its copies take, in all storages."""
    locked_until: datetime | None = None
    """When the last lock of its copies ends (object lock)."""
    unnamed_storage: bool = False
    """True when a copy lies in a storage that the settings do not name: nobody could delete it whole."""

    def __post_init__(self) -> None:
        """Raise ValueError for what has ended at an unknown time: it could not be told from what is old."""
        if self.finished_at is None and self.state not in _WORKING:
            raise ValueError(f"{self.id} is {self.state}, and nobody knows since when")

    @property
    def is_held(self) -> bool:
        """Whether something beside tiers, age and kind may keep it."""
        return self.pinned or self.active or self.unnamed_storage or self.locked_until is not None

    @property
    def is_good(self) -> bool:
        """The design's word *good*, for a logical backup of our own."""
        return (
            self.state == "finished"
            and self.verification_passed is not False
            and self.type != "base"
            and self.stored
            and not (self.partial or self.adopted or self.untrusted)
        )


class Decision(NamedTuple):
    """What becomes of a backup. A tuple, since a hundred thousand are made at once."""

    id: str
    keep: bool
    tiers: tuple[Tier, ...] = ()
    reasons: tuple[Reason, ...] = ()
    """Everything that keeps it, tiers first; empty for one that goes."""
    expires_at: datetime | None = None
    """The earliest instant from which nothing keeps it, if one good backup a day keeps coming (``keep_until``).

    Now, for one that goes; None where that is never, or cannot be known.
    """
    going: Going = ""


def plan(candidates: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> list[Decision]:
    """Return what becomes of each candidate at ``now``, in input order. Databases are planned apart, never mixed."""
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        members[candidate.database].append(index)
    if len(members) == 1:
        return _plan_database(candidates, policy, now)
    decisions: list[Decision | None] = [None] * len(candidates)
    for indexes in members.values():
        for index, decision in zip(indexes, _plan_database([candidates[i] for i in indexes], policy, now), strict=True):
            decisions[index] = decision
    return [decision for decision in decisions if decision is not None]


def _plan_database(candidates: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> list[Decision]:
    good = [
        (candidate.finished_at, candidate.id, index)
        for index, candidate in enumerate(candidates)
        if candidate.is_good and candidate.finished_at is not None
    ]
    newest = max(good, default=None)
    outlook = Outlook(now, [(at, name) for at, name, _ in good])
    kept = _keep_good(candidates, good, outlook, policy, now)
    plain = {index for _, _, index in good}
    plain.difference_update(kept)
    return [
        # Nearly all of a large store: nothing but a tier could keep these, and none does.
        Decision(candidate.id, False, (), (), now, "outside every tier")
        if index in plain and candidate.type == "scheduled" and not candidate.is_held
        else _decide(candidate, kept.get(index, {}), newest and newest[:2], outlook, policy, now)
        for index, candidate in enumerate(candidates)
    ]


_Good = tuple[datetime, str, int]
"""Of a good backup: when it finished, its id, its index. Compared as such, it is the rule's order of time."""


def _keep_good(
    candidates: Sequence[Candidate], good: Sequence[_Good], outlook: Outlook, policy: RetentionPolicy, now: datetime
) -> dict[int, dict[Reason, datetime | None]]:
    """Return what keeps the good ones, by index: each reason, and until when; None is for ever."""
    kept: defaultdict[int, dict[Reason, datetime | None]] = defaultdict(dict)
    newest_of_days = _newest_of_days(good)
    for tier in TIERS:
        calendar, count = CALENDARS[tier], policy.count(tier)
        for rank, number, (at, _, index) in _newest_of_periods(newest_of_days, calendar, count):
            kept[index][tier] = outlook.leaves_tier(calendar, count, rank, number, at)
    for place, (at, _, index) in enumerate(heapq.nlargest(policy.minimum, good)):
        kept[index]["minimum"] = outlook.leaves_newest(policy.minimum, place, at)
    # Backups dated after now may fill all places; the newest whose date can be believed stays all the same.
    believed = max((each for each in good if each[0] <= now), default=None)
    if believed is not None and "minimum" not in kept[believed[2]]:
        kept[believed[2]]["minimum"] = outlook.leaves_believed(now, believed[1])
    for at, name, index in good:
        if at > now:  # when its time has come, it is the newest that can be believed
            kept[index]["future"] = outlook.leaves_believed(at, name)
    proven = max((each for each in good if candidates[each[2]].proven_at is not None), default=None)
    if proven is not None:
        kept[proven[2]]["proven"] = None
    return dict(kept)


def _newest_of_days(good: Iterable[_Good]) -> list[tuple[date, _Good]]:
    """Return the newest good one of each UTC day that has any, the newest day first."""
    found: dict[date, _Good] = {}
    for each in good:
        day = utc_day(each[0])
        if day not in found or each > found[day]:
            found[day] = each
    return sorted(found.items(), reverse=True)


def _newest_of_periods(
    newest_of_days: Iterable[tuple[date, _Good]], calendar: Calendar, count: int
) -> Iterator[tuple[int, int, _Good]]:
    """Yield (rank, period, its newest good one) of the ``count`` most recent periods that have any; 0 is the newest."""
    rank, last = -1, None
    for day, newest in newest_of_days:
        number = calendar.number(day)
        if number != last:
            rank, last = rank + 1, number
            if rank == count:
                return
            yield rank, number, newest


def _decide(
    candidate: Candidate,
    kept: dict[Reason, datetime | None],
    newest_good: tuple[datetime, str] | None,
    outlook: Outlook,
    policy: RetentionPolicy,
    now: datetime,
) -> Decision:
    state, at = candidate.state, candidate.finished_at
    if state in ("expired", "deleting"):
        return Decision(candidate.id, False, going="expired" if state == "expired" else "deletion begun")
    if candidate.pinned:
        kept["pinned"] = None
    if candidate.locked_until is not None and candidate.locked_until > now:
        kept["locked"] = candidate.locked_until
    if candidate.unnamed_storage:
        kept["unnamed storage"] = None
    if state in _WORKING or candidate.active:
        kept["active"] = None
    going: Going = "outside every tier"
    if at is not None:
        age = now - at
        if age < timedelta(0):
            kept.setdefault("future", at)
        if candidate.type in ("on-demand", "emergency") and age < ON_DEMAND_AGE:
            kept["recent on-demand"] = outlook.after(at, ON_DEMAND_AGE)
        going = _keep_by_kind(candidate, at, age, kept, newest_good, outlook, policy)
    if candidate.type == "base":
        kept["base"] = None
    if not kept:
        return Decision(candidate.id, False, expires_at=now, going=going)
    until = list(kept.values())
    return Decision(
        candidate.id,
        True,
        tuple(tier for tier in TIERS if tier in kept),
        tuple(sorted(kept, key=REASONS.index)),
        None if None in until else max(instant for instant in until if instant is not None),
    )


def _keep_by_kind(
    candidate: Candidate,
    at: datetime,
    age: timedelta,
    kept: dict[Reason, datetime | None],
    newest_good: tuple[datetime, str] | None,
    outlook: Outlook,
    policy: RetentionPolicy,
) -> Going:
    """Add what keeps a candidate that the tiers do not speak of; return why it goes if nothing does."""
    if candidate.state in _WORKING or candidate.type == "base":
        return ""
    if candidate.untrusted:
        kept["untrusted"] = None
    elif candidate.state in _BROKEN or candidate.verification_passed is False or not candidate.stored:
        # It goes only when both are over: hence the later of the two for either.
        superseded = newest_good is not None and newest_good > (at, candidate.id)
        until = outlook.after(at, FAILURE_AGE)
        if not superseded:
            until = outlook.later(until, outlook.first_at_or_after(at))
            kept["no newer good"] = until
        if age <= FAILURE_AGE:
            kept["recent failure"] = until
        return "old failure"
    elif candidate.adopted:
        kept["adopted"] = None
    elif candidate.partial:
        if age < policy.partial_age:
            kept["recent partial"] = outlook.after(at, policy.partial_age)
        return "old partial"
    return "outside every tier"
