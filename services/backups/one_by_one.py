"""Work on many backups in one run, one after the other: what fails stops no other, and all of it is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.catalog.runs import ClaimLost
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.active_run import Interrupted
from services.jobs.context import RunContext


@dataclass
class Report:
    """What was left as it is, and what could not be done; ``what: reason``."""

    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def one_by_one(
    installation: Installation,
    backup_ids: Sequence[str],
    run: RunContext,
    report: Report,
    work: Callable[[str, str], str],
    *,
    could_not: str,
) -> None:
    """Call ``work`` with the id and the name of each backup; it returns why that was left as it is, empty when done.

    ``could_not``: what could not be done to one that failed, ``be compressed``. Raise Cancelled, ClaimLost.
    """
    for backup_id in backup_ids:
        run.check_cancelled()
        name = installation.catalog.backups.get(backup_id).name
        try:
            reason = work(backup_id, name)
        except (ClaimLost, Interrupted):
            raise
        except BackupsError as error:
            run.check_cancelled()
            report.failed.append(f"{name}: {error}")
            run.log(f"{name} could not {could_not}: {error}", "error")
            continue
        if reason:
            report.skipped.append(f"{name}: {reason}")
            run.log(f"{name} is left as it is: {reason}.")
