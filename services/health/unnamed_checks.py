"""What is checked of storages that the settings do not name: what lies there is unknown, neither good nor proven."""

from __future__ import annotations

from collections.abc import Iterator

from services.catalog.summaries import StorageUse
from services.health.facts import Facts
from services.health.model import INSTALLATION, HealthCheck, Measure, Severity
from services.retention.words import UNNAMED_HINT


def unnamed_storage(facts: Facts) -> Iterator[HealthCheck]:
    """Does a copy lie where nobody looks any more: in a storage that the settings do not name?"""
    found = facts.unnamed
    lost = sum(use.unknown_only for use in found)
    measure = Measure(lost, failure=0)
    if not found:
        sentence = "Every copy lies in a storage that the settings name."
        yield HealthCheck("unnamed_storage", INSTALLATION, "ok", sentence, measure=measure)
        return
    said = "; ".join(_words(use) for use in sorted(found, key=lambda use: not use.unknown_only))
    hint = UNNAMED_HINT if len(found) > 1 else UNNAMED_HINT.replace("NAME", found[0].storage)
    many = sum(use.unknown for use in found)
    sentence = f"{said}. Nobody knows how they stand, and no cleanup touches them."
    severity: Severity = "failure" if lost else "warning"
    yield HealthCheck("unnamed_storage", INSTALLATION, severity, sentence, hint, measure=measure, count=many)


def _words(use: StorageUse) -> str:
    where = f"storage {use.storage}, which the settings do not name"
    if use.unknown_only:
        return f"{use.unknown_only:,} {'backup lies' if use.unknown_only == 1 else 'backups lie'} only in {where}"
    return f"{use.unknown:,} {'copy lies' if use.unknown == 1 else 'copies lie'} in {where}"
