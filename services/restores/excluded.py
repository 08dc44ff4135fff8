"""What a partial backup cannot hold: its excluded tables, and whatever is built on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from services.backups.manifest import Manifest
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.fingerprint_objects import SEPARATOR
from services.postgres.patterns import pattern_to_regexes

_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)')
# The first separator outside double quotes: a quoted name may hold one.
_ENTRY = re.compile(rf'((?:"(?:[^"]|"")*"|[^"])*?){re.escape(SEPARATOR)}(.*)\Z', re.DOTALL)
_ANY_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_QUALIFIED = re.compile(rf"({_ANY_NAME})\.({_ANY_NAME})")
_READS = re.compile(r" reads (.*?)(?: as [0-9a-f]{32})?\Z", re.DOTALL)
_REFERENCES = re.compile(rf"REFERENCES ({_ANY_NAME})")
_INDEX_ON = re.compile(rf" ON (?:ONLY )?({_ANY_NAME})")

Relation = tuple[str, str]
"""Schema and name, unquoted."""


def split_entry(entry: str) -> tuple[str, str]:
    """Given an object of a fingerprint, return its identity and its definition (empty when it is only named)."""
    parts = _ENTRY.match(entry)
    return (parts[1], parts[2]) if parts else (entry, "")


def names_in(text: str) -> list[str]:
    """Return every identifier in a text, unquoted, in order."""
    return [quoted.replace('""', '"') or bare for quoted, bare in _NAME.findall(text)]


def relations_in(text: str) -> list[Relation]:
    """Return every ``schema.name`` in a text, unquoted, in order."""
    return [(_bare(schema), _bare(name)) for schema, name in _QUALIFIED.findall(text)]


def excluded_tables(manifest: Manifest) -> list[Relation] | None:
    """Return the relations that a backup left out, by its manifest; None for one that holds the patterns only."""
    listed = manifest.document.get("excluded_tables")
    return None if listed is None else [(schema, name) for schema, name in listed]


class Excluded:
    """The relations that a backup leaves out, and what of the source's objects is built on them.

    Decided on exact (schema, name) pairs. The indexes, triggers and constraints of an excluded table are in no
    fingerprint; so nothing that belongs to another table is ever dependent, but its foreign keys to an excluded one and
    its rules that name one. Views and functions name relations with their schema. Foreign keys and rules do not: the
    fingerprint lists those that are built on an excluded table. Where it does not (an old manifest), and for rules that
    name a view, a bare name counts only when nothing of that name, in any schema, is in the backup.
    """

    def __init__(
        self, patterns: Collection[str], expected: Fingerprint, relations: Collection[Relation] | None = None
    ) -> None:
        """``relations``: what was left out; None (an old manifest): what ``patterns`` match and ``expected`` lacks."""
        self._relations = None if relations is None else frozenset(relations)
        self._regexes = [_compiled(pattern) for pattern in patterns] if relations is None else []
        self._listed = expected.on_excluded
        self._kept = _relations_of(expected)
        self._kept_names: set[str] = set()
        self.dependent: set[tuple[str, str]] = set()
        """(kind, identity) of the objects that cannot be restored without the excluded tables."""
        self._views: set[Relation] = set()
        if patterns or relations:
            self._find_dependent(expected.objects)

    def has_view(self, schema: str, name: str) -> bool:
        """Say whether this view is built on an excluded table."""
        return (schema, name) in self._views

    def explains_comment(self, identity: str) -> bool:
        """Given ``on VIEW``, ``on VIEW.COLUMN`` or ``on FUNCTION(…)``, say whether that cannot be in the backup."""
        commented = identity.removeprefix("on ")
        on_view = not self._views.isdisjoint(relations_in(commented)[:1])
        return on_view or ("functions", commented) in self.dependent

    def owns_sequence(self, name: str) -> bool:
        """Given ``schema.name``, say whether that sequence goes with the excluded tables.

        Where only patterns are known, it is told by the name that PostgreSQL gives it: ``TABLE_COLUMN_seq``.
        """
        schema, _, sequence = name.partition(".")
        if self._relations is not None:
            return (schema, sequence) in self._relations
        words = sequence.split("_")
        return any(self._is_left_out((schema, "_".join(words[:count]))) for count in range(1, len(words) + 1))

    def _find_dependent(self, objects: Mapping[str, Iterable[str]]) -> None:
        """Look until nothing more is found: a view on a view on an excluded table needs a second round."""
        entries = [(kind, *split_entry(entry)) for kind in _BUILT for entry in objects.get(kind, ())]
        before = -1
        while before != len(self.dependent):
            before = len(self.dependent)
            self._kept_names = {name for _, name in self._kept - self._views}
            for kind, identity, definition in entries:
                if self._is_built_on_gone(kind, identity, definition):
                    self.dependent.add((kind, identity))
                    if kind == "views":
                        self._views.update(relations_in(identity))
        self.dependent |= {
            ("sequences", identity)
            for identity, _ in map(split_entry, objects.get("sequences", ()))
            if self.owns_sequence(".".join(names_in(identity)))
        }

    def _is_built_on_gone(self, kind: str, identity: str, definition: str) -> bool:
        if kind == "views":
            read = _READS.search(definition)
            return read is not None and any(map(self._is_gone, relations_in(read[1])))
        if kind == "functions":
            # The first is the function itself; its arguments and its result may be rows of a table.
            return any(map(self._is_gone, (*relations_in(identity)[1:], *relations_in(definition))))
        if kind == "indexes":  # lies in the schema of its relation, which may be a materialized view
            on = _INDEX_ON.search(definition)
            return on is not None and (relations_in(identity)[0][0], _bare(on[1])) in self._views
        if identity in (self._listed or {}).get(kind, ()):
            return True
        if kind == "constraints":
            target = _REFERENCES.search(definition)
            return self._listed is None and target is not None and self._is_target_gone(_bare(target[1]))
        if not self._views.isdisjoint(relations_in(identity)):
            return True  # a trigger or a rule on such a view
        return kind != "triggers" and any(map(self._is_name_gone, names_in(definition)))

    def _is_gone(self, relation: Relation) -> bool:
        return relation in self._views or self._is_left_out(relation)

    def _is_left_out(self, relation: Relation) -> bool:
        if self._relations is not None:
            return relation in self._relations
        schema, name = relation
        return relation not in self._kept and any(
            table.match(name) and (in_schema is None or in_schema.match(schema)) for in_schema, table in self._regexes
        )

    def _is_target_gone(self, name: str) -> bool:
        """Say whether the table that a foreign key references is left out: no table of that name is in the backup."""
        return name not in self._kept_names and (self._relations is None or self._is_name_gone(name))

    def _is_name_gone(self, name: str) -> bool:
        """Say whether a word in a rule can only be a relation that is not there.

        Without the relations nothing is told of words: every one would fit the pattern of a whole schema. Where the
        rules on excluded tables are listed, only views are left to be told by their names.
        """
        if name in self._kept_names:
            return False
        relations = self._relations if self._listed is None and self._relations is not None else ()
        return any(name == gone for _, gone in (*self._views, *relations))


_BUILT = ("views", "functions", "indexes", "constraints", "triggers", "rules")
"""Kinds of objects that may be built on an excluded table."""


def _relations_of(fingerprint: Fingerprint) -> frozenset[Relation]:
    """Return the tables and views that are in a backup."""
    found = {(table.schema, table.name) for table in fingerprint.tables}
    for kind in ("tables", "views"):
        for entry in fingerprint.objects.get(kind, ()):
            found.update(relations_in(split_entry(entry)[0]))
    return frozenset(found)


def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    """Return what schema and name have to match; no schema where the pattern names none."""
    parts = [re.compile(part) for part in pattern_to_regexes(pattern)]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
