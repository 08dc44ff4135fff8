"""What an incremental base backup stands on: its parent, that one's backup manifest, and the whole chain.

The server needs the parent's backup manifest to know what has changed since. It lies in the stored tar, at its very
end; a copy of the newest ones is kept beside the catalogue, so that the parent need not be read for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from services.errors import CorruptBackup, InputError
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_model import BaseBackup, bases_of
from services.pitr.base_scan import BaseScan
from services.pitr.source import Source
from services.restores.copies import choose_copy
from services.restores.fetch import fetch_plain

FIRST_MAJOR = 17
"""The first version that takes incremental base backups."""
MOST = 30
"""Incremental ones in a chain: a restore lays all of them out."""
_KEPT = 3


def choose_parent(installation: Installation, database: str, source: Source) -> BaseBackup:
    """Return the newest base backup that a new one may stand on. Raise InputError when there can be none."""
    if source.major < FIRST_MAJOR or not source.summarize_wal:
        why = f"PostgreSQL {source.major} has none" if source.major < FIRST_MAJOR else "summarize_wal is off"
        raise InputError(
            f"An incremental base backup cannot be taken: {why}.",
            hint="Take a full one; from 17 on: ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();",
        )
    bases = usable(bases_of(installation.catalog.backups.list(database=database, type="base", state="finished")))
    if not bases:
        raise InputError(
            f"{database} has no sound base backup that an incremental one could stand on.",
            hint="Take a full one first.",
        )
    parent = bases[-1]
    if len(chain_of(parent, {base.backup.id: base for base in bases})) > MOST:
        raise InputError(
            f"{parent.backup.name} ends a chain of {MOST} incremental base backups.", hint="Take a full one."
        )
    return parent


def usable(bases: Iterable[BaseBackup]) -> list[BaseBackup]:
    """Return those whose whole chain is among them, in the same order."""
    given = list(bases)
    known = {base.backup.id: base for base in given}
    return [base for base in given if chain_of(base, known)]


def chain_of(base: BaseBackup, known: Mapping[str, BaseBackup]) -> list[BaseBackup]:
    """Return the chain that a base backup ends, the full one first; empty when a part of it is not known."""
    chain = [base]
    while (parent := chain[0].parent_id) is not None:
        if parent not in known or any(one.backup.id == parent for one in chain):
            return []
        chain.insert(0, known[parent])
    return chain


def keep_manifest(home: Path, backup_id: str, data: bytes) -> None:
    """Keep the backup manifest of a base backup at hand, and no more than the newest few."""
    folder = home / "base-manifests"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / backup_id, data)
    newest_first = sorted(folder.iterdir(), key=lambda path: path.name, reverse=True)  # identifiers sort by time
    for old in newest_first[_KEPT:]:
        old.unlink(missing_ok=True)


def manifest_file(installation: Installation, parent: BaseBackup, folder: Path, run: RunContext) -> Path:
    """Write a parent's backup manifest into a private folder and return its path: the kept one, or the stored one.

    Raise CorruptBackup when neither is the one that was recorded, and what reading the stored backup raises.
    """
    path = folder / "backup_manifest"
    kept = installation.settings.home / "base-manifests" / parent.backup.id
    data = kept.read_bytes() if kept.is_file() else b""
    if hashlib.sha256(data).hexdigest() != parent.manifest_sha256:
        run.phase("reading what it stands on", total_bytes=parent.backup.stored_bytes)
        scan = BaseScan()
        fetch_plain(installation, parent.backup, choose_copy(installation, parent.backup, None), scan.feed, run)
        scan.finish()
        data = scan.manifest_bytes
    if hashlib.sha256(data).hexdigest() != parent.manifest_sha256:
        raise CorruptBackup(
            f"The backup manifest of {parent.backup.name} is not the one that was recorded.", hint="Take a full one."
        )
    _write(path, data)
    return path


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
