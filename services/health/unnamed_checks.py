"""What is checked of storages that the settings do not name: what lies there is unknown, neither good nor proven."""

from __future__ import annotations

from collections.abc import Iterator

from services.health.facts import Facts
from services.health.model import HealthCheck, Measure, Subject
from services.retention.words import UNNAMED_HINT


def unnamed_storage(facts: Facts) -> Iterator[HealthCheck]:
    """Does a copy lie where nobody looks any more: in a storage that the settings do not name?"""
    for use in facts.unnamed:
        if use.unknown_only:
            many = "1 backup lies" if use.unknown_only == 1 else f"{use.unknown_only:,} backups lie"
            said = f"{many} only in storage {use.storage}, which the settings do not name: nobody knows how they stand"
        else:
            many = "1 copy lies" if use.unknown == 1 else f"{use.unknown:,} copies lie"
            said = f"{many} in storage {use.storage}, which the settings do not name; their backups lie elsewhere, too"
        yield HealthCheck(
            "unnamed_storage",
            Subject("storage", use.storage),
            "failure" if use.unknown_only else "warning",
            f"{said}. No cleanup touches them.",
            UNNAMED_HINT.replace("NAME", use.storage),
            measure=Measure(use.unknown_only, failure=0),
            count=use.unknown,
        )
