"""What is due in the week that follows: slots, restore tests, upkeep, proofs that run out, the key, action items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from services.installation import Installation
from services.review.actions import ActionItem
from services.review.model import Due
from services.review.week import Week
from services.schedules.cron import cron_in_words
from services.schedules.definitions import schedule_name
from services.schedules.history import current, slots_between
from services.schedules.model import Slot
from services.schedules.standing import Histories
from services.status import DatabaseStatus, age

_UPKEEP = ("cleanup", "janitor", "health")


def due_after(
    inst: Installation,
    week: Week,
    histories: Histories,
    statuses: Mapping[str, DatabaseStatus],
    actions: Iterable[ActionItem],
) -> tuple[Due, ...]:
    """Return what is due in the week after this one, by the schedules as they are now; what needs a person first."""
    following = week.shifted(1)
    coming = {name: slots_between(found, following.start, following.end) for name, found in histories.items()}
    found = [
        *(item for database in inst.settings.databases for item in _of_database(database.name, histories, coming)),
        *_upkeep(coming),
        *_proofs(statuses, coming, week, following),
        *_key(inst, statuses),
        *(_of_action(item) for item in actions if not item.is_done and _falls_due(item, following)),
    ]
    watched = {name for name, status in statuses.items() if status.state != "PAUSED"}
    found = [due for due in found if due.database is None or due.database in watched or due.kind == "action"]
    return tuple(sorted(found, key=lambda due: due.severity == "ok"))


def _of_database(name: str, histories: Histories, coming: Mapping[str, Sequence[Slot]]) -> Iterable[Due]:
    backups = schedule_name("backup", name)
    slots = coming.get(backups, ())
    if slots:
        version = current(histories[backups], slots[0].due)
        assert version is not None, "there are slots of it"
        words = cron_in_words(version.cron, version.time_zone)
        yield Due("backups", name, f"{_number(len(slots), 'backup slot')}: {words}", slots[0].due)
    else:
        text = "No backup slot: its schedule is off or paused, or no worker has started since it was defined"
        yield Due("backups", name, text, None, "warning")
    for slot in coming.get(schedule_name("restore_test", name), ()):
        yield Due("restore test", name, "Restore test of a random good backup of the month before", slot.due)
    checks = coming.get(schedule_name("verification", name), ())
    if checks:
        yield Due("verification", name, f"{_number(len(checks), 'verification')} of stored backups", checks[0].due)


def _upkeep(coming: Mapping[str, Sequence[Slot]]) -> Iterable[Due]:
    counts = Counter({job: len(coming.get(job, ())) for job in _UPKEEP})
    if said := [f"{n} × {job}" for job, n in counts.items() if n]:
        yield Due("upkeep", None, f"Upkeep: {', '.join(said)}", None)


def _proofs(
    statuses: Mapping[str, DatabaseStatus], coming: Mapping[str, Sequence[Slot]], week: Week, following: Week
) -> Iterable[Due]:
    for name, status in statuses.items():
        passed, limit = status.evidence.last_passed, status.evidence.promises.restore_test_max_age
        if passed is None:
            if status.evidence.backups_ever:
                undone = status.evidence.undone_test is not None
                said = "The proven backup was found damaged" if undone else "No restore test has passed yet"
                yield Due("proof", name, f"{said}: run a restore test", None, "warning")
            continue
        ends = passed.finished_at + limit
        if ends >= following.end:
            continue
        said = f"The proof of {passed.finished_at:%d %b %Y} ({passed.backup_name})"
        if ends < week.end:
            yield Due("proof", name, f"{said} has run out, limit {age(limit)}: run a restore test", ends, "warning")
            continue
        slot = next((s for s in coming.get(schedule_name("restore_test", name), ()) if s.due < ends), None)
        renewed = f"a restore test is due before, on {slot.due:%a %d %b}" if slot else "no restore test is due before"
        text = f"{said} runs out, limit {age(limit)}; {renewed}"
        yield Due("proof", name, text, ends, "ok" if slot else "warning")


def _key(inst: Installation, statuses: Mapping[str, DatabaseStatus]) -> Iterable[Due]:
    if not inst.settings.recipients:
        return
    if inst.settings.encryption_key is None:
        text = "No secret key is set here: archives cannot be read nor restored. Prove that the team holds it"
        yield Due("key", None, text, None, "warning")
        return
    opened = [s.evidence.last_passed.finished_at for s in statuses.values() if s.evidence.last_passed is not None]
    if opened:
        text = f"The secret key last opened a backup on {max(opened):%d %b %Y}; the next restore test proves it again"
        yield Due("key", None, text, None)


def _of_action(item: ActionItem) -> Due:
    assert item.due is not None
    owner = f" ({item.owner})" if item.owner else " (nobody yet)"
    at = datetime.combine(item.due, datetime.min.time(), tzinfo=item.created_at.tzinfo)
    return Due("action", None, f"{item.text}{owner}", at, "ok" if item.owner else "warning")


def _falls_due(item: ActionItem, following: Week) -> bool:
    return item.due is not None and item.due <= (following.end - timedelta(days=1)).date()


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
