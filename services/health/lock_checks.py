"""What is checked of object lock: that what is to be locked is, and where nothing can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from services.backups.locking import find_unlocked
from services.health.facts import Facts
from services.health.model import HealthCheck, Subject

NO_LOCK = "Whoever has its credential can delete every backup in it: nothing is locked."
LOCK_IT = 'Set object_lock = "governance", on a bucket that has object lock; or object_lock = "none" where it has not.'


def locks(facts: Facts) -> Iterator[HealthCheck]:
    """Is what an S3 storage is to lock locked? One query, and none where nothing is."""
    storages = [one for one in facts.installation.settings.storages if not one.is_local]
    if not storages:
        return
    waiting = Counter(one.storage for one in find_unlocked(facts.installation))
    for storage in storages:
        subject = Subject("storage", storage.name)
        if storage.object_lock is None:
            yield HealthCheck("object_lock", subject, "warning", NO_LOCK, LOCK_IT)
        elif storage.object_lock == "none":
            yield HealthCheck("object_lock", subject, "ok", "Nothing is locked, as the settings say.")
        elif waiting[storage.name]:
            many = waiting[storage.name]
            noun = "backup is" if many == 1 else "backups are"
            said = f"{many:,} {noun} not locked and should be ({storage.object_lock})."
            hint = "`backups doctor` says why; the next backup or health check locks them."
            yield HealthCheck("object_lock", subject, "failure", said, hint, count=many)
        else:
            yield HealthCheck("object_lock", subject, "ok", f"All locked that is to be ({storage.object_lock}).")
