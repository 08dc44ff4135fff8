"""Whether a machine holds a secret key that nothing on it needs."""

from __future__ import annotations

from collections.abc import Iterator

from services.credentials.role import Finding
from services.schedules.cron import check_cron
from services.settings.model import Settings


def check_secret_key(settings: Settings) -> Iterator[Finding]:
    """Say when the secret key is here although nothing scheduled reads a backup: public keys suffice for backing up."""
    if not settings.secret_keys() or settings.sample:
        return
    reads = any(
        check_cron(database.restore_test_schedule)
        or check_cron(database.verification_schedule)
        or database.verify_after == "archive"
        for database in settings.databases
    )
    if reads:
        return
    message = "The secret key is here, although nothing scheduled reads a backup: whoever takes this machine can."
    hint = "Set BACKUP_SIGNING_KEY and BACKUP_RECIPIENTS here, BACKUP_ENCRYPTION_KEY only where backups are tested."
    yield "warning", message, hint
