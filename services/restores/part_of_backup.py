"""A part of a stored backup: chosen from its table of contents before anything is fetched or made."""

from __future__ import annotations

from pathlib import Path

from services.backups.manifest import Manifest
from services.catalog.model import Copy
from services.errors import InputError
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.toc import list_lines
from services.restores.head import read_head
from services.restores.parts import Part, PartRequest, choose_part
from services.stream.tar_write import TOC

WHOLE = PartRequest()
"""All of a backup."""


def find_part(
    installation: Installation, manifest: Manifest, copy: Copy, request: PartRequest, run: RunContext
) -> Part:
    """Read the beginning of the backup, choose the part, and log what it is.

    Raise NothingMatches for a pattern without a match, and what ``read_head`` raises.
    """
    toc = read_head(installation, manifest.backup, copy, run)
    part = choose_part(toc, request)
    if not part.whole and not part.entries:
        raise InputError("The part is empty.", hint="See `backups contents`.")
    run.log(f"Part of {manifest.backup.name}: {_named(part.whole)}, with what belongs to it. No proof of the whole.")
    if part.defined:
        run.log(f"Needed by it, so defined and left empty: {_named(part.defined)}.")
    if any(entry.kind in ("BLOB", "BLOBS", "BLOB METADATA") for entry in toc.entries):
        run.log("Large objects belong to no table and are in no part: restore the whole backup for them.", "warning")
    for words in part.describe_left_out():
        run.log(f"Left out, since it needs a table outside the part: {words}.", "warning")
    return part


def dump_bytes(manifest: Manifest, part: Part | None) -> int:
    """Return how many bytes are spooled: of a part of a backup in directory format only the files that it needs."""
    if part is None or manifest.files is None:
        return manifest.backup.plain_bytes
    return sum(plain for name, (plain, _) in manifest.files.items() if name == TOC or name in part.files)


def write_part_list(part: Part, use_list: Path | None, path: Path) -> Path:
    """Write what pg_restore restores: the part, without what cannot be restored at all (``use_list`` is the rest)."""
    entries = part.entries
    if use_list is not None:
        possible = {
            int(line.partition(";")[0]) for line in use_list.read_text("utf-8").splitlines() if line[:1].isdigit()
        }
        entries = tuple(entry for entry in entries if entry.id in possible)
    path.touch(mode=0o600)
    path.write_text(list_lines(entries), encoding="utf-8")
    return path


def _named(relations: frozenset[tuple[str, str]], most: int = 10) -> str:
    names = sorted(f"{schema}.{name}" for schema, name in relations)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more or "no table"
