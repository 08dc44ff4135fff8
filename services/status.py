"""How safe a database is at one instant: derived from the catalogue's rows when read, never stored.

The states, from worst to best, and what each needs:

    UNPROTECTED      nothing is left to restore from, or the newest restore test failed and none passed since
    NEVER BACKED UP  no backup of this database was ever finished
    AT RISK          there is a good backup, but a promise is broken: older than the RPO, not proven, proof too old,
                     or the last slot of its schedule was missed
    UNKNOWN          everything kept so far, but no worker is heard, or none runs for its schedule, so nobody would
                     notice the next failure; or none of its storages could be used when they were tried last
    PAUSED           protection is switched off in the settings
    PROTECTED        the last good backup is within the RPO, a passed restore test within its maximum age, and the last
                     slot satisfied, where there is a schedule

What is known to be bad stays bad when the worker falls silent; what was good becomes UNKNOWN. Running work is no
state: it lies over one (``DatabaseStatus.active``). Each rule below is a function from the evidence to at most one
Reason; a further promise is one more function in ``_RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.catalog.model import Run
from services.catalog.workers import FORGOTTEN_AFTER, SILENT_AFTER
from services.schedules.model import ScheduleVersion
from services.schedules.outcomes import SlotOutcome
from services.units import format_duration

State = Literal["UNPROTECTED", "NEVER BACKED UP", "AT RISK", "UNKNOWN", "PAUSED", "PROTECTED"]
Severity = Literal["failure", "warning", "unknown", "note", "ok"]

WORST_FIRST: tuple[State, ...] = ("UNPROTECTED", "NEVER BACKED UP", "AT RISK", "UNKNOWN", "PAUSED", "PROTECTED")

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A backup dated further ahead of our clock than this proves that a clock is wrong, not that data is safe."""


@dataclass(frozen=True)
class GoodBackup:
    """The newest good backup of which at least one copy is stored."""

    id: str
    name: str
    snapshot_at: datetime
    """The instant that it holds: its age is what a restore would lose, so this is what the RPO is measured by."""
    finished_at: datetime
    database_bytes: int
    stored_bytes: int
    proven_at: datetime | None
    copies: int = 1
    """Copies of it that are stored."""


@dataclass(frozen=True)
class RestoreTest:
    """The end of one restore test."""

    backup_id: str
    backup_name: str
    outcome: str
    """``passed``, ``failed`` or ``not testable``."""
    reason: str
    finished_at: datetime
    seconds: float | None
    """The measured RTO: from the stored object to a restored database; None where nothing was restored."""
    damaged_in: str = ""
    """Of a failed one: the storage whose copy was bad, where another copy vouches for the backup."""


@dataclass(frozen=True)
class Promises:
    """What the settings promise for one database."""

    rpo: timedelta
    rto: timedelta
    restore_test_max_age: timedelta
    paused: bool = False


@dataclass(frozen=True)
class StorageAway:
    """A storage that could not be used when it was tried last."""

    storage: str
    sentence: str
    """Why."""
    tried_at: datetime


@dataclass(frozen=True)
class Evidence:
    """Everything that the catalogue knows of one database's safety; at most one row of each kind."""

    database: str
    promises: Promises
    backups_ever: int = 0
    """Backups that were ever finished, expired ones included."""
    good_backups: int = 0
    oldest_good_at: datetime | None = None
    """Snapshot of the oldest good backup that is still stored: where the recovery window begins."""
    last_good: GoodBackup | None = None
    last_failed_run: Run | None = None
    """The newest backup run, when it failed or was lost; None when the newest one went well."""
    last_passed: RestoreTest | None = None
    last_test: RestoreTest | None = None
    undone_test: RestoreTest | None = None
    """Where no test proves anything: the newest that passed and whose backup was found damaged since."""
    active: tuple[Run, ...] = ()
    last_slot: SlotOutcome | None = None
    """The newest slot of its backup schedule of which it is known how it ended."""
    schedule: ScheduleVersion | None = None
    """Its backup schedule as it is now; None where there never was one."""
    is_scheduled: bool = False
    """Its backup schedule is on, in the catalogue, or in the settings where no worker has read them yet."""
    storages_away: tuple[StorageAway, ...] = ()
    """Those of its storages that could not be used when they were tried last."""
    wanted_copies: int = 1
    """Storages in which the settings want each of its backups."""


