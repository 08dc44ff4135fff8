"""Incremental base backups laid out side by side and put together by pg_combinebackup (PostgreSQL 17 and newer)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from services.errors import ClientProgramMissing, RestoreFailed
from services.installation import Installation
from services.jobs.context import RunContext
from services.jobs.processes import run_child
from services.pitr.base_files import BaseContents
from services.pitr.lay_out import Part, bytes_read, clear, empty_folder, lay_out
from services.postgres.server_programs import ServerPrograms
from services.postgres.server_user import ServerUser, reachable_bin_dir, remove_shelter

_POLL_SECONDS = 0.05


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
            _combine(program, laid_out, folder, user, run)
        finally:
            clear(beside)
            remove_shelter(beside.parent)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return replace(contents, files=len(sizes), bytes=sum(sizes))


def _combine(program: Path, parts: Sequence[Path], folder: Path, user: ServerUser, run: RunContext) -> None:
    command: list[str | Path] = [program, "--manifest-checksums=SHA256", "--no-sync", "--output", folder, *parts]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}
    with run_child(command, environment=environment, run=run, user=user.popen_arguments(), level="info") as child:
        while (status := child.poll()) is None:
            run.check_cancelled()
            run.progress(bytes_read(child.pid))
            time.sleep(_POLL_SECONDS)
        child.wait()
        if status != 0:
            run.check_cancelled()
            raise RestoreFailed(
                f"pg_combinebackup cannot put the chain together: {' '.join(child.error_lines)}",
                hint="Restore from a full base backup with --base.",
            )
