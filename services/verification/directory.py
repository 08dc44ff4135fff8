"""Level ``archive`` of a backup in directory format: every file is decompressed and read to the end that it must have.

Nothing is spooled but the table of contents, which pg_restore lists. What pg_restore would read of the files is held to
it here: each file that it names is there, and none besides; the data of each table ends as COPY's data does, with as
many rows as the fingerprint counted in the same snapshot; each large object that is listed is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from services.backups.manifest import Manifest
from services.backups.packing import DATA_END, ends_whole
from services.catalog.model import Backup, Copy
from services.errors import NotADump
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import choose_client, find_clients
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.restore import archive_contents
from services.postgres.toc import Entry, NotYetRead, read_toc
from services.restores.directory import fetch_directory
from services.restores.evidence import read_evidence
from services.restores.fetch import dumped_by
from services.restores.spool import private_file, spool_folder
from services.stream.tar_write import TOC
from services.units import format_bytes
from services.verification.finding import Finding, throughput

_TAIL = len(DATA_END) + 1
_END_LINES = DATA_END.count(b"\n")


def check_directory(
    installation: Installation, backup: Backup, copy: Copy, run: RunContext, *, manifest: Manifest | None = None
) -> Finding:
    """Read every file to its end. ``manifest``: see ``check_archive``. Raise what that raises."""
    settings = installation.settings
    client = choose_client(find_clients(settings.pg_bin_dirs), dumped_by(backup), program="pg_restore")
    fingerprint = (manifest or read_evidence(installation, backup, copy)).fingerprint
    began = time.monotonic()
    files = _Files()
    found = fetch_directory(installation, backup, copy, files, run)
    detail = throughput(found.stored_bytes, time.monotonic() - began)
    detail |= {"plain_bytes": found.plain_bytes, "files": len(files.seen), "pg_restore": client.version}
    try:
        entries = read_toc(bytes(files.toc)).entries
        with spool_folder(settings.home, run, spool=settings.spool) as folder:
            with private_file(folder / TOC) as write:
                write(bytes(files.toc))
            listed = archive_contents(client, folder).entries
    except (NotADump, NotYetRead) as error:
        return Finding("failed", f"Its table of contents cannot be read: {error}", detail, "stored", "backup")
    wrong = [*_missing(entries, files), *_rows(entries, files, fingerprint)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding("failed", f"{'; '.join(wrong[:3])}{more}.", detail | {"wrong": wrong[:50]}, "stored", "backup")
    unpacked = "decompressed" if backup.encryption == "none" else "decrypted, decompressed"
    reason = (
        f"All {format_bytes(found.stored_bytes)} {unpacked} ({format_bytes(found.plain_bytes)} in {len(files.seen)} "
        f"files), each read to its end; {len(listed)} entries listed by pg_restore; all sha256 as recorded."
    )
    return Finding("passed", reason, detail, "stored")


class _Files:
    """Looks at each file as it passes: how many lines it has, and how it ends."""

    def __init__(self) -> None:
        self.toc = bytearray()
        self.seen: dict[str, tuple[int, bytes]] = {}
        """Name -> lines, and the last bytes."""
        self.lists: dict[str, bytes] = {}
        """Name -> content, of the tables of contents of large objects."""
        self._name = ""
        self._lines = 0
        self._tail = b""
        self._kept = bytearray()

    def begin(self, name: str) -> None:
        """See ``FileSink``."""
        self._name, self._lines, self._tail, self._kept = name, 0, b"", bytearray()

    def write(self, data: bytes) -> None:
        """See ``FileSink``."""
        self._lines += data.count(b"\n")
        self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        if self._name == TOC or self._name.endswith(".toc"):
            self._kept += data

    def end(self) -> None:
        """See ``FileSink``."""
        self.seen[self._name] = (self._lines, self._tail)
        if self._name == TOC:
            self.toc = self._kept
        elif self._name.endswith(".toc"):
            self.lists[self._name] = bytes(self._kept)


def _missing(entries: tuple[Entry, ...], files: _Files) -> Iterator[str]:
    """Yield what is named and not there, and what is there and not named."""
    named = {TOC} | {entry.file for entry in entries if entry.has_data and entry.file}
    for content in files.lists.values():
        named |= {line.split(" ")[-1] for line in content.decode("ascii", "replace").splitlines()}
    yield from (f"{name} is missing" for name in sorted(named - set(files.seen)))
    yield from (f"{name} belongs to nothing" for name in sorted(set(files.seen) - named))


def _rows(entries: tuple[Entry, ...], files: _Files, fingerprint: Fingerprint | None) -> Iterator[str]:
    """Yield the tables whose data is cut, or has other rows than the source had."""
    counted = {(t.schema, t.name): t.rows for t in fingerprint.tables} if fingerprint else {}
    for entry in entries:
        if entry.kind != "TABLE DATA" or entry.file not in files.seen:
            continue
        lines, tail = files.seen[entry.file]
        rows, wanted = lines - _END_LINES, counted.get((entry.schema, entry.tag))
        if not ends_whole(tail):
            yield f"the data of {entry.label} is cut"
        elif wanted is not None and rows != wanted:
            yield f"{entry.label} has {rows:,} rows instead of {wanted:,}"
