"""Two databases compared as they are now, without a backup between them: ``backups compare DSN DSN``."""

from __future__ import annotations

from services.jobs.context import RunContext
from services.postgres.connection import Address
from services.postgres.fingerprint import take_fingerprint
from services.restores.compare import compare_fingerprints
from services.restores.comparison_model import Comparison
from services.restores.proof import EVERY_SIZE


def compare_databases(left_url: str, right_url: str, *, run: RunContext | None = None) -> Comparison:
    """Given two URLs, return how the right database differs from the left one.

    Each is read in a snapshot of its own: rows that are written meanwhile are differences. Raise SettingsError for a
    URL that cannot be read, ConnectionFailed, BackupsError when a table cannot be read.
    """
    left, right = Address.parse(left_url), Address.parse(right_url)
    expected = take_fingerprint(left, snapshot_id=None, hash_limit=EVERY_SIZE, run=run)
    actual = take_fingerprint(right, snapshot_id=None, hash_limit=EVERY_SIZE, like=expected, run=run)
    return compare_fingerprints(expected, actual)
