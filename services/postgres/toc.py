"""The table of contents of a pg_dump archive, read from its beginning alone.

``pg_restore --list`` prints it without quotes and without what depends on what. The format is that of
``pg_backup_archiver.c`` (``ReadHead``, ``ReadToc``) of PostgreSQL 12 to 18, versions 1.14 to 1.16; of older archives
1.12 and 1.13, which differ in nothing but the access method.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.errors import NotADump

MAGIC = b"PGDMP"
_OLDEST, _NEWEST = (1, 12), (1, 16)
_ACCESS_METHOD, _COMPRESSION_BYTE, _RELATION_KIND = (1, 14), (1, 15), (1, 16)
_CUSTOM, _TAR, _DIRECTORY = 1, 3, 5
_MOST_TEXT = 1 << 30


class NotYetRead(Exception):
    """The table of contents goes on after the bytes that were given."""


@dataclass(frozen=True)
class Entry:
    """One object of an archive."""

    id: int
    """What ``pg_restore --list`` and ``--use-list`` call it."""
    kind: str
    """``TABLE``, ``TABLE DATA``, ``FK CONSTRAINT``, …"""
    schema: str
    """Empty where it has none."""
    tag: str
    """Its name as pg_dump tags it: ``orders``, ``orders orders_user_id_fkey``, ``twice(integer)``."""
    owner: str
    needs: tuple[int, ...]
    """Ids of what it depends on; they may be of objects that are not in the archive."""
    file: str
    """Of directory format: the file with its data; empty where it has none."""
    has_data: bool
    definition: str = ""

    @property
    def label(self) -> str:
        """``schema.tag``, as a person reads it."""
        return f"{self.schema}.{self.tag}" if self.schema else self.tag


@dataclass(frozen=True)
class Toc:
    """A whole table of contents."""

    format: Literal["custom", "directory", "tar"]
    dbname: str
    server_version: str
    dumped_by: str
    """Version of the pg_dump that wrote it."""
    entries: tuple[Entry, ...]


def read_toc(data: bytes) -> Toc:
    """Given the beginning of an archive, or a ``toc.dat``, return its table of contents.

    Raise NotYetRead when it goes on after these bytes, NotADump when they are no archive that is known here.
    """
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise NotADump("This is no archive of pg_dump.", hint="pg_restore reads the custom and directory formats.")
    version = (reader.byte(), reader.byte())
    reader.byte()
    if not _OLDEST <= version <= _NEWEST:
        raise NotADump(
            f"The archive has the format version {version[0]}.{version[1]}, which cannot be listed here.",
            hint="`pg_restore --list` of its own PostgreSQL lists it.",
        )
    reader.int_size, reader.offset_size = reader.byte(), reader.byte()
    number = reader.byte()
    formats: dict[int, Literal["custom", "directory", "tar"]] = {
        _CUSTOM: "custom", _TAR: "tar", _DIRECTORY: "directory",
    }  # fmt: skip
    if number not in formats or not 1 <= reader.int_size <= 8 or not 1 <= reader.offset_size <= 8:
        raise NotADump("The archive's header cannot be read.", hint="It is damaged, or of an unknown format.")
    if version >= _COMPRESSION_BYTE:
        reader.byte()
    else:
        reader.number()
    for _ in range(7):  # the moment of the dump
        reader.number()
    dbname, server_version, dumped_by = reader.text(), reader.text(), reader.text()
    entries = tuple(_entry(reader, version, formats[number]) for _ in range(reader.count()))
    return Toc(formats[number], dbname, _plain(server_version), _plain(dumped_by), entries)


def list_lines(entries: Iterable[Entry]) -> str:
    """Return what ``pg_restore --use-list`` reads; the order is kept."""
    return "".join(f"{entry.id};\n" for entry in entries)


def _entry(reader: _Reader, version: tuple[int, int], format: str) -> Entry:
    number = reader.number()
    has_data = reader.number() != 0
    reader.text()  # the catalogue's table
    reader.text()  # and the object's number in it
    tag, kind = reader.text(), reader.text()
    reader.number()  # section
    definition = reader.text()
    reader.text()  # how it is dropped
    reader.text()  # how its data is copied
    schema = reader.text()
    reader.text()  # tablespace
    if version >= _ACCESS_METHOD:
        reader.text()
    if version >= _RELATION_KIND:
        reader.number()
    owner = reader.text()
    reader.text()  # whether it has OIDs
    needs = []
    while (need := reader.optional_text()) is not None:
        if not need.isdecimal():
            raise _unreadable()
        needs.append(int(need))
    if format == "custom":
        reader.take(1 + reader.offset_size)
        file = ""
    else:
        file = reader.text()
    return Entry(number, kind, schema, tag, owner, tuple(needs), file, has_data, definition)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.int_size = 4
        self.offset_size = 8

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise NotYetRead
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        negative = self.byte()
        value = int.from_bytes(self.take(self.int_size), "little")
        return -value if negative else value

    def count(self) -> int:
        """Return how many entries follow; each takes more bytes than one."""
        value = self.number()
        if value < 0:
            raise _unreadable()
        return value

    def optional_text(self) -> str | None:
        size = self.number()
        if size < 0:
            return None
        if size > _MOST_TEXT:
            raise _unreadable()
        return self.take(size).decode("utf-8", "replace")

    def text(self) -> str:
        return self.optional_text() or ""


def _plain(version: str) -> str:
    """Return a version without the packager's addition."""
    return version.split(" ", maxsplit=1)[0]


def _unreadable() -> NotADump:
    return NotADump("The archive's table of contents cannot be read.", hint="It is damaged.")
