"""What the fingerprint says of a part of a backup: that is what the restored part has to equal."""

from __future__ import annotations

from dataclasses import replace

from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.restores.excluded import Relation, names_in, split_entry
from services.restores.parts import Part

_ON_TABLE = ("constraints", "triggers", "rules", "policies")
"""Kinds whose identity is ``NAME on SCHEMA.TABLE``."""
_RELATIONS = ("tables", "columns")
"""Kinds whose identity begins with ``SCHEMA.TABLE``."""


def expected_of(part: Part, whole: Fingerprint, actual: Fingerprint) -> Fingerprint:
    """Return the fingerprint that a restored part should have.

    Tables that were asked for are as in the source; those that they need are empty. Of the other objects those are
    expected that are there, each as it was in the source, so that one that changed is found; and, whether they are
    there or not, the constraints, triggers, rules, policies and indexes of the tables that were asked for, but for what
    was left out and named.
    """
    there = {(table.schema, table.name) for table in actual.tables}
    tables = [_of_part(table, part) for table in whole.tables]
    # A view that is only defined has not been computed, and is not counted.
    kept = [t for t in tables if t is not None and (t.kind == "table" or (t.schema, t.name) in there | part.whole)]
    indexes = {(e.schema, e.tag) for e in part.entries if e.kind == "INDEX"}
    moved = {f"{e.schema}.{e.tag}" for e in part.entries if e.kind == "SEQUENCE SET"}
    left_out = {(entry.schema, entry.tag) for entry in part.left_out}
    objects = {}
    for kind, entries in whole.objects.items():
        have = {split_entry(entry)[0]: entry for entry in actual.objects.get(kind, ())}
        objects[kind] = tuple(
            # What is only defined lacks its defaults, identities, row security: it is taken as it is.
            have[identity] if kind in _RELATIONS and identity in have and _is_defined(identity, part) else entry
            for entry in entries
            if (identity := split_entry(entry)[0]) in have or _must_be_there(kind, identity, part, indexes, left_out)
        )
    objects["large objects"] = actual.objects.get("large objects", ())  # no part has any
    sequences = {name: value for name, value in whole.sequences.items() if name in actual.sequences or name in moved}
    return replace(whole, tables=tuple(kept), sequences=sequences, objects=objects)


def _of_part(table: TableFingerprint, part: Part) -> TableFingerprint | None:
    name = (table.schema, table.name)
    if name in part.whole:
        return table
    if name in part.defined:
        return replace(table, rows=0, hash=None if table.hash is None else "0")
    return None


def _is_defined(identity: str, part: Part) -> bool:
    """Say whether a table, or a column's table, is only defined."""
    schema, name = names_in(identity)[:2]
    return (schema, name) in part.defined


def _must_be_there(
    kind: str, identity: str, part: Part, indexes: set[Relation], left_out: set[tuple[str, str]]
) -> bool:
    names = names_in(identity)
    if kind == "indexes":
        return tuple(names) in indexes
    if kind not in _ON_TABLE or len(names) < 3:
        return False
    name, schema, table = names[0], names[-2], names[-1]
    return (schema, table) in part.whole and (schema, f"{table} {name}") not in left_out
