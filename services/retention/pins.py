"""Storing pins beside their backups, so that the loss of the catalogue loses none."""

from __future__ import annotations

from services.backups.marks import write_mark
from services.backups.mounted import mounted_storage
from services.catalog.model import Backup
from services.catalog.pins import Pin
from services.errors import BackupsError, StorageUnavailable
from services.installation import Installation


def store_waiting_pins(installation: Installation) -> list[str]:
    """Write the mark of each pin that has none beside its backup yet; return what could not be written, and why.

    Called by the worker every few seconds, and by the command line after a pin. What fails is tried again.
    """
    problems: list[str] = []
    away: set[str] = set()
    for pin in installation.catalog.pins.waiting():
        backup = installation.catalog.backups.get(pin.backup_id)
        if _store(installation, backup, pin, away, problems):
            installation.catalog.pins.set_stored(pin)
    return problems


def _store(installation: Installation, backup: Backup, pin: Pin, away: set[str], problems: list[str]) -> bool:
    """Write a pin's mark beside every copy; return whether that is done, also when there is none to write beside."""
    done = True
    if backup.state != "finished":
        return True
    for copy in backup.copies:
        if copy.state == "deleted":
            continue
        if copy.storage in away:
            done = False
            continue
        try:
            storage = mounted_storage(installation, copy.storage)
            write_mark(
                installation.settings, storage, backup, "pin", set=pin.pinned, at=pin.at, actor=pin.actor,
                reason=pin.reason,
            )  # fmt: skip
        except BackupsError as error:
            done = False
            problems.append(f"The pin of {backup.name} is not stored in {copy.storage} yet: {error}")
            if isinstance(error, StorageUnavailable):
                away.add(copy.storage)
    return done
