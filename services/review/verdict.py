"""The week in one sentence: slots, misses, failed tests, proofs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from services.review.model import WeekVerdict
from services.review.slots import WeekTally
from services.schedules.outcomes import SlotOutcome
from services.status import DatabaseStatus, Severity

_NAMED = 3
_CAUSE = 110
_BAD = ("UNPROTECTED", "NEVER BACKED UP")


def give_week_verdict(
    slots: WeekTally,
    misses: Sequence[SlotOutcome],
    statuses: Mapping[str, DatabaseStatus],
    failed_tests: Mapping[str, int],
    good_backups: int,
) -> WeekVerdict:
    """Return the sentence, and the worst that it says. ``failed_tests``: by database; ``good_backups``: of the week."""
    watched = {name: status for name, status in statuses.items() if status.state != "PAUSED"}
    first, last = _slots(slots, good_backups), _proofs(watched)
    between = _misses(misses)
    if failed_tests:
        n = sum(failed_tests.values())
        between.append(f"{n} restore {'test' if n == 1 else 'tests'} failed: {_listed(list(failed_tests))}")
    return WeekVerdict(
        sentence=_sentence([first, *between, last]),
        severity=_severity(slots, misses, watched, failed_tests),
        headline=_sentence([first, last]),
        detail=_sentence(between),
    )


def _sentence(parts: Sequence[str]) -> str:
    joined = "; ".join(parts)
    return f"{joined[:1].upper()}{joined[1:]}." if joined else ""


def _slots(slots: WeekTally, good_backups: int) -> str:
    still = f", {slots.open} still open" if slots.open else ""
    if slots.decided == 0:
        if slots.open:
            return f"{_number(slots.open, 'slot')} still open"
        made = f"{_number(good_backups, 'good backup')} made all the same" if good_backups else "no good backup made"
        return f"no slot was due, {made}"
    if slots.missed == 0:
        every = {1: "the slot", 2: "both slots"}.get(slots.decided, f"all {slots.decided} slots")
        return f"{every} satisfied{still}"
    return f"{slots.satisfied} of {_number(slots.decided, 'slot')} satisfied{still}"


def _misses(misses: Sequence[SlotOutcome]) -> list[str]:
    said = []
    for state, one, many in (("missed", "miss", "misses"), ("late", "late", "late")):
        found = [outcome for outcome in misses if outcome.state == state]
        if not found:
            continue
        if len(found) == 1:
            [only] = found
            cause = f", {_cause(only)}" if only.cause else ""
            said.append(f"1 {one}: {only.slot.database} on {_day(only)}{cause}")
        elif len(found) <= _NAMED and len({outcome.slot.database for outcome in found}) == 1:
            days = " and ".join(dict.fromkeys(_day(outcome) for outcome in found))
            said.append(f"{len(found)} {many}: {found[0].slot.database} on {days}")
        else:
            counts = Counter(outcome.slot.database or "" for outcome in found)
            names = [f"{name} {n}" if n > 1 else name for name, n in counts.most_common()]
            said.append(f"{len(found)} {many}: {_listed(names)}")
    return said


def _cause(outcome: SlotOutcome) -> str:
    """Return the cause as part of a sentence, cut to what a heading bears."""
    cause = outcome.cause.removeprefix("Its run failed: ")
    text = " ".join((cause.split(";", 1)[0] if outcome.state == "late" else cause).split()).rstrip(".")
    text = text if len(text) <= _CAUSE else text[: _CAUSE - 1].rstrip() + "…"
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first.istitle() and first.isalpha() else text


def _proofs(watched: Mapping[str, DatabaseStatus]) -> str:
    names = list(watched)
    proven = [name for name in names if watched[name].is_restorable]
    if not names:
        return "no database is watched"
    if len(proven) == len(names):
        whose = {1: names[0], 2: "both databases"}.get(len(names), f"all {len(names)} databases")
        return f"{whose} proven to restore"
    if not proven:
        return f"{names[0]} not proven to restore" if len(names) == 1 else "no database proven to restore"
    rest = [name for name in names if name not in proven]
    return f"{len(proven)} of {len(names)} databases proven to restore, not proven: {_listed(rest)}"


def _severity(
    slots: WeekTally, misses: Sequence[SlotOutcome], watched: Mapping[str, DatabaseStatus], failed: Mapping[str, int]
) -> Severity:
    if not watched:
        return "unknown"
    if any(status.state in _BAD for status in watched.values()) or (slots.decided and not slots.satisfied):
        return "failure"
    states = {status.state for status in watched.values()}
    if misses or failed or "AT RISK" in states or not all(status.is_restorable for status in watched.values()):
        return "warning"
    return "unknown" if "UNKNOWN" in states else "ok"


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _day(outcome: SlotOutcome) -> str:
    return f"{outcome.slot.due:%a} {outcome.slot.due.day} {outcome.slot.due:%b}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
