"""The outbox: every message waits in the catalogue until its channel has taken it.

A message is written in the transaction that changes its alert, so neither is without the other. Whoever delivers it
claims it first: it puts the next attempt off by CLAIM, and only one of several can (the attempt's number is compared
and raised in the same statement). Sent is marked when the server has accepted. Between these two lies the one moment
in which a crash makes a second delivery: then the message goes out again, with the same Message-ID and
Idempotency-Key, by which a receiver can drop it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.schema import outbox
from services.ids import new_id

Event = Literal["opened", "worse", "reminder", "resolved", "several", "test"]
"""``several``: one message about many alerts at once."""

CLAIM = timedelta(minutes=3)
"""How long a claimed message is left to its claimer; well above the time limit of one attempt."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
"""Between two attempts: doubled from the first to the longest."""
REFUSED = "Refused for good: "
"""What the reason begins with when only a person can mend it: a wrong password, an address that is no more."""
MAX_SUBJECT = 300
_SEVERAL_WAITS = timedelta(hours=1)
"""How long what is newer waits for a message about several alerts, which its channel may refuse for days."""


@dataclass(frozen=True)
class Message:
    """One message for one channel."""

    id: str
    alert_id: str | None
    event: Event
    number: int
    """Which message of its alert it is, from 0 on."""
    channel: str
    """The channel's label; never its address, which holds secrets."""
    severity: str
    subject: str
    body: str
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    """None: sent, or given up."""
    sent_at: datetime | None
    error: str
    """Why the last attempt failed; without secrets."""

    @property
    def state(self) -> Literal["waiting", "sent", "given up"]:
        if self.sent_at is not None:
            return "sent"
        return "waiting" if self.next_attempt_at is not None else "given up"


@dataclass(frozen=True)
class Delivery:
    """How delivery stands, all channels together."""

    waiting: int
    """Messages that no channel has taken yet."""
    oldest_waiting_at: datetime | None
    """When the oldest of these was written."""
    last_error: str
    """Why the last attempt with one of these failed."""
    given_up: int
    """Messages of the last day that nobody will get."""
    last_sent_at: datetime | None


def pause_after(attempts: int) -> timedelta:
    """Given how many attempts have failed, return how long to wait: 1, 2, 4, 8, then every 15 minutes."""
    doubled = FIRST_PAUSE * (1 << min(attempts - 1, 10))
    return min(LONGEST_PAUSE, doubled)


