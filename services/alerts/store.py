"""Alerts in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.alerts.model import Alert
from services.audit.pending import settle
from services.catalog.schema import alerts, outbox
from services.errors import InputError, UnknownName
from services.health.model import WORST_FIRST, HealthCheck, Subject
from services.ids import new_id
from services.names import shortened

MAX_SENTENCE = 2000
KEEP_ALERTS = timedelta(days=731)
"""How long an alert that has resolved is kept: two years of weekly reviews."""
KEEP_MESSAGES = timedelta(days=90)
"""How long a message that was sent, or given up, is kept; it is said again by nobody."""


@dataclass(frozen=True)
class HistoryQuery:
    """Which alerts to list; None means all."""

    database: str | None = None
    check: str | None = None
    state: str | None = None
    """``open`` or ``resolved``."""
    since: datetime | None = None
    """Opened since then."""
    limit: int = 200


def open_alerts(source: sa.Engine | sa.Connection) -> list[Alert]:
    """Return the open alerts, the worst first, then the oldest."""
    query = sa.select(alerts).where(alerts.c.open_key.is_not(None)).order_by(alerts.c.opened_at, alerts.c.id)
    found = _fetch(source, query)
    return sorted(found, key=lambda alert: (WORST_FIRST.index(alert.severity), alert.is_acknowledged))


def count_open(engine: sa.Engine) -> dict[str, int]:
    """Return how many alerts are open, by severity."""
    query = (
        sa.select(alerts.c.severity, sa.func.count().label("n"))
        .where(alerts.c.open_key.is_not(None))
        .group_by(alerts.c.severity)
    )
    with engine.connect() as connection:
        return {row.severity: row.n for row in connection.execute(query)}


def history(engine: sa.Engine, wanted: HistoryQuery) -> list[Alert]:
    """Return alerts, the newest first."""
    query = sa.select(alerts).order_by(alerts.c.opened_at.desc(), alerts.c.id.desc()).limit(wanted.limit)
    if wanted.database is not None:
        query = query.where(alerts.c.subject_kind == "database", alerts.c.subject == wanted.database)
    if wanted.check is not None:
        query = query.where(alerts.c.check == wanted.check)
    if wanted.state is not None:
        still = alerts.c.open_key.is_not(None)
        query = query.where(still if wanted.state == "open" else sa.not_(still))
    if wanted.since is not None:
        query = query.where(alerts.c.opened_at >= wanted.since)
    return _fetch(engine, query)


def find_alert(engine: sa.Engine, text: str) -> Alert:
    """Given an alert's id, or the key of an open one, return it. Raise UnknownName."""
    query = sa.select(alerts).where(sa.or_(alerts.c.id == text, alerts.c.open_key == text))
    found = _fetch(engine, query)
    if not found:
        raise UnknownName(
            f"There is no alert {shortened(text)!r}.", hint="See `backups alert list` and `backups alert history`."
        )
    return found[0]


def add_alert(connection: sa.Connection, check: HealthCheck, now: datetime, *, action: str = "") -> Alert:
    """Open an alert. Raise sqlalchemy's IntegrityError when one is open for this check and subject."""
    alert = Alert(
        id=new_id(now), key=check.key, check=check.name, subject=check.subject, severity=check.severity,
        sentence=check.sentence[:MAX_SENTENCE], hint=check.hint, count=check.count, since=check.since, opened_at=now,
        notified_at=now, messages=1, action=action,
    )  # fmt: skip
    values = {name: value for name, value in vars(alert).items() if name != "subject"}
    values |= {"subject_kind": check.subject.kind, "subject": check.subject.name, "open_key": check.key}
    connection.execute(alerts.insert().values(values))
    return alert


def change_alert(connection: sa.Connection, alert: Alert, **changes: Any) -> Alert:
    """Write changes to an open alert and return it as it is then."""
    values = dict(changes)
    if changes.get("resolved_at") is not None:
        values["open_key"] = None
    connection.execute(alerts.update().where(alerts.c.id == alert.id, alerts.c.open_key.is_not(None)).values(values))
    return replace(alert, **changes)


def acknowledge(engine: sa.Engine, alert_id: str, *, by: str, note: str, now: datetime) -> None:
    """Note that somebody looks after an open alert. Raise InputError when it has resolved meanwhile."""
    with engine.begin() as connection:
        changed = connection.execute(
            alerts.update()
            .where(alerts.c.id == alert_id, alerts.c.open_key.is_not(None))
            .values(acknowledged_at=now, acknowledged_by=by, note=note)
        )
        if changed.rowcount:
            settle(connection)
    if changed.rowcount == 0:
        raise InputError("This alert has resolved already; there is nothing to acknowledge.")


def forget_old(engine: sa.Engine, now: datetime) -> tuple[int, int]:
    """Delete alerts that resolved long ago and messages that nobody waits for; return how many of each.

    The weekly review of a week before KEEP_ALERTS has none any more.
    """
    old_alert = sa.and_(alerts.c.open_key.is_(None), alerts.c.resolved_at < now - KEEP_ALERTS)
    old_message = sa.and_(outbox.c.next_attempt_at.is_(None), outbox.c.created_at < now - KEEP_MESSAGES)
    with engine.begin() as connection:
        messages = connection.execute(outbox.delete().where(old_message)).rowcount
        # SQLite deletes no messages with their alert: theirs are older, and gone by now.
        return connection.execute(alerts.delete().where(old_alert)).rowcount, messages


def _fetch(source: sa.Engine | sa.Connection, query: sa.Select[Any]) -> list[Alert]:
    if isinstance(source, sa.Engine):
        with source.connect() as connection:
            rows = connection.execute(query).all()
    else:
        rows = source.execute(query).all()
    return [to_alert(row) for row in rows]


def to_alert(row: sa.Row[Any]) -> Alert:
    """Return the alert that a row of the whole table holds."""
    values = dict(row._mapping)
    values.pop("open_key")
    values["subject"] = Subject(values.pop("subject_kind"), values["subject"])
    return Alert(**values)
