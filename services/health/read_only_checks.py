"""What is checked of read-only mode: that nobody is kept from writing for longer than was meant."""

from __future__ import annotations

from collections.abc import Iterator

from services.catalog.read_only_modes import ReadOnlyMode
from services.health.facts import Facts
from services.health.model import HealthCheck, Severity, Subject
from services.units import format_duration, format_limit


def read_only(facts: Facts) -> Iterator[HealthCheck]:
    """Is a database held in read-only mode, and should it still be?"""
    held = {mode.database: mode for mode in reversed(facts.held)}  # the oldest of each
    names = [status.database for status in facts.watched]
    for name in dict.fromkeys((*names, *held)):
        mode = held.get(name)
        if mode is None:
            sentence = "No emergency backup holds it in read-only mode."
            yield HealthCheck("read_only", Subject("database", name), "ok", sentence)
        else:
            yield _held(facts, mode)


def _held(facts: Facts, mode: ReadOnlyMode) -> HealthCheck:
    limit = format_limit(mode.release_by - mode.began_at)
    is_late = facts.now >= mode.release_by
    severity: Severity = "failure" if is_late else "warning" if mode.last_error else "ok"
    sentence = f"In read-only mode for {format_duration(facts.now - mode.began_at)}, by {mode.actor} · limit {limit}"
    if mode.last_error:
        sentence += f" · it could not be released: {mode.last_error}"
    hint = "" if severity == "ok" else f"`backups read-only release {mode.database}`; a worker tries it, too."
    since = mode.release_by if is_late else mode.began_at
    return HealthCheck("read_only", Subject("database", mode.database), severity, sentence, hint, since)