@dataclass(frozen=True)
class WorkerSigns:
    """What is seen of the workers, all of them together."""

    heartbeat_at: datetime | None = None
    """The newest heartbeat of any worker; None: none was started, or each ended in order and took its row along."""
    oldest_queued_at: datetime | None = None
    """When the run that has waited longest was queued."""
    left_at: datetime | None = None
    """When a worker last ended in order."""


@dataclass(frozen=True)
class Reason:
    """One sentence for a status, with its threshold in it."""

    severity: Severity
    text: str
    hint: str = ""
    at: datetime | None = None
    """The instant that the sentence speaks of, for its exact time."""


@dataclass(frozen=True)
class DatabaseStatus:
    """A database's state at ``now``, and why."""

    database: str
    state: State
    reasons: tuple[Reason, ...]
    """Worst first."""
    evidence: Evidence
    now: datetime

    @property
    def active(self) -> tuple[Run, ...]:
        """Work that runs or waits: an overlay, never a state."""
        return self.evidence.active

    @property
    def is_restorable(self) -> bool:
        """Whether a restore right now is proven to work: a good backup, a current proof, and no failed test since."""
        return self.evidence.last_good is not None and _proof(self.evidence, self.now).severity == "ok"


def age(length: timedelta) -> str:
    """Given a duration, return it in its one fitting unit: ``12 s``, ``26 h``, ``3 d``."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 2 * 3600 and seconds != 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} d"


def worker_problem(
    signs: WorkerSigns, now: datetime, *, scheduled: bool, forgotten_after: timedelta = FORGOTTEN_AFTER
) -> Reason | None:
    """Say what is wrong with the worker: silent, dated ahead of our clock, or not there while there is work for it.

    None when all is well. Without a worker, with nothing ``scheduled`` and nothing queued, an installation works in the
    foreground; that is no fault. So does one whose worker has been dead for longer than ``forgotten_after``.
    """
    hint = "Start it with: backups worker (or: backups serve)."
    beat, waits_since = signs.heartbeat_at, signs.oldest_queued_at
    if beat is not None and beat - now > SILENT_AFTER:
        text = f"The worker's last heartbeat is dated {age(beat - now)} in the future."
        return Reason("unknown", text, "Check the clocks of this machine and the worker's.", beat)
    if beat is not None and SILENT_AFTER < now - beat <= forgotten_after:
        return Reason("unknown", f"The worker has been silent for {age(now - beat)}.", hint, beat)
    alive = beat is not None and now - beat <= SILENT_AFTER
    if not alive and waits_since is not None and now - waits_since > SILENT_AFTER:
        text = f"The worker is not running, and work has waited for {age(now - waits_since)}."
        return Reason("unknown", text, hint, waits_since)
    if not alive and scheduled:
        return Reason("unknown", "No worker runs, so no scheduled backup will start.", hint, signs.left_at)
    return None


def derive_status(evidence: Evidence, signs: WorkerSigns, now: datetime) -> DatabaseStatus:
    """Given what the catalogue knows of a database and its workers, return its state at ``now`` with the reasons."""
    reasons = [reason for rule in _RULES if (reason := rule(evidence, now)) is not None]
    # Whatever is within the RPO when a worker has been dead for longer than that was backed up without it.
    silent = worker_problem(
        signs, now, scheduled=evidence.is_scheduled, forgotten_after=max(FORGOTTEN_AFTER, evidence.promises.rpo)
    )
    if silent is not None:
        reasons.append(silent)
    reasons.sort(key=lambda reason: _SEVERITIES.index(reason.severity))
    worst = reasons[0].severity
    state: State
    if evidence.promises.paused:
        state = "PAUSED"
        paused = Reason("note", "Protection is paused in the settings: nothing is promised.")
        reasons = [paused, *(r if r.severity == "ok" else replace(r, severity="note", hint="") for r in reasons)]
    elif evidence.backups_ever == 0:
        state = "NEVER BACKED UP"
    elif worst == "failure":
        state = "UNPROTECTED"
    elif worst == "warning":
        state = "AT RISK"
    elif worst == "unknown":
        state = "UNKNOWN"
    else:
        state = "PROTECTED"
    return DatabaseStatus(evidence.database, state, tuple(reasons), evidence, now)


def is_scheduled(statuses: Iterable[DatabaseStatus]) -> bool:
    """Say whether a database that is not paused has a backup schedule that is on."""
    return any(s.evidence.is_scheduled and not s.evidence.promises.paused for s in statuses)


def worst_first(statuses: Iterable[DatabaseStatus]) -> tuple[DatabaseStatus, ...]:
    """Order by state, then by name."""
    return tuple(sorted(statuses, key=lambda s: (WORST_FIRST.index(s.state), s.database)))


_SEVERITIES: tuple[Severity, ...] = ("failure", "warning", "unknown", "note", "ok")


def _last_good(evidence: Evidence, now: datetime) -> Reason:
    good, rpo = evidence.last_good, evidence.promises.rpo
    if good is None:
        if evidence.backups_ever == 0:
            return Reason("failure", "No backup was ever finished.", "Run one now.")
        return Reason("failure", "No good backup is left to restore from.", "Run one now.")
    old = now - good.snapshot_at
    limit = f"RPO {age(rpo)}"
    if old < -CLOCK_TOLERANCE:
        text = f"The last good backup is dated {age(-old)} in the future."
        return Reason("warning", text, "Check the clocks of the worker and the database server.", good.snapshot_at)
    if old > rpo:
        text = f"Last good backup {age(old)} ago · {limit} · breached {age(old - rpo)} ago"
        return Reason("warning", text, "Run one now.", good.snapshot_at)
    return Reason("ok", f"Last good backup {age(old)} ago · {limit}", at=good.snapshot_at)


def _proof(evidence: Evidence, now: datetime) -> Reason:
    passed, last, limit = evidence.last_passed, evidence.last_test, evidence.promises.restore_test_max_age
    if last is not None and last.outcome == "failed" and (passed is None or passed.finished_at < last.finished_at):
        if last.damaged_in:
            text = (
                f"The restore test of {last.backup_name} met a damaged copy in {last.damaged_in} "
                f"{age(now - last.finished_at)} ago; the backup is safe in another storage."
            )
            return Reason("warning", text, "Test it from the other copy.", last.finished_at)
        text = f"Last restore test failed {age(now - last.finished_at)} ago: {last.reason}"
        return Reason("failure", text, "Test another backup, and take a new one.", last.finished_at)
    if passed is None:
        undone = evidence.undone_test
        if undone is not None:
            text = f"No proof is left: {undone.backup_name}, whose restore test passed, was found damaged since."
            return Reason("warning", text, "Run a restore test of another backup.", undone.finished_at)
        if last is not None:
            text = f"No restore test has passed; the last one was not testable here: {last.reason}"
            hint = "Set restore_test_url to a server that has what is missing."
            return Reason("warning", text, hint, last.finished_at)
        return Reason("warning", "No restore test has passed.", "Run a restore test.")
    old = now - passed.finished_at
    if old < -CLOCK_TOLERANCE:
        text = f"The last restore test is dated {age(-old)} in the future."
        return Reason("warning", text, "Check the clocks of the workers.", passed.finished_at)
    if old > limit:
        text = f"Last passed restore test {age(old)} ago · limit {age(limit)} · breached {age(old - limit)} ago"
        return Reason("warning", text, "Run a restore test.", passed.finished_at)
    return Reason("ok", f"Restore test passed {age(old)} ago · limit {age(limit)}", at=passed.finished_at)


def _proof_of_backups(evidence: Evidence, now: datetime) -> Reason | None:
    # Where no backup was ever made, "no restore test has passed" would only hide that.
    return _proof(evidence, now) if evidence.backups_ever else None


def _last_run(evidence: Evidence, now: datetime) -> Reason | None:
    run, good = evidence.last_failed_run, evidence.last_good
    if run is None:
        return None
    at = run.finished_at or run.queued_at
    if good is not None and good.finished_at > at:
        return None  # made good since, by a backup that no run of this catalogue made (a rebuild, an adopted file)
    word = "was lost with its worker" if run.state == "lost" else "failed"
    return Reason("note", f"The last backup run {word} {age(now - at)} ago: {run.error}".rstrip(": "), run.hint, at)


def _measured_rto(evidence: Evidence, _now: datetime) -> Reason | None:
    passed, rto = evidence.last_passed, evidence.promises.rto
    if passed is None or passed.seconds is None or passed.seconds <= rto.total_seconds():
        return None
    text = f"A restore took {format_duration(passed.seconds)} · RTO {age(rto)}"
    return Reason("note", text, "Restore in parallel, or agree on a longer RTO.", passed.finished_at)


def _last_slot(evidence: Evidence, now: datetime) -> Reason | None:
    """The promise that what is due is done; while no slot has settled there is nothing to say of it."""
    last = evidence.last_slot
    if last is None:
        return None
    due, limit = f"Last slot, due {age(now - last.slot.due)} ago,", f"deadline {age(last.slot.deadline)}"
    if not last.is_miss:
        assert last.finished_at is not None
        took = last.finished_at - last.slot.due
        # A backup that was taken right before may satisfy it, too.
        when = f"after {format_duration(took)}" if took >= timedelta(0) else "by a backup from right before"
        return Reason("ok", f"{due} satisfied {when} · {limit}", at=last.slot.due)
    hint = "Look at its run, or at the worker; then run a backup."
    return Reason("warning", f"{due} {last.state} · {limit} · {last.cause}".rstrip("· "), hint, last.slot.due)


def _pause(evidence: Evidence, now: datetime) -> Reason | None:
    version = evidence.schedule
    if version is None or not version.cron or not version.paused or evidence.promises.paused:
        return None
    because = f": {version.reason}" if version.reason else ""
    text = f"Its backup schedule was paused {age(now - version.valid_from)} ago by {version.actor}{because}"
    return Reason("note", text, "Nothing is backed up by itself until it is resumed.", version.valid_from)


def _storages(evidence: Evidence, now: datetime) -> Reason | None:
    """A backup that cannot be reached may be as good as ever; nobody can say so."""
    away = evidence.storages_away
    if not away:
        return None
    worst = away[0]
    text = f"Storage {worst.storage} could not be used {age(now - worst.tried_at)} ago: {worst.sentence}"
    every = len(away) >= evidence.wanted_copies
    return Reason("unknown" if every else "note", text, "See `backups doctor`.", worst.tried_at)


def _further_copies(evidence: Evidence, _now: datetime) -> Reason | None:
    good, wanted = evidence.last_good, evidence.wanted_copies
    if good is None or good.copies >= wanted:
        return None
    text = f"The last good backup has {good.copies} of {wanted} copies."
    return Reason("note", text, "The worker makes what is missing, or see why it cannot: backups storage.")


_RULES: tuple[Callable[[Evidence, datetime], Reason | None], ...] = (
    _last_good,
    _proof_of_backups,
    _last_run,
    _measured_rto,
    _last_slot,
    _pause,
    _storages,
    _further_copies,
)


def reasons_by_rule(evidence: Evidence, now: datetime) -> dict[str, Reason]:
    """Return what each rule says of a database, by the rule's name: ``last_good``, ``proof_of_backups``, …"""
    said = {rule.__name__.strip("_"): rule(evidence, now) for rule in _RULES}
    return {name: reason for name, reason in said.items() if reason is not None}


