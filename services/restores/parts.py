"""Which entries of an archive make up a part of it: some tables or schemas, and what they need.

Pure: a table of contents in, a selection out. What a table needs (schema, types, functions, extensions, sequences) is
what pg_dump records; what belongs to it (data, indexes, constraints, triggers, …) is told by what it depends on and by
how pg_dump tags it. What belongs to it and needs a table outside the part, a foreign key say, is left out and named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from services.errors import InputError, NothingMatches
from services.names import unknown_name
from services.postgres.patterns import pattern_to_regexes
from services.postgres.toc import Entry, Toc

_RELATIONS = ("TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW")
_ASKABLE = (*_RELATIONS, "SEQUENCE")
_OF_A_TABLE = ("FK CONSTRAINT", "CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "RULE", "POLICY", "DEFAULT")
"""Tagged ``TABLE NAME``; may need other tables as well."""
_OF_ANYTHING = (
    "INDEX", "INDEX ATTACH", "TABLE ATTACH", "ROW SECURITY", "STATISTICS", "SEQUENCE", "SEQUENCE OWNED BY",
    "SEQUENCE SET", "COMMENT",
)  # fmt: skip
"""Belong to the part when all that they need does."""
_DATA = ("TABLE DATA", "MATERIALIZED VIEW DATA")
_NEVER = (
    "ACL", "DEFAULT ACL", "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "SUBSCRIPTION",
    "SUBSCRIPTION TABLE", "BLOB", "BLOBS", "BLOB METADATA", "EVENT TRIGGER", "DATABASE", "DATABASE PROPERTIES",
    "ENCODING", "STDSTRINGS", "SEARCHPATH", "SECURITY LABEL", "STATISTICS DATA",
)  # fmt: skip

Relation = tuple[str, str]


@dataclass(frozen=True)
class PartRequest:
    """What is asked for: patterns as pg_dump takes them. Empty: all of the backup."""

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.schemas)

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.tables, *(f"schema {schema}" for schema in self.schemas))


@dataclass(frozen=True)
class Part:
    """A selection of an archive's entries."""

    request: PartRequest
    entries: tuple[Entry, ...]
    """What is restored, in the archive's order."""
    whole: frozenset[Relation]
    """Tables and views that were asked for, partitions of tables that were among them: restored with their data."""
    defined: frozenset[Relation]
    """Those that these need, restored without data."""
    left_out: tuple[Entry, ...]
    """What belongs to them and needs a table outside the part."""

    @property
    def files(self) -> frozenset[str]:
        """Of directory format: the files that are needed."""
        return frozenset(entry.file for entry in self.entries if entry.file)

    def describe_left_out(self) -> tuple[str, ...]:
        """Return each thing that was left out in words."""
        return tuple(f"{entry.kind.lower()} {entry.label}" for entry in self.left_out)


def check_request(request: PartRequest) -> None:
    """Raise InputError for a pattern that cannot be one."""
    for pattern in (*request.tables, *request.schemas):
        _regexes(pattern)
    for pattern in request.schemas:
        if len(pattern_to_regexes(pattern)) > 1:
            raise InputError(f"{pattern!r} is no schema.", hint="Give tables with --table schema.name.")


def choose_part(toc: Toc, request: PartRequest) -> Part:
    """Return the part of an archive that was asked for. Raise NothingMatches naming each pattern without a match."""
    return _Chooser(toc.entries, request).choose()


