"""Which of the manifests that were found speaks for a backup, when several claim the same id or the same name.

A manifest that is believed goes before one that is not, one that agrees with the catalogue before one that does not,
and then the one that was stored first: what somebody adds later to a storage cannot take a backup's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from services.catalog.model import Backup

_TRUST = {"signed": 0, "unsigned": 1, "untrusted": 2}


@dataclass(frozen=True)
class Candidate:
    """A manifest that was read, as the backup that it describes; its one copy is as the storage lists it."""

    backup: Backup
    where: str
    """The manifest's address."""
    stored_at: datetime
    made_from: str = ""
    """sha256 of the object that it was before it was compressed anew; empty for one that was not."""


def choose(
    candidates: Iterable[Candidate], known: Mapping[str, Backup]
) -> tuple[list[Backup], list[tuple[Candidate, str]]]:
    """Return the backups, each with all its copies, and the manifests that speak for none, each with the reason.

    ``known``: the catalogue's backups by id. Their names are taken, too.
    """
    chosen: dict[str, Backup] = {}
    replaced: dict[str, str] = {}  # by id, the sha256 that the chosen manifest says it has replaced
    refused: list[tuple[Candidate, str]] = []
    names = {(backup.database, backup.name): backup.id for backup in known.values()}
    for candidate in sorted(candidates, key=lambda c: _rank(c, known.get(c.backup.id))):
        backup = candidate.backup
        first = chosen.get(backup.id)
        if first is not None and first.trust == backup.trust and replaced[backup.id] == backup.sha256:
            continue  # it is the manifest of what was replaced: a crash kept it from being written anew
        reason = _against(candidate, known.get(backup.id), first, names)
        if reason:
            refused.append((candidate, reason))
        elif first is None:
            chosen[backup.id] = backup
            replaced[backup.id] = candidate.made_from
            names[backup.database, backup.name] = backup.id
        else:
            chosen[backup.id] = replace(first, copies=first.copies + backup.copies)
    return list(chosen.values()), refused


def _rank(candidate: Candidate, known: Backup | None) -> tuple[int, bool, bool, datetime, str]:
    agrees = known is not None and is_in_its_place(candidate.backup, known)
    # What replaces another was stored later by its nature; that it may go first must be signed.
    replaces = bool(candidate.made_from) and candidate.backup.trust == "signed"
    return _TRUST[candidate.backup.trust], not agrees, not replaces, candidate.stored_at, candidate.where


def _against(
    candidate: Candidate, known: Backup | None, first: Backup | None, names: Mapping[tuple[str, str], str]
) -> str:
    """Return what speaks against a manifest, empty for nothing."""
    backup = candidate.backup
    if known is not None and known.trust == "untrusted" and backup.trust != "untrusted":
        known = None  # what is known came from a manifest that was not believed
    holder = names.get((backup.database, backup.name))
    if holder is not None and holder != backup.id:
        return f"{backup.database} has another backup called {backup.name}, with the id {holder}"
    if known is not None and not is_in_its_place(backup, known):
        return f"it carries the id of {known.database}'s backup {known.name}, which is not kept there"
    if first is not None and (first.database, first.name) != (backup.database, backup.name):
        return f"it carries the id of {first.database}'s backup {first.name}"
    if first is not None and (first.sha256, first.trust) != (backup.sha256, backup.trust):
        return f"it is not a copy of the backup {first.name} elsewhere: their contents or signatures differ"
    replaces = backup.trust == "signed" and known is not None and candidate.made_from == known.sha256
    if known is not None and backup.trust != "untrusted" and known.sha256 != backup.sha256 and not replaces:
        return f"it describes other bytes than the catalogue does for {known.name}"
    return ""


def is_in_its_place(backup: Backup, known: Backup) -> bool:
    """Say whether a manifest lies where the catalogue's backup is: under its name, in a storage that has a copy.

    A signed one may also be in a further storage: somebody copied the backup there.
    """
    same = (backup.database, backup.name) == (known.database, known.name)
    copy = backup.copies[0]
    there = any(copy.storage == each.storage or copy.location == each.location for each in known.copies)
    return same and (backup.trust == "signed" or there)
