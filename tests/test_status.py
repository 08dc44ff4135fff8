"""What makes a database safe, at risk, or unknown: a table of cases, and what must hold for any evidence at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.model import Run
from services.catalog.workers import FORGOTTEN_AFTER, SILENT_AFTER
from services.schedules.model import ScheduleVersion, Slot
from services.schedules.outcomes import SlotOutcome
from services.status import (
    CLOCK_TOLERANCE,
    DatabaseStatus,
    Evidence,
    GoodBackup,
    Promises,
    RestoreTest,
    State,
    StorageAway,
    WorkerSigns,
    age,
    derive_status,
    give_verdict,
    worst_first,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PROMISES = Promises(rpo=24 * HOUR, rto=HOUR, restore_test_max_age=35 * DAY)
ALIVE = WorkerSigns(heartbeat_at=NOW - timedelta(seconds=3))
AWAY = StorageAway("r2", "Access denied.", NOW - timedelta(minutes=5))
SILENT = WorkerSigns(heartbeat_at=NOW - timedelta(minutes=5))


def good(old: timedelta) -> GoodBackup:
    at = NOW - old
    return GoodBackup("b", "orders_backup_1", at, at + timedelta(seconds=9), 100, 10, None)


def restored(old: timedelta, outcome: str = "passed", reason: str = "", seconds: float | None = 9.0) -> RestoreTest:
    return RestoreTest("b", "orders_backup_1", outcome, reason, NOW - old, seconds)


def slot(state: Any, old: timedelta, cause: str = "") -> SlotOutcome:
    due = NOW - old
    finished = due + HOUR / 12 if state == "satisfied" else due + 5 * HOUR if state == "late" else None
    return SlotOutcome(Slot("orders/backup", "orders", due, 4 * HOUR), state, True, finished, cause=cause)


def schedule(**changes: Any) -> ScheduleVersion:
    base = ScheduleVersion("orders/backup", 2, "orders", "backup", "0 2 * * *", "UTC", 4 * HOUR, NOW - 3 * HOUR,
                           "person", "ada")  # fmt: skip
    return replace(base, **changes)


def evidence(**changes: Any) -> Evidence:
    """A protected database's evidence, with changes."""
    passed = restored(2 * DAY)
    base = Evidence("orders", PROMISES, 9, 9, NOW - 9 * DAY, good(3 * HOUR), None, passed, passed)
    return replace(base, **changes)


