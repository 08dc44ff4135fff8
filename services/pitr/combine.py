"""Incremental base backups laid out side by side and put together by pg_combinebackup (PostgreSQL 17 and newer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from services.errors import ClientProgramMissing, RestoreFailed
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_files import BaseContents
from services.pitr.folder_program import run_on_folder
from services.pitr.lay_out import Part, clear, empty_folder, lay_out
from services.postgres.server_programs import ServerPrograms
from services.postgres.server_user import ServerUser, reachable_bin_dir, remove_shelter


def combine(
    installation: Installation,
    parts: Sequence[Part],
    programs: ServerPrograms,
    folder: Path,
    beside: Path,
    user: ServerUser,
    run: RunContext,
) -> BaseContents:
    """Put a chain, the full one first, together in an empty folder; ``beside`` holds the parts meanwhile, and goes.

    Return what it holds. Raise RestoreFailed, ClientProgramMissing without a pg_combinebackup of the
    server's version, and what ``lay_out`` raises.
    """
    program = reachable_bin_dir(programs.bin_dir, user) / "pg_combinebackup"
    if not program.exists():
        raise ClientProgramMissing(
            f"pg_combinebackup is missing in {programs.bin_dir}: an incremental base backup needs it.",
            hint="Install PostgreSQL's programs completely, or restore from a full base backup with --base.",
        )
    with empty_folder(beside, user, run):
        try:
            laid_out: list[Path] = []
            for number, part in enumerate(parts):
                place = beside / str(number)
                place.mkdir(mode=0o700)
                user.own(place)
                contents = lay_out(installation, part, place, user, run)
                laid_out.append(place)
            run.phase("putting the chain together")
            options = ("--manifest-checksums=SHA256", "--no-sync", "--output", folder)
            run_on_folder([program, *options, *laid_out], user, run, _refused)
        finally:
            clear(beside)
            remove_shelter(beside.parent)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return replace(contents, files=len(sizes), bytes=sum(sizes))


def _refused(said: str) -> RestoreFailed:
    return RestoreFailed(
        f"pg_combinebackup cannot put the chain together: {said}",
        hint="Restore from a full base backup with --base.",
    )
