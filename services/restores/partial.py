"""What of a partial backup can be restored: pg_dump leaves tables out, but not what is built on them.

A foreign key to an excluded table, or a view that reads one, is in the archive and cannot be made without the table.
pg_restore is given a list without these; the comparison reports them.
"""

from __future__ import annotations

import re
from pathlib import Path

from services.backups.manifest import Manifest
from services.errors import NotADump
from services.postgres.clients import ClientPrograms
from services.postgres.restore import archive_contents
from services.restores.excluded import Excluded, excluded_tables, names_in

_TOC_LINE = re.compile(r"\d+; \d+ \d+ (.*)\Z", re.DOTALL)


def write_use_list(client: ClientPrograms, archive: Path, manifest: Manifest, path: Path) -> Path | None:
    """Write the lines of the archive's table of contents that can be restored; return None when all of them can.

    The beginning of an archive is enough, if it holds the table of contents; where it does not, all is tried.
    """
    if not manifest.backup.excluded or manifest.fingerprint is None:
        return None
    needles = _needles(Excluded(manifest.backup.excluded, manifest.fingerprint, excluded_tables(manifest)).dependent)
    try:
        lines = archive_contents(client, archive).entries
    except NotADump:
        return None
    kept = [line for line in lines if not _names_one(line, needles)]
    if len(kept) == len(lines):
        return None
    path.touch(mode=0o600)
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return path


def _needles(dependent: set[tuple[str, str]]) -> list[str]:
    """Return what the lines of the dependent objects begin with, after their numbers.

    Lines are ``TYPE schema [table] name owner``, names unquoted (``_printTocEntry`` of pg_backup_archiver.c).
    """
    needles: list[str] = []
    for kind, identity in sorted(dependent):
        names = names_in(identity)
        if kind == "views":
            schema, name = names
            for view in ("VIEW", "MATERIALIZED VIEW"):
                needles += [f"{view} {schema} {name} ", f"{view} DATA {schema} {name} "]
                needles += [f"COMMENT {schema} {view} {name} "]
            needles += [f"COMMENT {schema} COLUMN {name}.", f"DEFAULT {schema} {name} "]
        elif kind == "indexes":
            schema, name = names
            needles += [f"INDEX {schema} {name} ", f"COMMENT {schema} INDEX {name} "]
        elif kind == "functions":
            schema, _, signature = identity.partition(".")
            for function in ("FUNCTION", "PROCEDURE", "AGGREGATE"):
                needles += [f"{function} {schema} {signature} ", f"COMMENT {schema} {function} {signature} "]
        elif kind in ("constraints", "triggers", "rules"):
            name, schema, table = names[0], names[-2], names[-1]
            typed = {"constraints": "FK CONSTRAINT", "triggers": "TRIGGER", "rules": "RULE"}[kind]
            needles += [f"{typed} {schema} {table} {name} "]
            needles += [f"COMMENT {schema} {typed.removeprefix('FK ')} {name} ON {table} "]
    return needles


def _names_one(line: str, needles: list[str]) -> bool:
    found = _TOC_LINE.match(line)
    return found is not None and found[1].startswith(tuple(needles))
