"""What is checked of the write-ahead log of each database with point in time on: three queries for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.catalog.schema import backups
from services.catalog.wal_archives import WalArchiveState, wal_archive_states
from services.catalog.wal_samples import QUIET_BYTES, WalSample, latest_samples
from services.health.facts import Facts
from services.health.model import HealthCheck, Measure, Severity, Subject
from services.settings.model import DatabaseSettings
from services.status import age
from services.units import format_bytes

_ROUND = timedelta(hours=1)
FRESH = timedelta(minutes=5)
"""A sample that is older says nothing: the worker takes one a minute."""


def log(facts: Facts) -> Iterator[HealthCheck]:
    """Is all of the log in the storage, in time, and does the slot hold back no more than it may?"""
    databases = [d for d in facts.installation.settings.databases if d.pitr.enabled and not d.paused]
    if not databases:
        return
    samples = latest_samples(facts.installation.catalog.engine, [database.name for database in databases])
    states = {
        (state.database, state.storage): state
        for state in wal_archive_states(facts.installation.catalog.engine, [database.name for database in databases])
    }
    newest = _newest_bases(facts, [database.name for database in databases])
    for database in databases:
        yield _base(facts, database, newest.get(database.name))
        place = facts.installation.settings.pitr_storage_of(database).name
        yield _damage(facts, database, states.get((database.name, place)))
        sample = samples.get(database.name)
        subject = Subject("database", database.name)
        if sample is None or abs(facts.now - sample.at) > FRESH:
            last = f"since {age(facts.now - sample.at)}" if sample is not None else "yet"
            names = ["wal_delay", "wal_gap", *(["slot_lag"] if database.pitr.method == "receiver" else [])]
            for name in names:  # each of them, for what is not spoken of counts as well, and ends its alert
                yield HealthCheck(
                    name, subject, "unknown", f"Nobody has looked at the archive of the log {last}.",
                    "A worker looks once a minute: start one with `backups worker`.", sample.at if sample else None,
                )  # fmt: skip
            continue
        yield _delay(facts, database, sample, subject)
        yield _gap(database, sample, subject)
        if database.pitr.method == "receiver":
            yield _slot(database, sample, subject)


def _newest_bases(facts: Facts, databases: list[str]) -> dict[str, datetime]:
    """Return when the newest sound base backup of each database was finished."""
    sound = sa.and_(
        backups.c.state == "finished",
        backups.c.trust != "untrusted",
        sa.or_(backups.c.verification_passed.is_(None), backups.c.verification_passed.is_(True)),
    )
    query = (
        sa.select(backups.c.database, sa.func.max(backups.c.finished_at).label("at"))
        .where(backups.c.type == "base", backups.c.database.in_(databases), sound)
        .group_by(backups.c.database)
    )
    with facts.installation.catalog.engine.connect() as connection:
        return {row.database: row.at for row in connection.execute(query)}


def _base(facts: Facts, database: DatabaseSettings, newest: datetime | None) -> HealthCheck:
    subject, limit = Subject("database", database.name), 2 * database.pitr.base_interval
    hint = f"A worker takes them. By hand: `backups pitr base-backup {database.name}`."
    if newest is None:
        sentence = "There is no sound base backup: nothing can be restored to a point in time."
        return HealthCheck("base_backup_age", subject, "failure", sentence, hint)
    old = facts.now - newest
    measure = Measure(max(0.0, old.total_seconds()), "s", warning=limit.total_seconds())
    sentence = f"The newest base backup was taken {age(old)} ago · limit {age(limit)}"
    if old <= limit:
        return HealthCheck("base_backup_age", subject, "ok", sentence, measure=measure)
    return HealthCheck("base_backup_age", subject, "warning", sentence, hint, newest + limit, measure)


def _delay(facts: Facts, database: DatabaseSettings, sample: WalSample, subject: Subject) -> HealthCheck:
    rpo = database.pitr.rpo
    if sample.error:
        return HealthCheck("wal_delay", subject, "unknown", sample.error, f"See `backups pitr status {database.name}`.")
    if sample.archived_at is None:
        hint = f"Set it up: `backups pitr setup {database.name}`."
        return HealthCheck("wal_delay", subject, "failure", "Nothing of the log was archived yet.", hint)
    measure = Measure(sample.delay.total_seconds(), "s", failure=rpo.total_seconds())
    if sample.delay <= rpo:
        sentence = f"Archived {_behind(sample)} · fails from {age(rpo)} on"
        return HealthCheck("wal_delay", subject, "ok", sentence, measure=measure)
    sentence = (
        f"The log was archived {age(facts.now - sample.archived_at)} ago for the last time, and "
        f"{format_bytes(sample.lag_bytes or 0)} were written since · limit {age(rpo)}"
    )
    hint = f"A restore would lose what came after. See `backups pitr status {database.name}`."
    return HealthCheck("wal_delay", subject, "failure", sentence, hint, sample.archived_at + rpo, measure)


def _behind(sample: WalSample) -> str:
    """Say how much is archived. What little no ``archive_timeout`` ends a segment for is named, since it is missing."""
    if sample.delay > timedelta(0):
        return f"up to {age(sample.delay)} ago"
    if sample.lag_bytes:
        idle = f"an idle server keeps up to {format_bytes(QUIET_BYTES)}"
        return f"all but the last {format_bytes(sample.lag_bytes)} ({idle})"
    return "all of it"


def _gap(database: DatabaseSettings, sample: WalSample, subject: Subject) -> HealthCheck:
    if sample.missing is None:
        sentence = "Nobody knows whether a segment is missing: the archive could not be listed."
        return HealthCheck("wal_gap", subject, "unknown", sentence, f"See `backups pitr status {database.name}`.")
    if not sample.missing:
        return HealthCheck("wal_gap", subject, "ok", "No segment is missing in the archive.")
    more = f" and {sample.missing - 1:,} more" if sample.missing > 1 else ""
    return HealthCheck(
        "wal_gap", subject, "failure",
        f"{sample.first_missing}{more} missing in the archive: no restore goes over it.",
        f"Take a base backup now, from which the log is whole again. See `backups pitr gaps {database.name}`.",
        measure=Measure(sample.missing, "", failure=1), count=sample.missing,
    )  # fmt: skip


def _damage(facts: Facts, database: DatabaseSettings, state: WalArchiveState | None) -> HealthCheck:
    subject, within = Subject("database", database.name), database.pitr.check_within
    if state is None or (state.checked_at is None and not state.bad):
        hint = "A worker reads it little by little: start one with `backups worker`."
        return HealthCheck("wal_damage", subject, "unknown", "Nobody has read the stored log yet.", hint)
    if state.bad:
        more = f" And {len(state.bad) - 1:,} more." if len(state.bad) > 1 else ""
        return HealthCheck(
            "wal_damage", subject, "failure", f"Of the stored log: {state.bad[0].reason.rstrip('.')}.{more}",
            f"No restore goes over it. Take a base backup now. See `backups pitr gaps {database.name}`.",
            measure=Measure(len(state.bad), "", failure=1), count=len(state.bad),
        )  # fmt: skip
    if state.check_error:
        sentence = f"The stored log cannot be read again: {state.check_error.rstrip('.')}."
        hint = f"Where the key is: `backups pitr verify {database.name}`."
        return HealthCheck("wal_damage", subject, "unknown", sentence, hint, state.checked_at)
    read_at = state.round_ended_at
    if read_at is None:
        sentence = f"Nothing damaged in what was read of the stored log so far; all of it is read within {age(within)}."
        return HealthCheck("wal_damage", subject, "ok", sentence)
    sentence = f"All of the stored log was read {age(facts.now - read_at)} ago, none is damaged · within {age(within)}"
    if facts.now - read_at <= 2 * within + _ROUND:
        return HealthCheck("wal_damage", subject, "ok", sentence)
    hint = f"A worker reads it little by little. By hand: `backups pitr verify {database.name}`."
    return HealthCheck("wal_damage", subject, "warning", sentence, hint, read_at + 2 * within)


def _slot(database: DatabaseSettings, sample: WalSample, subject: Subject) -> HealthCheck:
    lag, limit = sample.slot_lag_bytes, database.pitr.slot_lag
    if lag is None:
        hint = f"The receiver makes it. See `backups pitr status {database.name}`."
        severity: Severity = "unknown" if sample.error else "failure"
        return HealthCheck("slot_lag", subject, severity, f"There is no slot {database.pitr.slot}.", hint)
    measure = Measure(lag, "B", failure=limit)
    sentence = f"The slot {database.pitr.slot} holds back {format_bytes(lag)} · limit {format_bytes(limit)}"
    if lag <= limit:
        return HealthCheck("slot_lag", subject, "ok", sentence, measure=measure)
    hint = "The server's disk fills up. Does a worker run, and does the storage take what it receives?"
    return HealthCheck("slot_lag", subject, "failure", sentence, hint, measure=measure)
