"""The plans as they are now, shared by all who look at them: made anew when the catalogue has changed, not before.

With a hundred thousand backups a plan takes a second, which a page cannot spend each time somebody clicks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from services.catalog.model import ACTIVE_STATES
from services.catalog.schema import backups, deletions, pins, runs, verifications
from services.installation import Installation
from services.retention.forecast import StoreAt, coming, forecast
from services.retention.planner import plan
from services.retention.plans import DatabasePlan, PlannedBackup, load_plans
from services.retention.policy import RetentionPolicy
from services.retention.rhythm import Rhythm, load_past, measure

MAX_AGE = 60.0
"""Seconds after which a plan is made anew in any case: ages pass, and not every change leaves a trace (``rebuild``)."""
COSTLY = 0.5
"""Seconds that a plan may take and still be made at each change."""
PATIENCE = 10
"""A costlier plan is shown for so many times as long as it took to make."""
_REMEMBERED = 64


class CurrentPlans:
    """The plan of each configured database at one moment, and what other policies would make of it."""

    def __init__(self, installation: Installation, plans: Sequence[DatabasePlan]) -> None:
        self.plans = tuple(plans)
        self._installation = installation
        self._rhythms: dict[str, Rhythm] = {}
        self._others: dict[tuple[str, RetentionPolicy, timedelta], DatabasePlan] = {}
        self._stores: dict[tuple[str, RetentionPolicy, timedelta], StoreAt] = {}

    @cached_property
    def by_id(self) -> dict[str, PlannedBackup]:
        """Every backup that has not expired."""
        return {backup.id: backup for plan in self.plans for backup in plan.backups}

    def of(self, database: str) -> DatabasePlan:
        """Return the plan of a configured database."""
        return next(plan for plan in self.plans if plan.database == database)

    def rhythm(self, database: str) -> Rhythm:
        """Return how the database is backed up today."""
        if database not in self._rhythms:
            at = self.of(database).at
            past = load_past(self._installation.catalog.engine, [database], at)
            self._rhythms[database] = measure(past, at)
        return self._rhythms[database]

    def under(self, database: str, policy: RetentionPolicy, horizon: timedelta = timedelta(0)) -> DatabasePlan:
        """Return what a policy would make of today's backups after so long, if backups go on as they do."""
        own = self.of(database)
        if policy == own.policy and not horizon:
            return own
        key = (database, policy, horizon)
        if key not in self._others:
            candidates = [backup.candidate for backup in own.backups]
            at = own.at + horizon
            after = coming(candidates, self.rhythm(database), own.at, at) if horizon else []
            decisions = plan([*candidates, *after], policy, at)[: len(candidates)]
            other = tuple(replace(b, decision=d) for b, d in zip(own.backups, decisions, strict=True))
            _forget_oldest(self._others)
            self._others[key] = DatabasePlan(database, policy, at, other)
        return self._others[key]

    def store_at(self, database: str, policy: RetentionPolicy, horizon: timedelta) -> StoreAt:
        """Return what the store would hold after so long under a policy, if backups go on as they do."""
        key = (database, policy, horizon)
        if key not in self._stores:
            own = self.of(database)
            candidates = [backup.candidate for backup in own.backups]
            _forget_oldest(self._stores)
            self._stores[key] = forecast(candidates, policy, self.rhythm(database), own.at, horizon)
        return self._stores[key]


@dataclass(frozen=True)
class _Known:
    """Plans that were made, from what, when, and how long that took (by the process's monotonic clock)."""

    seen: tuple[Any, ...]
    made_at: float
    cost: float
    plans: CurrentPlans

    def is_fresh(self, seen: tuple[Any, ...], now: float) -> bool:
        """Say whether they may be shown. Plans of a huge store are not made again at each change: see PATIENCE."""
        age = now - self.made_at
        if seen == self.seen:
            return age < MAX_AGE
        return self.cost > COSTLY and age < min(MAX_AGE, PATIENCE * self.cost)


_known: WeakKeyDictionary[Installation, _Known] = WeakKeyDictionary()
_lock = threading.Lock()


def current_plans(installation: Installation) -> CurrentPlans:
    """Return the plans of an installation, at most a minute old, and as a rule not older than the last change.

    One query where nothing has changed. What is deleted never hangs on these: a cleanup plans for itself.
    """
    with _lock:  # whoever comes while a plan is made waits for that one
        seen, began = _last_changes(installation), monotonic()
        known = _known.get(installation)
        if known is not None and known.is_fresh(seen, began):
            return known.plans
        plans = CurrentPlans(installation, load_plans(installation))
        _known[installation] = _Known(seen, began, monotonic() - began, plans)
        return plans


def _last_changes(installation: Installation) -> tuple[Any, ...]:
    """Return what differs whenever something of a plan may; every part of it is read from an index."""
    active = runs.c.state.in_(ACTIVE_STATES)
    parts = (
        sa.select(sa.func.max(runs.c.id)),
        sa.select(sa.func.aggregate_strings(runs.c.id, ",")).where(active),
        sa.select(sa.func.max(verifications.c.id)),
        sa.select(sa.func.max(deletions.c.id)),
        sa.select(sa.func.max(pins.c.at)),
        sa.select(sa.func.max(backups.c.finished_at)),
        sa.select(sa.func.count()).select_from(backups).where(backups.c.state == "finished"),
    )
    query = sa.select(*(part.scalar_subquery().label(f"part_{number}") for number, part in enumerate(parts)))
    with installation.catalog.engine.connect() as connection:
        return tuple(connection.execute(query).one())


def _forget_oldest(remembered: dict[Any, Any]) -> None:
    while len(remembered) >= _REMEMBERED:
        del remembered[next(iter(remembered))]
