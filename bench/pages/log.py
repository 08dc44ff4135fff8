"""The log of one server: a sample a minute for as long as they are kept, and a fortnight of segments in the archive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench.pages.past import PastRow
from services.catalog import schema
from services.catalog.wal_samples import KEPT
from services.pitr.wal_keys import WalKey

SYSTEM_IDENTIFIER = "7440000000000000001"
_SEGMENT = 16 << 20
_EVERY = timedelta(minutes=5)
_ARCHIVED = timedelta(days=14)


def tell_samples(database: str, now: datetime) -> Iterator[PastRow]:
    """Return the rows of ``wal_samples``: a server that ends a segment every 5 minutes."""
    at, minutes = now - KEPT, 0
    while (at := at + timedelta(minutes=1)) <= now:
        minutes += 1
        archived = minutes // 5 * _SEGMENT
        yield PastRow(
            schema.wal_samples,
            {
                "database": database, "at": at, "current_lsn": archived + minutes % 5 * (_SEGMENT // 5),
                "archived_lsn": archived, "archived_at": at - timedelta(minutes=minutes % 5),
                "lag_bytes": minutes % 5 * (_SEGMENT // 5), "slot_lag_bytes": None, "missing": 0, "first_missing": "",
                "last_missing": "", "error": "",
            },
        )  # fmt: skip


def write_archive(storage: Path, database: str) -> int:
    """Lay empty objects with the names of a fortnight's segments into a local storage; return how many.

    A listing reads names alone, so their content is no matter.
    """
    count = _ARCHIVED // _EVERY
    for number in range(1, count + 1):
        name = f"{1:08X}{number // 256:08X}{number % 256:08X}"
        path = storage / WalKey(database, SYSTEM_IDENTIFIER, name, f"{number:032x}", encrypted=True).text()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return count