FAILED_SINCE = restored(1 * DAY, "failed", "2 rows are missing")
UNTESTABLE = restored(1 * DAY, "not testable", "extension postgis is missing", None)
MET_DAMAGE = replace(restored(1 * DAY, "failed", "sha256 is other"), damaged_in="disk")
CASES: list[tuple[str, Evidence, WorkerSigns, State, str]] = [
    ("all promises kept", evidence(), ALIVE, "PROTECTED", "Last good backup 3 h ago · RPO 24 h"),
    ("a test met a damaged copy, and the backup is safe", evidence(last_test=MET_DAMAGE), ALIVE, "AT RISK",
     "met a damaged copy in disk 24 h ago; the backup is safe in another storage."),
    ("exactly at the RPO", evidence(last_good=good(24 * HOUR)), ALIVE, "PROTECTED", "RPO 24 h"),
    (
        "RPO breached", evidence(last_good=good(26 * HOUR)), ALIVE, "AT RISK",
        "Last good backup 26 h ago · RPO 24 h · breached 2 h ago",
    ),
    ("the proven backup was damaged since", evidence(last_passed=None, last_test=None, undone_test=restored(DAY)),
     ALIVE, "AT RISK", "No proof is left: orders_backup_1, whose restore test passed, was found damaged since."),
    ("never tested", evidence(last_passed=None, last_test=None), ALIVE, "AT RISK", "No restore test has passed."),
    (
        "the proof is too old", evidence(last_passed=restored(40 * DAY), last_test=restored(40 * DAY)), ALIVE,
        "AT RISK",
        "Last passed restore test 40 d ago · limit 35 d · breached 5 d ago",
    ),
    (
        "the last test failed", evidence(last_test=FAILED_SINCE), ALIVE, "UNPROTECTED",
        "Last restore test failed 24 h ago: 2 rows are missing",
    ),
    (
        "a failure that a later pass mended",
        evidence(last_passed=restored(1 * HOUR), last_test=restored(1 * HOUR)), ALIVE, "PROTECTED",
        "Restore test passed 1 h ago",
    ),
    (
        "only tests that could not be held", evidence(last_passed=None, last_test=UNTESTABLE), ALIVE, "AT RISK",
        "not testable here: extension postgis is missing",
    ),
    ("no good backup left", evidence(last_good=None, good_backups=0), ALIVE, "UNPROTECTED", "No good backup is left"),
    (
        "never backed up", Evidence("orders", PROMISES), ALIVE, "NEVER BACKED UP", "No backup was ever finished.",
    ),
    ("worker silent", evidence(), SILENT, "UNKNOWN", "The worker has been silent for 5 min."),
    ("known risk beats a silent worker", evidence(last_good=good(26 * HOUR)), SILENT, "AT RISK", "RPO 24 h"),
    ("no worker, nothing waits: work in the foreground", evidence(), WorkerSigns(), "PROTECTED", "RPO 24 h"),
    ("its only storage is away", evidence(storages_away=(AWAY,)), ALIVE, "UNKNOWN", "Storage r2 could not be used"),
    (
        "one of two storages is away", evidence(storages_away=(AWAY,), wanted_copies=2), ALIVE, "PROTECTED",
        "RPO 24 h",
    ),
    ("no worker for its schedule", evidence(is_scheduled=True), WorkerSigns(), "UNKNOWN", "No worker runs, so no"),
    ("a worker for its schedule", evidence(is_scheduled=True), ALIVE, "PROTECTED", "RPO 24 h"),
    (
        "no worker, and work waits", evidence(), WorkerSigns(None, NOW - timedelta(minutes=2)), "UNKNOWN",
        "The worker is not running, and work has waited for 2 min.",
    ),
    (
        "a heartbeat from the future is no sign of life", evidence(), WorkerSigns(NOW + timedelta(minutes=10)),
        "UNKNOWN", "The worker's last heartbeat is dated 10 min in the future.",
    ),
    ("clocks a little apart", evidence(), WorkerSigns(NOW + SILENT_AFTER), "PROTECTED", "RPO 24 h"),
    ("a beat just missed", evidence(), WorkerSigns(NOW - SILENT_AFTER), "PROTECTED", "RPO 24 h"),
    (
        "one beat too many missed", evidence(), WorkerSigns(NOW - SILENT_AFTER - timedelta(seconds=1)), "UNKNOWN",
        "The worker has been silent for 31 s.",
    ),
    (
        "a worker long dead says nothing of what is backed up without it", evidence(), WorkerSigns(NOW - 30 * DAY),
        "PROTECTED", "RPO 24 h",
    ),
    (
        "a worker long dead does not start what waits", evidence(),
        WorkerSigns(NOW - 30 * DAY, NOW - timedelta(minutes=2)), "UNKNOWN", "The worker is not running",
    ),
    (
        "with a long RPO a worker is missed for longer",
        evidence(promises=replace(PROMISES, rpo=14 * DAY), last_good=good(11 * DAY)), WorkerSigns(NOW - 10 * DAY),
        "UNKNOWN", "The worker has been silent for 10 d.",
    ),
    ("work just queued", evidence(), WorkerSigns(None, NOW - timedelta(seconds=5)), "PROTECTED", "RPO 24 h"),
    (
        "paused", evidence(promises=replace(PROMISES, paused=True), last_good=None), ALIVE, "PAUSED",
        "Protection is paused",
    ),
    (
        "a backup dated ahead of our clock proves nothing", evidence(last_good=good(-2 * HOUR - HOUR / 4)), ALIVE,
        "AT RISK", "dated 2 h in the future",
    ),
    ("slow restore is said, and breaks nothing else", evidence(last_passed=restored(2 * DAY, seconds=5400)), ALIVE,
     "PROTECTED", "A restore took 1 h 30 min · RTO 1 h"),
    (
        "the last slot satisfied", evidence(last_slot=slot("satisfied", 10 * HOUR)), ALIVE, "PROTECTED",
        "Last slot, due 10 h ago, satisfied after 5 min 00 s · deadline 4 h",
    ),
    (
        "the last slot satisfied by what was taken just before",
        evidence(last_slot=replace(slot("satisfied", 10 * HOUR), finished_at=NOW - 10 * HOUR - timedelta(seconds=14))),
        ALIVE, "PROTECTED", "satisfied by a backup from right before · deadline 4 h",
    ),
    (
        "the last slot missed, whatever else is well",
        evidence(last_slot=slot("missed", 10 * HOUR, "Never started.")), ALIVE, "AT RISK",
        "Last slot, due 10 h ago, missed · deadline 4 h · Never started.",
    ),
    (
        "the last slot late", evidence(last_slot=slot("late", 10 * HOUR, "Finished late.")), ALIVE, "AT RISK",
        "Last slot, due 10 h ago, late · deadline 4 h · Finished late.",
    ),
    (
        "a missed slot beats a silent worker", evidence(last_slot=slot("missed", 10 * HOUR)), SILENT, "AT RISK",
        "missed · deadline 4 h",
    ),
    (
        "the schedule paused by a person", evidence(schedule=schedule(paused=True, reason="server moves")), ALIVE,
        "PROTECTED", "Its backup schedule was paused 3 h ago by ada: server moves",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("title", "what", "signs", "state", "words"), CASES, ids=[case[0] for case in CASES])
def test_the_state_follows_from_the_evidence(
    title: str, what: Evidence, signs: WorkerSigns, state: State, words: str
) -> None:
    status = derive_status(what, signs, NOW)
    assert status.state == state, title
    assert any(words in reason.text for reason in status.reasons), [reason.text for reason in status.reasons]


def test_of_a_schedule_that_is_off_or_paused_in_the_settings_no_pause_is_said() -> None:
    for what in (
        evidence(schedule=schedule(paused=True, cron="")),
        evidence(schedule=schedule(paused=True), promises=replace(PROMISES, paused=True)),
        evidence(schedule=schedule()),
    ):
        assert not [r for r in derive_status(what, ALIVE, NOW).reasons if "schedule was paused" in r.text]


def test_a_failed_run_is_said_with_its_reason_and_hint() -> None:
    run = Run("r", "backup", "orders", None, "failed", "x", "", {}, NOW - HOUR, finished_at=NOW - HOUR,
              error="pg_dump: connection lost", hint="Look at the server.")  # fmt: skip
    status = derive_status(evidence(last_failed_run=run), ALIVE, NOW)
    [reason] = [r for r in status.reasons if r.text.startswith("The last backup run failed")]
    assert reason.text == "The last backup run failed 1 h ago: pg_dump: connection lost"
    assert reason.hint == "Look at the server."
    older = replace(run, finished_at=NOW - 5 * HOUR)
    assert not [r for r in derive_status(evidence(last_failed_run=older), ALIVE, NOW).reasons if "failed" in r.text]


def test_running_work_lies_over_the_state_and_never_changes_it() -> None:
    run = Run("r", "backup", "orders", None, "running", "x", "", {}, NOW)
    for what in (evidence(), evidence(last_good=None), Evidence("orders", PROMISES)):
        assert derive_status(replace(what, active=(run,)), ALIVE, NOW).state == derive_status(what, ALIVE, NOW).state
        assert derive_status(replace(what, active=(run,)), ALIVE, NOW).active == (run,)


lengths = st.timedeltas(min_value=-2 * DAY, max_value=90 * DAY)
tests_held = st.builds(restored, lengths, st.sampled_from(["passed", "failed", "not testable"]), st.just("why"))
worlds = st.builds(
    Evidence,
    database=st.just("orders"),
    promises=st.builds(
        Promises,
        rpo=st.timedeltas(min_value=HOUR, max_value=20 * DAY),
        rto=st.just(HOUR),
        restore_test_max_age=st.timedeltas(min_value=DAY, max_value=60 * DAY),
        paused=st.booleans(),
    ),
    backups_ever=st.integers(0, 3),
    last_good=st.none() | st.builds(good, lengths),
    last_passed=st.none() | st.builds(restored, lengths),
    last_test=st.none() | tests_held,
    last_slot=st.none() | st.builds(slot, st.sampled_from(["satisfied", "late", "missed"]), lengths),
)
signs_seen = st.builds(
    WorkerSigns,
    heartbeat_at=st.none() | st.builds(lambda d: NOW - d, st.timedeltas(-2 * DAY, 30 * DAY)),
    oldest_queued_at=st.none() | st.builds(lambda d: NOW - d, st.timedeltas(timedelta(0), DAY)),
)


@given(worlds, signs_seen)
def test_protected_is_only_ever_said_of_what_is_proven(what: Evidence, signs: WorkerSigns) -> None:
    status = derive_status(what, signs, NOW)
    if status.state != "PROTECTED":
        return
    last_good, passed, last = what.last_good, what.last_passed, what.last_test
    assert what.backups_ever > 0
    assert not what.promises.paused
    assert last_good is not None
    assert -CLOCK_TOLERANCE <= NOW - last_good.snapshot_at <= what.promises.rpo
    assert passed is not None
    assert -CLOCK_TOLERANCE <= NOW - passed.finished_at <= what.promises.restore_test_max_age
    assert last is None or last.outcome != "failed" or last.finished_at <= passed.finished_at
    assert what.last_slot is None or not what.last_slot.is_miss
    beat, waits_since = signs.heartbeat_at, signs.oldest_queued_at
    alive = beat is not None and abs(NOW - beat) <= SILENT_AFTER
    made_without_it = beat is None or (NOW - beat > FORGOTTEN_AFTER and last_good.snapshot_at > beat)
    assert alive or made_without_it
    assert alive or waits_since is None or NOW - waits_since <= SILENT_AFTER
    assert {reason.severity for reason in status.reasons} <= {"ok", "note"}


@given(worlds, signs_seen, st.timedeltas(timedelta(0), 100 * DAY))
def test_time_alone_never_makes_a_database_safer(what: Evidence, signs: WorkerSigns, later: timedelta) -> None:
    dates = [what.last_good.snapshot_at] if what.last_good else []
    dates += [what.last_passed.finished_at] if what.last_passed else []
    dates += [signs.heartbeat_at] if signs.heartbeat_at else []
    ahead = [date for date in dates if date > NOW]
    if ahead:  # a date in the future becomes credible when its time has come
        return
    dead = signs.heartbeat_at is not None and NOW - signs.heartbeat_at > SILENT_AFTER
    if dead and what.last_good and what.last_good.snapshot_at > signs.heartbeat_at:
        return  # backed up without the worker since it died: a while later it is not missed any more
    before, after = derive_status(what, signs, NOW).state, derive_status(what, signs, NOW + later).state
    if before != "PROTECTED":
        assert after != "PROTECTED"


@given(st.lists(st.builds(derive_status, worlds, signs_seen, st.just(NOW)), max_size=4))
def test_the_verdict_is_green_only_when_every_database_is(statuses: list[DatabaseStatus]) -> None:
    verdict = give_verdict(statuses)
    watched = [status for status in statuses if status.state != "PAUSED"]
    assert (verdict.severity == "ok") == (bool(watched) and all(s.state == "PROTECTED" for s in watched))


def test_the_verdict_counts_what_is_proven_to_restore_and_names_the_worst() -> None:
    protected = derive_status(evidence(), ALIVE, NOW)
    late = derive_status(replace(evidence(last_good=good(26 * HOUR)), database="billing"), ALIVE, NOW)
    never = derive_status(replace(Evidence("users", PROMISES)), ALIVE, NOW)
    assert give_verdict([protected]).sentence == "orders is proven to restore."
    lost = "At most 3 h of data would be lost"
    assert give_verdict([protected]).detail == f"{lost}, if the newest backup restores as the one that was tested."
    tested = derive_status(evidence(last_good=replace(good(3 * HOUR), proven_at=NOW)), ALIVE, NOW)
    assert give_verdict([tested]).detail == f"{lost}."
    untested = derive_status(evidence(last_passed=None, last_test=None), ALIVE, NOW)
    assert give_verdict([untested]).sentence == "orders is not proven to restore."
    verdict = give_verdict([protected, late, never])
    assert verdict.sentence == "2 of 3 databases are proven to restore."
    assert verdict.detail.startswith("users has never been backed up")
    assert give_verdict([]).severity == "unknown"
    assert [s.database for s in worst_first([protected, late, never])] == ["users", "billing", "orders"]


@pytest.mark.parametrize(
    ("length", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h"), (5400, "90 min"), (26 * 3600, "26 h"),
     (48 * 3600, "2 d"), (-5, "0 s")],
)  # fmt: skip
def test_an_age_has_one_fitting_unit(length: float, words: str) -> None:
    assert age(timedelta(seconds=length)) == words
