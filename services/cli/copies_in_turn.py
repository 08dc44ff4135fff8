"""The further copies of a backup that was just taken in the foreground: made right after it, in the same process."""

from __future__ import annotations

from services import commands
from services.backups.missing_copies import copies_after_backup
from services.catalog.runs import ClaimLost
from services.cli.output import note
from services.cli.running import Mode, carry_out
from services.cli.session import actor
from services.commands.copies import copy_key
from services.errors import BackupsError
from services.installation import Installation


def make_further_copies(installation: Installation, backup_id: str, mode: Mode) -> None:
    """Make each further copy that the settings want of a backup. One that fails is said, and fails nothing else."""
    for storage in copies_after_backup(installation, backup_id):
        try:
            run = carry_out(
                installation,
                lambda queued, storage=storage: commands.submit_copy(  # type: ignore[misc]
                    installation,
                    backup_id,
                    storage,
                    actor=actor(),
                    idempotency_key=copy_key(installation, backup_id, storage, 0),
                    queue=queued,
                ),
                mode,
            )
        except ClaimLost:
            note(f"A worker has taken up the copy in {storage}.")
            continue
        except BackupsError as error:
            note(f"The copy in {storage} could not be made: {error}", style="yellow")
            continue
        if run is not None and run.state != "finished":
            note(
                f"The backup stands, but its copy in {storage} could not be made: {run.error} {run.hint}".rstrip()
                + " A worker tries it again; by hand: `backups copy`.",
                style="yellow",
            )
