"""What is going to be in the backup: which tables, of what size, and what a restore should know of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from services.errors import NothingMatches
from services.installation import Installation
from services.postgres.connection import Connection
from services.postgres.exclusions import NOTHING, Excluded, Exclusions, look_up
from services.postgres.facts import DatabaseFacts
from services.preflight.method import choose_method
from services.preflight.model import SHOWN, Check, Preflight, count
from services.settings.model import DatabaseSettings
from services.units import format_bytes, format_duration

HISTORY = 10
"""So many of the latest comparable backups make an expectation."""


def check_exclusions(connection: Connection, exclusions: Exclusions) -> tuple[Excluded, Check]:
    """Return what the patterns leave out, and the check that says so."""
    if not exclusions:
        return NOTHING, Check("excluded tables", "ok", "Every table is backed up.")
    try:
        found = look_up(connection, exclusions)
    except NothingMatches as error:
        return NOTHING, Check("excluded tables", "blocking", error.message, error.hint)
    parts = []
    if found.tables:
        parts.append(f"{count(len(found.tables), 'table')} left out")
    if found.data:
        parts.append(f"the data of {count(len(found.data), 'table')} left out")
    return found, Check(
        "excluded tables",
        "warning",
        f"The backup will be partial: {', '.join(parts)}, {format_bytes(found.bytes)} of the tables' "
        f"{format_bytes(found.all_bytes)}.",
        "A partial backup never counts as a good one.",
        describe_left_out(found),
    )


def describe_left_out(found: Excluded) -> tuple[str, ...]:
    """Return a line for each of the largest tables that are left out."""
    what = {"table": "", "data": " (data only)"}
    lines = [f"{each.label}{what[each.what]}, {format_bytes(each.bytes)}" for each in found.listed[:SHOWN]]
    return (*lines, *([f"and {len(found.listed) - SHOWN} more"] if len(found.listed) > SHOWN else []))


def expect(
    installation: Installation, database: DatabaseSettings, database_bytes: int, excluded: Sequence[str], jobs: int
) -> Preflight:
    """Scale the latest backups with the same exclusions to the database's size of now; a Preflight without checks.

    Where there are any that were dumped in the same way, as one stream or in parallel, these alone.
    """
    method = choose_method(installation, database, database_bytes, excluded)
    history = [
        backup
        for backup in installation.catalog.backups.list(database=database.name, limit=5 * HISTORY)
        if set(backup.excluded) == set(excluded) and backup.database_bytes > 0
    ]
    same = [backup for backup in history if backup.format == ("directory" if jobs > 1 else "custom")]
    history = (same or history)[:HISTORY]
    if not history:
        return Preflight((), database_bytes=database_bytes, method=method)

    def scaled(figures: list[float]) -> float:
        return median(figures) * database_bytes

    return Preflight(
        (),
        database_bytes=database_bytes,
        expected_bytes=round(scaled([b.stored_bytes / b.database_bytes for b in history])),
        expected_plain_bytes=round(scaled([b.plain_bytes / b.database_bytes for b in history])),
        expected_seconds=round(scaled([b.duration.total_seconds() / b.database_bytes for b in history]), 1),
        method=method,
    )


def check_size(expected: Preflight) -> Check:
    """Say how large the database is, and what is expected of its backup."""
    assert expected.database_bytes is not None, "the database was read"
    message = f"The database has {format_bytes(expected.database_bytes)}"
    if expected.expected_bytes is None or expected.expected_seconds is None:
        return Check("size", "ok", f"{message}; there is no earlier backup to estimate this one from.")
    about = f"{format_bytes(expected.expected_bytes)} in {format_duration(expected.expected_seconds)}"
    return Check("size", "ok", f"{message}; the backup should take about {about}.")


def check_contents(facts: DatabaseFacts) -> list[Check]:
    """Return the notes on what a restore should know of, and whether every large object can be read."""
    return [
        _note("extensions", facts.extensions, "extension", "The server of a restore needs them too."),
        _note("unlogged tables", facts.unlogged, "unlogged table", "The server empties them after a crash."),
        _large_objects(facts),
    ]


def _note(name: str, found: tuple[str, ...], noun: str, remark: str) -> Check:
    if not found:
        return Check(name, "ok", "There are none.")
    shown = f"{', '.join(found[:5])}{' …' if len(found) > 5 else ''}"
    return Check(name, "ok", f"{count(len(found), noun)}: {shown}. {remark}", detail=found[:SHOWN])


def _large_objects(facts: DatabaseFacts) -> Check:
    if facts.unreadable_large_objects and not facts.is_superuser:
        return Check(
            "large objects",
            "blocking",
            f"{facts.user} cannot read {facts.unreadable_large_objects} of {facts.large_objects} large objects.",
            f"GRANT SELECT ON LARGE OBJECT … TO {facts.user} for each (docs/settings.md), or back up as their owner.",
        )
    if facts.large_objects:
        return Check("large objects", "ok", f"{count(facts.large_objects, 'large object')} will be in the backup.")
    return Check("large objects", "ok", "There are none.")


def check_method(expected: Preflight, jobs: int) -> Check:
    """Say how it will be dumped, and what each way would take."""
    assert expected.method is not None, "the database was read"
    will = "as one stream" if jobs == 1 else f"in parallel with {jobs} jobs"
    return Check("method", "ok", f"It will be dumped {will}. {expected.method.describe()}")