@dataclass(frozen=True)
class Verdict:
    """One sentence about all databases, and the next one that needs a person."""

    sentence: str
    detail: str
    severity: Severity


def give_verdict(statuses: Iterable[DatabaseStatus]) -> Verdict:
    """Say how many databases are proven to restore, and how much would be lost.

    ``ok`` only when each is PROTECTED (or paused). With no database at all the answer is ``unknown``.
    """
    ordered = worst_first(statuses)
    watched = [s for s in ordered if s.state != "PAUSED"]
    if not watched:
        paused = "every database is paused" if ordered else "no database is configured"
        return Verdict(f"Nothing is protected: {paused}.", "", "unknown")
    restorable = sum(s.is_restorable for s in watched)
    if len(watched) == 1:
        sentence = f"{watched[0].database} is {'' if restorable else 'not '}proven to restore"
    elif restorable == len(watched):
        sentence = f"All {restorable} databases are proven to restore"
    else:
        sentence = f"{restorable} of {len(watched)} databases {'is' if restorable == 1 else 'are'} proven to restore"
    worst = watched[0]
    if worst.state == "PROTECTED":
        return Verdict(f"{sentence}.", _loss([s.evidence.last_good for s in watched], worst.now), "ok")
    phrase, severity = _BAD_STATES[worst.state]
    return Verdict(f"{sentence}.", f"{worst.database} {phrase}: {worst.reasons[0].text}", severity)


def _loss(newest: Iterable[GoodBackup | None], now: datetime) -> str:
    """Say how much data a restore of the newest good backups would lose, and whether those were tested themselves."""
    good = [backup for backup in newest if backup is not None]
    lost = f"At most {age(max(now - backup.snapshot_at for backup in good))} of data would be lost"
    if all(backup.proven_at is not None for backup in good):
        return f"{lost}."
    return f"{lost}, if the newest backup restores as the one that was tested."


_BAD_STATES: dict[State, tuple[str, Severity]] = {
    "UNPROTECTED": ("is unprotected", "failure"),
    "NEVER BACKED UP": ("has never been backed up", "failure"),
    "AT RISK": ("is at risk", "warning"),
    "UNKNOWN": ("is not watched", "unknown"),
}
