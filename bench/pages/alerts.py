"""The alerts of the years: each database in trouble every few weeks, each alert told by two messages and resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from bench.pages.past import PEOPLE, PastRow
from services.catalog import schema
from services.ids import new_id

_EVERY = timedelta(days=20)
_CHECK = "backup_run"


def tell_alerts(databases: Sequence[str], now: datetime, days: int) -> Iterator[PastRow]:
    """Return the rows of ``alerts`` and ``outbox``, an alert before its messages; the same plan gives the same rows."""
    random = Random(7)
    for database in databases:
        opened = now - timedelta(days=days)
        while (opened := opened + _EVERY * random.uniform(0.5, 1.5)) < now - timedelta(days=1):
            resolved = opened + timedelta(hours=random.uniform(0.5, 20))
            alert_id = _id(opened, random)
            sentence = "The last backup run failed: pg_dump did not finish."
            yield PastRow(
                schema.alerts,
                {
                    "id": alert_id, "key": f"{_CHECK}/database/{database}", "open_key": None, "check": _CHECK,
                    "subject_kind": "database", "subject": database, "severity": "failure", "sentence": sentence,
                    "hint": "Look into its log.", "count": 1, "since": opened, "opened_at": opened,
                    "notified_at": resolved, "messages": 2, "well_since": resolved, "acknowledged_at": opened,
                    "acknowledged_by": random.choice(PEOPLE), "note": "Looking.", "action": "",
                    "resolved_at": resolved, "resolution": "The next run succeeded.",
                },
            )  # fmt: skip
            for number, (event, at) in enumerate((("opened", opened), ("resolved", resolved)), start=1):
                yield PastRow(
                    schema.outbox,
                    {
                        "id": _id(at, random), "alert_id": alert_id, "event": event, "number": number,
                        "channel": "mail", "severity": "failure", "subject": f"[FAILURE] {database}: backup run",
                        "body": sentence, "created_at": at, "attempts": 1, "next_attempt_at": None,
                        "sent_at": at + timedelta(seconds=3), "error": "",
                    },
                )  # fmt: skip


def _id(at: datetime, random: Random) -> str:
    return new_id(at)[:10] + f"{random.getrandbits(40):010x}"
