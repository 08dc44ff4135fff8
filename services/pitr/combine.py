"""Incremental base backups laid out side by side and put together by pg_combinebackup (PostgreSQL 17 and newer)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from services.errors import ClientProgramMissing, RestoreFailed, StorageFull
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_files import BaseContents
from services.pitr.folder_program import run_on_folder
from services.pitr.lay_out import GROWTH, Part, clear, empty_folder, lay_out
from services.postgres.server_programs import ServerPrograms
from services.postgres.server_user import ServerUser, reachable_bin_dir, remove_shelter
from services.restores.spool import MARGIN
from services.units import format_bytes


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

    Return what it holds. Raise StorageFull, RestoreFailed, ClientProgramMissing without a pg_combinebackup of the
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
            check_chain_room(parts, folder, beside)
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


def check_chain_room(parts: Sequence[Part], folder: Path, beside: Path) -> None:
    """Raise StorageFull when the parts and what is put together of them do not fit: before anything is fetched.

    What comes out is about as large as the cluster was when the last part was taken, and no smaller than the full one.
    """
    newest, full = parts[-1].base.backup, parts[0].base.backup
    put_together = round(max(newest.database_bytes, full.plain_bytes) * GROWTH)
    laid_out = sum(part.base.backup.plain_bytes for part in parts)
    places = [(folder, put_together), (beside, laid_out)]
    if folder.stat().st_dev == beside.stat().st_dev:
        places = [(folder, put_together + laid_out)]
    for place, wanted in places:
        free = shutil.disk_usage(place).free
        if free < wanted + MARGIN:
            raise StorageFull(
                f"The chain of {len(parts)} base backups that {newest.name} ends needs {format_bytes(wanted + MARGIN)} "
                f"on the disk of {place}, the parts and what is put together of them, and that has "
                f"{format_bytes(free)} left.",
                hint="Make room, or restore from a full base backup with --base.",
            )


def _refused(said: str) -> RestoreFailed:
    return RestoreFailed(
        f"pg_combinebackup cannot put the chain together: {said}",
        hint="Restore from a full base backup with --base.",
    )