def add_messages(
    connection: sa.Connection,
    channels: Iterable[str],
    *,
    alert_id: str | None,
    event: Event,
    number: int,
    severity: str,
    subject: str,
    body: str,
    now: datetime,
    not_before: datetime | None = None,
) -> list[str]:
    """Write one message for each channel, inside the caller's transaction; return their ids.

    ``not_before``: when others may deliver it, where the caller is about to do so.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(now), "alert_id": alert_id, "event": event, "number": number, "channel": channel,
            "severity": severity, "subject": " ".join(subject.split())[:MAX_SUBJECT], "body": body, "created_at": now,
            "attempts": 0, "next_attempt_at": not_before or now, "sent_at": None, "error": "",
        }
        for channel in channels
    ]  # fmt: skip
    if rows:
        connection.execute(outbox.insert(), rows)
    return [row["id"] for row in rows]


def due(engine: sa.Engine, now: datetime, *, limit: int = 100) -> list[Message]:
    """Return the messages whose attempt is due, the oldest first; of each channel at most ``limit``.

    A channel that is away for days must not fill the round with what it does not take, and starve the others.
    One that is about the same alert and channel as an older waiting one is left for later: nobody reads that something
    is well again before they read that it was not. A message about several alerts may be about any, so it is waited
    for, too, but not for long. An attempt that is put off for longer than any pause was put off by a clock that was
    wrong: it is due.
    """
    older = outbox.alias("older")
    of_same_alert = sa.and_(older.c.alert_id == outbox.c.alert_id, older.c.number < outbox.c.number)
    of_several = sa.and_(
        sa.or_(older.c.event == "several", outbox.c.event == "several"),
        older.c.event != "test", outbox.c.event != "test", older.c.created_at < outbox.c.created_at,
        older.c.created_at > now - _SEVERAL_WAITS,
    )  # fmt: skip
    waits_for_another = (
        sa.exists()
        .where(older.c.channel == outbox.c.channel, older.c.next_attempt_at.is_not(None))
        .where(sa.or_(of_same_alert, of_several))
        .correlate(outbox)
    )
    place = sa.func.row_number().over(partition_by=outbox.c.channel, order_by=(outbox.c.created_at, outbox.c.id))
    ranked = (
        sa.select(outbox.c.id, place.label("place"))
        .where(sa.or_(outbox.c.next_attempt_at <= now, outbox.c.next_attempt_at > now + 2 * LONGEST_PAUSE))
        .where(sa.not_(waits_for_another))
        .subquery()
    )
    query = (
        sa.select(outbox)
        .join(ranked, ranked.c.id == outbox.c.id)
        .where(ranked.c.place <= limit)
        .order_by(outbox.c.created_at, outbox.c.id)
    )
    return _fetch(engine, query)


def claim(engine: sa.Engine, message: Message, now: datetime) -> bool:
    """Take a message for one attempt; False when somebody else did, or it is over."""
    with engine.begin() as connection:
        changed = connection.execute(
            outbox.update()
            .where(outbox.c.id == message.id, outbox.c.attempts == message.attempts)
            .where(outbox.c.next_attempt_at.is_not(None))
            .values(attempts=message.attempts + 1, next_attempt_at=now + CLAIM)
        )
    return changed.rowcount == 1


def mark_sent(engine: sa.Engine, message_id: str, now: datetime) -> None:
    """Note that the server has accepted a message."""
    with engine.begin() as connection:
        connection.execute(
            outbox.update().where(outbox.c.id == message_id).values(sent_at=now, next_attempt_at=None, error="")
        )


def mark_failed(
    engine: sa.Engine, message: Message, error: str, now: datetime, *, give_up_after: timedelta, final: bool = False
) -> None:
    """Note why an attempt failed and when the next one is due; none with ``final``, or after ``give_up_after``.

    What begins with REFUSED is tried at the longest pause at once: it waits for a person, not for a server.
    """
    over = final or now - message.created_at >= give_up_after
    pause = LONGEST_PAUSE if error.startswith(REFUSED) else pause_after(message.attempts + 1)
    following = None if over else now + pause
    with engine.begin() as connection:
        connection.execute(
            outbox.update()
            .where(outbox.c.id == message.id, outbox.c.sent_at.is_(None))
            .values(next_attempt_at=following, error=error)
        )


def give_up(engine: sa.Engine, message_id: str) -> None:
    """Try a message no more."""
    with engine.begin() as connection:
        connection.execute(outbox.update().where(outbox.c.id == message_id).values(next_attempt_at=None))


def delivery(engine: sa.Engine, now: datetime) -> Delivery:
    """Return how delivery stands. One query."""
    waits = outbox.c.next_attempt_at.is_not(None)
    error = sa.select(outbox.c.error).where(waits, outbox.c.error != "").order_by(outbox.c.created_at.desc()).limit(1)
    given_up = sa.select(sa.func.count()).where(
        outbox.c.next_attempt_at.is_(None), outbox.c.sent_at.is_(None), outbox.c.event != "test",
        outbox.c.created_at > now - timedelta(days=1),
    )  # fmt: skip
    query = sa.select(
        sa.func.count().label("waiting"),
        sa.func.min(outbox.c.created_at).label("oldest"),
        error.scalar_subquery().label("error"),
        sa.select(sa.func.max(outbox.c.sent_at)).scalar_subquery().label("last_sent"),
        given_up.scalar_subquery().label("given_up"),
    ).where(waits)
    with engine.connect() as connection:
        row = connection.execute(query).one()
    return Delivery(row.waiting, row.oldest, row.error or "", row.given_up, row.last_sent)


def recent_messages(engine: sa.Engine, *, limit: int = 100, alert_id: str | None = None) -> list[Message]:
    """Return messages, those that wait first, then the newest."""
    query = sa.select(outbox)
    if alert_id is not None:
        query = query.where(outbox.c.alert_id == alert_id)
    waiting = sa.case((outbox.c.next_attempt_at.is_not(None), 0), else_=1)
    return _fetch(engine, query.order_by(waiting, outbox.c.created_at.desc(), outbox.c.id.desc()).limit(limit))


def get_message(engine: sa.Engine, message_id: str) -> Message | None:
    """Return one message."""
    return next(iter(_fetch(engine, sa.select(outbox).where(outbox.c.id == message_id))), None)


def _fetch(engine: sa.Engine, query: sa.Select[Any]) -> list[Message]:
    with engine.connect() as connection:
        return [Message(**row._mapping) for row in connection.execute(query)]
