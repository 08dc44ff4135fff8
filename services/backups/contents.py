"""What a backup holds, without fetching all of it: its table of contents, and what the fingerprint counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.backups.manifest import Manifest
from services.catalog.model import Backup
from services.clock import isoformat
from services.errors import KeyMismatch, NotADump, NotThawed
from services.installation import Installation
from services.jobs.unwatched import Unwatched
from services.postgres.toc import Entry, Toc
from services.restores.copies import choose_copy
from services.restores.evidence import read_evidence
from services.restores.excluded import split_entry
from services.restores.head import read_head
from services.restores.thawed import ensure_readable

_NO_OBJECTS = ("ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES", "TABLE", "TABLE DATA")
"""Entries that are settings of the archive, or are told with the tables."""

_COUNTED_ELSEWHERE = ("tables", "large objects")
"""Kinds of a fingerprint that are no lists of names, or are told with the tables."""


@dataclass(frozen=True)
class HeldTable:
    """A table in a backup. Sizes in bytes; None where nobody knows."""

    schema: str
    name: str
    kind: str
    """``table``, ``partitioned table`` (which has no rows of its own), ``materialized view``."""
    has_data: bool
    """False: its definition alone."""
    rows: int | None
    """As the fingerprint counted them in the dump's own snapshot."""
    bytes: int | None
    """In the source, without indexes."""
    dumped_bytes: int | None = None
    """As pg_dump wrote it; known of directory format."""
    packed_bytes: int | None = None
    """As it lies in the object, compressed; known of directory format."""

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Contents:
    """What a backup holds."""

    backup: Backup
    known_from: Literal["archive", "manifest"]
    """``manifest``: its archive could not be read now (``why_not`` says why); other objects by their fingerprint."""
    tables: tuple[HeldTable, ...]
    objects: Mapping[str, tuple[str, ...]]
    """Everything but tables: kind, as pg_dump calls it, -> names, sorted."""
    read_bytes: int = 0
    """So much of the stored object was read for it."""
    why_not: str = ""
    excluded_tables: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form of ``backups contents --json``."""
        backup = self.backup
        return {
            "backup": backup.name,
            "id": backup.id,
            "database": backup.database,
            "snapshot_at": isoformat(backup.snapshot_at),
            "format": backup.format,
            "known_from": self.known_from,
            "why_not": self.why_not,
            "read_bytes": self.read_bytes,
            "stored_bytes": backup.stored_bytes,
            "excluded": list(backup.excluded),
            "excluded_tables": list(self.excluded_tables),
            "tables": [
                {
                    "schema": t.schema,
                    "name": t.name,
                    "kind": t.kind,
                    "has_data": t.has_data,
                    "rows": t.rows,
                    "bytes": t.bytes,
                    "dumped_bytes": t.dumped_bytes,
                    "packed_bytes": t.packed_bytes,
                }
                for t in self.tables
            ],
            "objects": {kind: list(names) for kind, names in self.objects.items()},
        }


def read_contents(installation: Installation, backup: Backup, *, storage: str | None = None) -> Contents:
    """Return what a backup holds, by its table of contents where that can be read now, by its manifest otherwise.

    Of the object only the beginning is read, so that nothing is said of whether the rest is whole. Raise InputError,
    UntrustedManifest, CorruptBackup, StorageError.
    """
    copy = choose_copy(installation, backup, storage)
    manifest = read_evidence(installation, backup, copy)
    looking = Unwatched()
    try:
        readable = ensure_readable(installation, backup, copy, looking)
        toc = read_head(installation, manifest.backup, readable, looking)
    except (KeyMismatch, NotThawed, NotADump) as error:
        if manifest.fingerprint is None:
            raise
        return contents_of_manifest(manifest, why_not=error.message)
    return Contents(
        backup=backup,
        known_from="archive",
        tables=_tables(toc, manifest),
        objects=_objects(toc),
        read_bytes=looking.bytes_done,
        excluded_tables=_excluded(manifest),
    )


def contents_of_manifest(manifest: Manifest, *, why_not: str = "") -> Contents:
    """Return what the fingerprint in a manifest tells, for which the object need not be read at all.

    Of an adopted file there is none, and the contents are empty.
    """
    found = manifest.fingerprint
    listed: Mapping[str, tuple[str, ...]] = found.objects if found else {}
    objects = {kind: tuple(sorted({split_entry(entry)[0] for entry in entries})) for kind, entries in listed.items()}
    tables = tuple(HeldTable(t.schema, t.name, t.kind, True, t.rows, t.bytes) for t in (found.tables if found else ()))
    return Contents(
        backup=manifest.backup,
        known_from="manifest",
        tables=tables,
        objects={kind: names for kind, names in sorted(objects.items()) if names and kind not in _COUNTED_ELSEWHERE},
        why_not=why_not,
        excluded_tables=_excluded(manifest),
    )


def _excluded(manifest: Manifest) -> tuple[str, ...]:
    return tuple(f"{schema}.{name}" for schema, name in manifest.document.get("excluded_tables") or ())


def _tables(toc: Toc, manifest: Manifest) -> tuple[HeldTable, ...]:
    counted = {(t.schema, t.name): t for t in manifest.fingerprint.tables} if manifest.fingerprint else {}
    files = manifest.files or {}
    data = {(e.schema, e.tag): e for e in toc.entries if e.kind == "TABLE DATA"}
    tables = []
    for entry in toc.entries:
        if entry.kind not in ("TABLE", "MATERIALIZED VIEW"):
            continue
        key = (entry.schema, entry.tag)
        known, with_data = counted.get(key), data.get(key)
        sizes = files.get(with_data.file) if with_data else None
        tables.append(
            HeldTable(
                schema=entry.schema,
                name=entry.tag,
                kind=_kind(entry),
                has_data=with_data is not None,
                rows=known.rows if known else None,
                bytes=known.bytes if known else None,
                dumped_bytes=sizes[0] if sizes else None,
                packed_bytes=sizes[1] if sizes else None,
            )
        )
    return tuple(sorted(tables, key=lambda table: (table.schema, table.name)))


def _kind(entry: Entry) -> str:
    if entry.kind == "MATERIALIZED VIEW":
        return "materialized view"
    last = entry.definition.rstrip().rpartition("\n)\n")[2]
    return "partitioned table" if last.startswith("PARTITION BY") else "table"


def _objects(toc: Toc) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for entry in toc.entries:
        if entry.kind not in _NO_OBJECTS and entry.kind != "MATERIALIZED VIEW":
            found.setdefault(entry.kind, []).append(entry.label)
    return {kind: tuple(sorted(names)) for kind, names in sorted(found.items())}
