"""Reading the review of a week: some twenty queries over five weeks, whatever the catalogue holds of other times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.installation import Installation
from services.overview import load_statuses
from services.review import queries
from services.review.actions import ActionItem, actions_of_week
from services.review.deletions import deletions
from services.review.due import due_after
from services.review.model import DatabaseWeek, Review, ReviewedTest
from services.review.notes import notes_of_week
from services.review.questions import open_questions
from services.review.slots import LATEST, backup_slots, days_of_week, misses, tally
from services.review.standing import statuses_at
from services.review.storage_use import full_in_days, room_left, used_at_ends
from services.review.totals import (
    Counted,
    checks_by_level,
    database_figures,
    made_in_weeks,
    storage_week,
    total_figures,
)
from services.review.verdict import give_week_verdict
from services.review.week import Period, Week, parse_week, periods, week_of
from services.schedules.outcomes import SlotOutcome
from services.schedules.standing import Histories
from services.status import DatabaseStatus

_FAR = 13
"""Times what four weeks added: a year."""


def choose_week(inst: Installation, text: str | None) -> Week:
    """Return the week that is asked for; without a wish the last one that has ended, or the running one where nothing
    older is on record. Raise InputError.
    """
    now = inst.clock()
    if text is not None:
        return parse_week(text, now)
    running = week_of(now)
    since = queries.first_record(inst.catalog.engine)
    return running.shifted(-1) if since is not None and since < running.start else running


def load_review(inst: Installation, week: Week) -> Review:
    """Return the review of a week."""
    now = inst.clock()
    weeks = periods(week, now)
    read = _read(inst, week, weeks, now)
    counted, this = read.counted, weeks[-1]
    every = [outcome for found in read.outcomes.values() for outcome in found]
    missed = misses(inst, every, Period(week.start, week.end))
    databases = tuple(_database_week(read, name, week, missed) for name in read.outcomes)
    tests = _tests_of_week(inst, counted)
    full = _full_in_days(inst, week, counted)
    storages = tuple(
        storage_week(counted, s.name, s.limit_bytes, full.get(s.name)) for s in inst.settings.storages
    )  # fmt: skip
    alerts = tuple(queries.alerts_of_week(inst.catalog.engine, this))
    figures = total_figures(counted)
    good = next(figure for figure in figures if figure.key == "backups").value or 0
    failed = Counter(test.database for test in tests if test.outcome == "failed")
    return Review(
        week=week,
        now=now,
        until=this.end,
        sample=inst.settings.sample,
        since=counted.since,
        verdict=give_week_verdict(counted.slots[-1], missed, read.statuses, failed, int(good)),
        figures=figures,
        databases=databases,
        misses=tuple(missed),
        restore_tests=tests,
        checks=checks_by_level(counted),
        alerts=alerts,
        failures=tuple(queries.failed_runs(inst.catalog.engine, this)),
        deletions=tuple(counted.deletions[-1]),
        emergencies=tuple(queries.emergency_backups(inst.catalog.engine, this)),
        storages=storages,
        due=due_after(inst, week, read.histories, read.statuses, read.actions),
        questions=open_questions(
            misses=missed, tests=tests, alerts=alerts, databases=databases, storages=storages, actions=read.actions,
            limits=inst.settings.alerts, until=this.end,
        ),
        notes=tuple(notes_of_week(inst.catalog.engine, week.label)),
        actions=tuple(read.actions),
    )  # fmt: skip


@dataclass(frozen=True)
class _Read:
    """What was read, before anything is made of it."""

    counted: Counted
    backups: Mapping[str, Sequence[queries.WeekBackup]]
    """By database."""
    outcomes: Mapping[str, Sequence[SlotOutcome]]
    """By database: those of the settings first."""
    histories: Histories
    statuses: Mapping[str, DatabaseStatus]
    actions: Sequence[ActionItem]


def _read(inst: Installation, week: Week, weeks: Sequence[Period], now: datetime) -> _Read:
    engine = inst.catalog.engine
    histories = inst.catalog.schedules.all()
    until = min(now, week.end + LATEST)
    backups = queries.backups_between(engine, weeks[0].start, until)
    statuses = _statuses(inst, week, histories, now)
    names = _names(statuses, histories, backups, weeks)
    outcomes = backup_slots(names, histories, backups, weeks[0].start, week.end, now)
    every = [outcome for found in outcomes.values() for outcome in found]
    counted = Counted(
        weeks=weeks,
        since=queries.first_record(engine),
        slots=[tally(every, period) for period in weeks],
        made={name: made_in_weeks(found, weeks) for name, found in backups.items()},
        checks=queries.count_checks(engine, weeks),
        tests=queries.restore_tests(engine, weeks),
        failures=queries.count_failures(engine, weeks),
        alerts=queries.count_alerts(engine, weeks),
        deletions=deletions(engine, weeks),
        storage=used_at_ends(engine, weeks),
    )
    return _Read(counted, backups, outcomes, histories, statuses, actions_of_week(engine, week))


def _statuses(inst: Installation, week: Week, histories: Histories, now: datetime) -> dict[str, DatabaseStatus]:
    """Return each database's status at the end of the week, or now while it runs, in the order of the settings.

    A database of which a week that has ended knows nothing, neither a backup nor a schedule, was protected only later.
    """
    if week.end > now:
        found = {status.database: status for status in load_statuses(inst)}
        return {database.name: found[database.name] for database in inst.settings.databases}
    scheduled = {v.database for versions in histories.values() for v in versions if v.valid_from < week.end}
    return {
        name: status
        for name, status in statuses_at(inst, histories, week.end).items()
        if status.evidence.backups_ever or name in scheduled
    }


def _names(
    statuses: Iterable[str],
    histories: Histories,
    backups: Mapping[str, Sequence[queries.WeekBackup]],
    weeks: Sequence[Period],
) -> tuple[str, ...]:
    """Return the databases that have a status, then those of which the weeks hold a backup or a schedule."""
    ended = {
        versions[-1].database
        for versions in histories.values()
        if versions[0].valid_from < weeks[-1].end
        and (versions[-1].cron or versions[-1].valid_from >= weeks[0].start)
        and versions[-1].job == "backup"
    }
    made = {name for name, found in backups.items() if found[0].judged.finished_at < weeks[-1].end}
    known = list(statuses)
    return (*known, *sorted({name for name in made | ended if name is not None} - set(known)))


def _database_week(read: _Read, name: str, week: Week, missed: Iterable[SlotOutcome]) -> DatabaseWeek:
    duration, size, stored = database_figures(read.counted, name)
    of_week = [outcome for outcome in read.outcomes[name] if outcome.slot.due >= week.start]
    causes = {outcome.slot.key: outcome.cause for outcome in missed}
    days = days_of_week(week, of_week, read.backups.get(name, ()), causes)
    return DatabaseWeek(name, read.statuses.get(name), days, duration, size, stored)


def _full_in_days(inst: Installation, week: Week, counted: Counted) -> dict[str, int | None]:
    """Look ahead from the running week and from the one before; a forecast of longer ago helps nobody.

    Only storages that the growth of these weeks would fill within a year are looked at closely.
    """
    if week.shifted(1).end <= inst.clock():
        return {}
    near = [
        storage
        for storage in inst.settings.storages
        if (held := counted.storage.get(storage.name)) is not None
        and (room := room_left(inst, storage, held[-1])) is not None
        and room <= max(held[-1] - min(held), 0) * _FAR
    ]
    used = {name: held[-1] for name, held in counted.storage.items()}
    return full_in_days(inst, near, used, counted.weeks[-1].end) if near else {}


def _proof(test: queries.TestRow) -> str:
    partial = test.outcome == "passed" and not test.is_whole
    return f"Partial: what it holds restores. {test.reason}" if partial else test.reason


def _tests_of_week(inst: Installation, counted: Counted) -> tuple[ReviewedTest, ...]:
    promises = {database.name: database.rto.total_seconds() for database in inst.settings.databases}
    last = len(counted.weeks) - 1
    return tuple(
        ReviewedTest(
            run_id=test.run_id, backup_id=test.backup_id, backup_name=test.backup_name, database=test.database,
            outcome=test.outcome, proof=_proof(test), finished_at=test.finished_at, seconds=test.seconds,  # type: ignore[arg-type]
            rto_seconds=promises.get(test.database),
        )
        for test in counted.tests
        if test.week == last
    )  # fmt: skip
