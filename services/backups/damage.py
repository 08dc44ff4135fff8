"""What is damaged of one backup, in words: what is lost, what is still safe, and what can be relied on instead."""

from __future__ import annotations

from dataclasses import dataclass

from services.catalog.model import Backup
from services.installation import Installation


@dataclass(frozen=True)
class Damage:
    """How far a damaged backup is lost."""

    is_lost: bool
    """Whether no copy was read to its end since it is known; else only a copy is damaged, or gone."""
    title: str
    sentences: tuple[str, ...]
    proven: Backup | None
    """The newest proven backup of its database that is kept, unless it is this one."""


def tell_damage(installation: Installation, backup: Backup) -> Damage | None:
    """Say what is damaged or gone of a kept backup; None for one of which all is well. Three queries."""
    bad = [copy for copy in backup.copies if copy.state in ("damaged", "missing")]
    if backup.state != "finished" or (not bad and backup.verification_passed is not False):
        return None
    catalog = installation.catalog
    with catalog.engine.connect() as connection:
        verdict = catalog.verifications.verdict(backup.id, connection)
    stored = [copy.storage for copy in backup.copies if copy.state == "stored"]
    safe = verdict.safe_in(stored, [storage.name for storage in installation.settings.storages])
    unread = [] if verdict.of_backup else [s for s in stored if s not in verdict.read_in | verdict.condemned_in]
    lost = " ".join(f"Its copy in {copy.storage} is {copy.state}." for copy in bad)
    said = [lost] if lost else []
    if verdict.of_backup:
        said.append("Its stored bytes are as written, and yet do not give the data back: every copy is as bad.")
    if safe:
        said.append(f"The backup is safe in {', '.join(safe)}, where it was read to its end and has not failed since.")
    elif unread:
        said.append(f"Its copy in {', '.join(unread)} was not read yet: nobody knows whether it is whole. Verify it.")
    else:
        said.append("No copy of it vouches for its data: what only it held is lost.")
    proven = catalog.backups.latest_proven(backup.database)
    if proven is None:
        said.append(f"No backup of {backup.database} that is kept is proven: take a new one, and test it.")
    elif proven.id == backup.id:
        said.append(f"It is still the newest proven backup of {backup.database}.")
    else:
        said.append(f"The newest proven backup of {backup.database} is {proven.name}.")
    if safe:
        state = "missing" if all(copy.state == "missing" for copy in bad) else "damaged"
        title = f"A copy is {state}, the backup is safe"
    else:
        title = "Damaged" if verdict.passed is False else "No good copy"
    return Damage(not safe, title, tuple(said), None if proven is None or proven.id == backup.id else proven)