class _Chooser:
    def __init__(self, entries: Sequence[Entry], request: PartRequest) -> None:
        self._request = request
        self._entries = [entry for entry in entries if entry.kind not in _NEVER]
        self._by_id = {entry.id: entry for entry in self._entries}
        self._relations = {entry.id for entry in self._entries if entry.kind in _RELATIONS}

    def choose(self) -> Part:
        asked = self._asked()
        core = self._closure(asked)
        left_out: list[Entry] = []
        before = -1
        while before != len(core):  # a foreign key needs a constraint, which is there after the first round
            before = len(core)
            left_out = []
            for entry in self._entries:
                if entry.id in core or not self._belongs(entry, asked, core):
                    continue
                needed = self._closure({entry.id})
                # A foreign key holds only where the rows that it points to are.
                if needed & self._relations <= (asked if entry.kind == "FK CONSTRAINT" else core):
                    core |= needed
                else:
                    left_out.append(entry)
        whole = {self._name(number) for number in asked if number in self._relations}
        return Part(
            request=self._request,
            entries=tuple(entry for entry in self._entries if entry.id in core or self._is_data(entry, asked)),
            whole=frozenset(whole),
            defined=frozenset({self._name(number) for number in core & self._relations} - whole),
            left_out=tuple(left_out),
        )

    def _asked(self) -> set[int]:
        asked: set[int] = set()
        empty = []
        for pattern in self._request.tables:
            found = {e.id for e in self._entries if e.kind in _ASKABLE and _matches(pattern, e.schema, e.tag)}
            asked |= found
            empty += [] if found else [f"table {pattern!r}"]
        for pattern in self._request.schemas:
            found = {e.id for e in self._entries if self._in_schema(e, pattern)}
            asked |= found
            empty += [] if found else [f"schema {pattern!r}"]
        if empty:
            raise NothingMatches(f"The backup has no {', no '.join(empty)}.", hint=self._what_there_is())
        return self._with_partitions(asked)

    def _in_schema(self, entry: Entry, pattern: str) -> bool:
        if entry.kind == "SCHEMA":
            return _matches(pattern, "", entry.tag)
        attached = entry.kind in (*_OF_A_TABLE, *_DATA) or (entry.kind in _OF_ANYTHING and entry.kind != "SEQUENCE")
        return bool(entry.schema) and not attached and _matches(pattern, "", entry.schema)

    def _what_there_is(self) -> str:
        known = [e.label for e in self._entries if e.kind in _ASKABLE]
        wanted = (self._request.tables or self._request.schemas)[0]
        return f"{unknown_name('table', wanted, known).hint} `backups contents` lists what it has."

    def _with_partitions(self, asked: set[int]) -> set[int]:
        """Return what was asked for, with the partitions of each table, to any depth."""
        attached = [e for e in self._entries if e.kind == "TABLE ATTACH"]
        before = -1
        while before != len(asked):
            before = len(asked)
            for entry in attached:
                children = {n for n in entry.needs if n in self._by_id and self._by_id[n].tag == entry.tag}
                if (set(entry.needs) - children) & asked:
                    asked |= children
        return asked

    def _belongs(self, entry: Entry, asked: set[int], core: set[int]) -> bool:
        if entry.kind in _OF_A_TABLE:
            owners = (self._by_id[n] for n in entry.needs if n in asked and n in self._by_id)
            return any(o.schema == entry.schema and entry.tag.startswith(f"{o.tag} ") for o in owners)
        if entry.kind == "TABLE ATTACH":
            return any(n in asked and self._by_id[n].tag == entry.tag for n in entry.needs)
        if entry.kind in ("INDEX", "ROW SECURITY", "STATISTICS"):
            return any(n in asked for n in entry.needs if n in self._relations)
        if entry.kind == "SEQUENCE":
            return any(n in asked for n in entry.needs)
        there = [n for n in entry.needs if n in self._by_id]
        return entry.kind in _OF_ANYTHING and bool(there) and all(n in core for n in there)

    def _is_data(self, entry: Entry, asked: set[int]) -> bool:
        return entry.kind in _DATA and any(n in asked for n in entry.needs)

    def _closure(self, numbers: Iterable[int]) -> set[int]:
        """Return what these are and need, to any depth, as far as it is in the archive; data aside."""
        found: set[int] = set()
        waiting = [n for n in numbers if n in self._by_id]
        while waiting:
            number = waiting.pop()
            if number not in found and self._by_id[number].kind not in _DATA:
                found.add(number)
                waiting += [n for n in self._by_id[number].needs if n in self._by_id]
        return found

    def _name(self, number: int) -> Relation:
        entry = self._by_id[number]
        return entry.schema, entry.tag


def only(toc: Toc, numbers: Collection[int]) -> Toc:
    """Return the table of contents with these entries alone."""
    return Toc(
        toc.format, toc.dbname, toc.server_version, toc.dumped_by, tuple(e for e in toc.entries if e.id in numbers)
    )


def _matches(pattern: str, schema: str, name: str) -> bool:
    regexes = _regexes(pattern)
    return bool(regexes[-1].match(name)) and (len(regexes) == 1 or bool(regexes[0].match(schema)))


def _regexes(pattern: str) -> list[re.Pattern[str]]:
    parts = pattern_to_regexes(pattern)
    if len(parts) > 2 or not pattern.strip():
        raise InputError(f"{pattern!r} is no table.", hint='Write schema.name; put odd names in quotes: "Odd Name".')
    try:
        return [re.compile(part.removesuffix("$") + r"\Z") for part in parts]
    except re.error as error:
        raise InputError(
            f"The pattern {pattern!r} cannot be read: {error}.", hint="Put it in double quotes."
        ) from error
