"""Commands that work on many backups, in a run for each database: what they left out, and how all of it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, Protocol, TypeVar

import typer

from services.backups.archive_plan import Skipped
from services.catalog.model import Backup, Run
from services.cli.output import note, stdout, table
from services.cli.running import Mode, carry_out, fail_unless_finished
from services.installation import Installation
from services.jobs.kept_versions import kept_words


class Planned(Protocol):
    """One thing that a plan wants to have done to a backup."""

    @property
    def backup(self) -> Backup: ...


P = TypeVar("P", bound=Planned)


def carry_out_by_database(
    installation: Installation, planned: Iterable[P], submit: Callable[[list[P], bool], str], mode: Mode
) -> list[Run | None]:
    """Carry out what is planned, one database after the other; None for a run that is handed to the worker.

    ``submit`` asks for the run of one database, given its part of the plan and whether it is queued; it returns its id.
    """
    parts: dict[str, list[P]] = defaultdict(list)
    for each in planned:
        parts[each.backup.database].append(each)
    return [
        carry_out(installation, lambda queued, part=parts[name]: submit(part, queued), mode)  # type: ignore[misc]
        for name in sorted(parts)
    ]


def draw_skipped(skipped: Iterable[Skipped]) -> None:
    """Draw what is left as it is, if anything is."""
    left = [(each.what, each.storage, each.reason) for each in skipped]
    if left:
        stdout().print(table(["Left as it is", "Storage", "Why"], left))


def skipped_forms(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return what is left as it is, for JSON."""
    return [{"what": each.what, "storage": each.storage, "reason": each.reason} for each in skipped]


def end_with(runs: Sequence[Run], *, quiet: bool) -> NoReturn:
    """Say what the runs left and what failed in them, unless ``quiet``, and exit: 1 when something failed."""
    failed = lines_of(runs, "failed")
    if not quiet:
        for line in lines_of(runs, "skipped"):
            note(f"Left as it is: {line}")
        for line in failed:
            note(f"Failed: {line}", style="bold red")
        if older := sorted(set(lines_of(runs, "older_versions_in"))):
            note(kept_words(older), style="yellow")
    for run in runs:
        fail_unless_finished(run)
    raise typer.Exit(1 if failed else 0)


def lines_of(runs: Iterable[Run], name: str) -> list[str]:
    """Return the lines of that name in the results of all runs."""
    return [line for run in runs for line in run.result.get(name, [])]
