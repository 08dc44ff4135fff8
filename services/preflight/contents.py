"""What is going to be in the backup: which tables, of what size, and what a restore should know of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from services.errors import NothingMatches
from services.installation import Installation
from services.postgres.connection import Connection
from services.postgres.facts import DatabaseFacts
from services.postgres.patterns import match_tables
from services.preflight.model import SHOWN, Check, Preflight, count
from services.settings.model import DatabaseSettings
from services.units import format_bytes, format_duration

HISTORY = 10
"""So many of the latest comparable backups make an expectation."""


def check_patterns(connection: Connection, patterns: Sequence[str]) -> tuple[list[tuple[str, str]], Check]:
    """Return (schema, name) of what the patterns leave out, and the check that says so."""
    if not patterns:
        return [], Check("excluded tables", "ok", "Every table is backed up.")
    try:
        excluded = match_tables(connection, patterns)
    except NothingMatches as error:
        return [], Check("excluded tables", "blocking", error.message, error.hint)
    names = tuple(f"{schema}.{name}" for schema, name in excluded)
    return excluded, Check(
        "excluded tables",
        "warning",
        f"The backup will be partial: {count(len(excluded), 'table')} left out.",
        "A partial backup never counts as a good one.",
        names[:SHOWN],
    )


def expect(
    installation: Installation, database: DatabaseSettings, database_bytes: int, patterns: Sequence[str]
) -> Preflight:
    """Scale the latest backups with the same exclusions to the database's size of now; a Preflight without checks."""
    history = [
        backup
        for backup in installation.catalog.backups.list(database=database.name, limit=5 * HISTORY)
        if set(backup.excluded) == set(patterns) and backup.database_bytes > 0
    ][:HISTORY]
    if not history:
        return Preflight((), database_bytes=database_bytes)

    def scaled(figures: list[float]) -> float:
        return median(figures) * database_bytes

    return Preflight(
        (),
        database_bytes=database_bytes,
        expected_bytes=round(scaled([b.stored_bytes / b.database_bytes for b in history])),
        expected_plain_bytes=round(scaled([b.plain_bytes / b.database_bytes for b in history])),
        expected_seconds=round(scaled([b.duration.total_seconds() / b.database_bytes for b in history]), 1),
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
