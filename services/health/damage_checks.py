"""What is checked of stored bytes: is a backup damaged, or a copy of it; is a copy gone, or a whole storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from services.health.damage import Corruption
from services.health.facts import COPIES_WITHIN, Facts
from services.health.model import HealthCheck, Measure, Severity, Subject
from services.health.place_checks import told_by_reach
from services.health.queries import GoodOne, newest_proven
from services.overview import StorageRoom
from services.status import DatabaseStatus, age

MANY_GONE = 5
"""Copies that are missing from one storage from which on that storage is looked at, not each of them."""


def corruption(facts: Facts) -> Iterator[HealthCheck]:
    """Is every kept backup, as far as anybody looked, what was stored? A damaged copy of a backup that another copy
    vouches for is no lost backup."""
    bad = [d for d, found in facts.corruption.items() if found.damaged or found.elsewhere]
    proven = newest_proven(facts.installation.catalog.engine, bad) if bad else {}
    for status in facts.watched:
        found = facts.corruption.get(status.database, Corruption())
        if found.damaged:
            yield _lost(facts, status, found, proven.get(status.database))
        elif found.elsewhere:
            yield _damaged_copies(facts, status, found, proven.get(status.database))
        elif status.evidence.backups_ever:
            measure = Measure(0, failure=0)
            sentence = "No kept backup is known to be damaged."
            yield HealthCheck("corruption", _subject(status), "ok", sentence, measure=measure)


def _lost(facts: Facts, status: DatabaseStatus, found: Corruption, proven: GoodOne | None) -> HealthCheck:
    many = f"{found.damaged} kept backups are damaged, the newest is" if found.damaged > 1 else "Damaged:"
    if found.unchecked_in:
        others = ", ".join(found.unchecked_in)
        vouching = f"its copy in {others} was not read yet, so nobody knows whether that is whole"
    else:
        vouching = "no other copy vouches for it, so what it held is lost"
    further = ""
    if found.elsewhere == 1:
        further = f" A copy of {found.elsewhere_name} is damaged, too; that backup is safe in another storage."
    elif found.elsewhere:
        further = f" Of {found.elsewhere} more backups a copy is damaged; those are safe in another storage."
    hint = "Do not rely on them. Look at the storage, verify the other backups, and take a new one."
    if found.unchecked_in:
        hint = f"Run: backups verify {found.damaged_name} --storage {found.unchecked_in[0]}. {hint}"
    return HealthCheck(
        "corruption",
        _subject(status),
        "failure",
        f"{many} {found.damaged_name}; {vouching}.{further} {_newest_proven(facts, proven)}",
        hint,
        found.since,
        Measure(found.damaged, failure=0),
        count=found.damaged,
    )


def _damaged_copies(
    facts: Facts, status: DatabaseStatus, found: Corruption, proven: GoodOne | None
) -> HealthCheck:  # fmt: skip
    there = ", ".join(found.elsewhere_in)
    safe = ", ".join(found.elsewhere_safe)
    one = f"The copy of {found.elsewhere_name} in {there} is damaged; the backup is safe in {safe}."
    if found.elsewhere > 1:
        one = (
            f"Of {found.elsewhere} kept backups a copy is damaged, and each is safe in another storage; the newest is "
            f"{found.elsewhere_name}, damaged in {there}, safe in {safe}."
        )
    return HealthCheck(
        "corruption",
        _subject(status),
        "warning",
        f"{one} {_newest_proven(facts, proven)}",
        f"Look at storage {found.elsewhere_in[0]}. The worker makes the copy anew from the one that is safe.",
        found.elsewhere_since,
        Measure(0, failure=0),
        count=found.elsewhere,
    )


def _newest_proven(facts: Facts, proven: GoodOne | None) -> str:
    if proven is None:
        return "No backup that is kept is proven."
    return f"The newest proven one is {proven.name}, {age(facts.now - proven.finished_at)} old."


def copies(facts: Facts) -> Iterator[HealthCheck]:
    """Is every copy where it was stored, and was each that is wanted begun in time?"""
    emptied = {check.subject.name: check.key for check in storage_contents(facts) if check.severity != "ok"}
    for status in facts.watched:
        found = facts.corruption.get(status.database)
        late = facts.never_copied.get(status.database, 0)
        if found is not None and found.missing:
            yield _missing(status, found, emptied)
        elif found is not None and found.unmade:
            yield _unmade(facts, status, found)
        elif late:
            many = f"{late} copies were" if late > 1 else "A copy was"
            sentence = f"{many} not even begun · limit {age(COPIES_WITHIN)} after the backup"
            hint = "See what keeps the worker from making it: backups storage."
            measure = Measure(late, warning=0)
            yield HealthCheck("copies", _subject(status), "warning", sentence, hint, measure=measure, count=late)
        elif status.evidence.backups_ever:
            measure = Measure(0, warning=0)
            yield HealthCheck("copies", _subject(status), "ok", "No copy is known to be missing.", measure=measure)


def _missing(status: DatabaseStatus, found: Corruption, emptied: Mapping[str, str]) -> HealthCheck:
    many = f"{found.missing} copies are missing" if found.missing > 1 else "A copy is missing"
    gone = f"; {found.lost} {'has' if found.lost == 1 else 'have'} no copy left" if found.lost else ""
    places = [storage for storage in found.missing_in if storage in emptied]
    hint = (
        "Look who deleted it: the bucket's lifecycle rules, another program, a person. The worker looks for it again "
        "at first every ten minutes, at last every hour; if it is gone for good, take a new backup."
    )
    if places:
        hint = f"Look at storage {places[0]} first: many copies are missing there. {hint}"
    all_told = places and sum(found.missing_in[storage] for storage in places) == found.missing
    severity: Severity = "failure" if found.lost else "warning"
    return HealthCheck(
        "copies",
        _subject(status),
        severity,
        f"{many}, the newest of {found.missing_name}{gone}.",
        hint,
        found.missing_since,
        Measure(found.missing, warning=0),
        count=found.missing,
        told_by=emptied[places[0]] if all_told else "",
    )


def _unmade(facts: Facts, status: DatabaseStatus, found: Corruption) -> HealthCheck:
    many = f"{found.unmade} copies could not be made, the newest" if found.unmade > 1 else "A copy could not be made,"
    sentence = f"{many} that of {found.unmade_name} in {found.unmade_in}: {found.unmade_error}"
    hint = f"It is tried again by itself. Once it is mended: backups copy {found.unmade_name} --to {found.unmade_in}"
    measure = Measure(found.unmade, warning=0)
    return HealthCheck(
        "copies", _subject(status), "warning", sentence.rstrip(": "), hint, measure=measure, count=found.unmade,
        told_by=told_by_reach(facts, found.unmade_storages),
    )  # fmt: skip


def storage_contents(facts: Facts) -> Iterator[HealthCheck]:
    """Does a storage hold what was stored in it? Many copies that are missing from one storage are one finding."""
    gone: Counter[str] = Counter()
    for found in facts.corruption.values():
        gone.update(found.missing_in)
    for room in facts.rooms:
        if room.backups or gone[room.name]:
            yield _contents(facts, room, gone[room.name])


def _contents(facts: Facts, room: StorageRoom, gone: int) -> HealthCheck:
    subject = Subject("storage", room.name)
    measure = Measure(gone, failure=MANY_GONE - 1)
    empty = room.backups == 0 and gone > 1
    if gone < MANY_GONE and not empty:
        if room.problem:
            sentence = "It cannot be asked now, so nobody knows what it holds."
            return HealthCheck("storage_contents", subject, "unknown", sentence, "Look at it.", measure=measure)
        known = {0: "No copy is", 1: "A copy is"}.get(gone, f"{gone} copies are")
        sentence = f"{known} known to be missing from it · fails at {MANY_GONE}, or when all are"
        return HealthCheck("storage_contents", subject, "ok", sentence, measure=measure)
    since = [c.missing_since for c in facts.corruption.values() if room.name in c.missing_in and c.missing_since]
    if empty:
        sentence = f"It looks empty, or away: not one of its {gone:,} copies was there when it was looked for."
    else:
        held = f"{room.backups:,} {'other was' if room.backups == 1 else 'others were'} not looked for since, or are"
        sentence = f"{gone:,} of its copies were not there when they were looked for; {held} there."
    hint = (
        "Is it the right disk, bucket, prefix and account? The worker looks again every ten minutes at first, "
        "every hour at last, and what is back is verified by itself."
    )
    return HealthCheck(
        "storage_contents", subject, "failure", sentence, hint, min(since, default=None), measure, count=gone
    )


def _subject(status: DatabaseStatus) -> Subject:
    return Subject("database", status.database)
