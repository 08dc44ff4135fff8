"""How a slot stands: a table of what a night may bring, and what holds for any backups at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.model import Run
from services.schedules.model import Slot
from services.schedules.outcomes import CLOCK_TOLERANCE, SlotOutcome, StoredBackup, explain, judge, slot_days

DUE = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMIT = 4 * HOUR
NEXT_DAY = DUE + 20 * HOUR
NEVER = "Never started: no worker took it up."


def slot(due: datetime = DUE) -> Slot:
    return Slot("orders/backup", "orders", due, LIMIT)


def backup(after: timedelta, took: timedelta = HOUR / 6, fault: Any = "", name: str = "b") -> StoredBackup:
    began = DUE + after
    return StoredBackup(name, began, began + took / 9, began + took, fault)


def run(state: str, error: str = "") -> Run:
    return Run("r1", "backup", "orders", None, state, "schedule", "", {}, DUE, error=error)  # type: ignore[arg-type]


def outcome(backups: list[StoredBackup], own: Run | None = None, now: datetime = NEXT_DAY) -> SlotOutcome:
    [found] = explain(judge([slot()], backups, now), {slot().key: own} if own else {})
    return found


CASES: list[tuple[str, list[StoredBackup], Run | None, datetime, str, bool, str]] = [
    ("in time", [backup(HOUR / 60)], run("finished"), NEXT_DAY, "satisfied", True, ""),
    ("to the second at its deadline", [backup(HOUR, 3 * HOUR)], None, NEXT_DAY, "satisfied", True, ""),
    ("a second after it", [backup(HOUR + timedelta(seconds=1), 3 * HOUR)], run("finished"), NEXT_DAY, "late", True,
     "Finished 4 h 00 min after it was due; the deadline is 4 h 00 min."),
    ("satisfied, and the deadline has not passed", [backup(HOUR)], run("finished"), DUE + 3 * HOUR, "satisfied",
     False, ""),
    ("begun by a worker whose clock is behind", [backup(-CLOCK_TOLERANCE)], None, NEXT_DAY, "satisfied", True, ""),
    ("before it was due", [backup(-HOUR)], None, NEXT_DAY, "missed", True, NEVER),
    ("begun before it was due and finished after", [backup(-HOUR, 2 * HOUR)], None, NEXT_DAY, "missed", True, NEVER),
    ("taken by hand when its own run had failed", [backup(2 * HOUR)], run("failed", "no space"), NEXT_DAY, "satisfied",
     True, ""),
    ("taken by hand, too late", [backup(7 * HOUR)], run("failed", "no space"), NEXT_DAY, "late", True,
     "Finished 7 h 10 min after it was due; the deadline is 4 h 00 min. Its run failed: no space"),
    ("failed", [], run("failed", "The server has no free connection."), NEXT_DAY, "missed", True,
     "Its run failed: The server has no free connection."),
    ("lost", [], run("lost"), NEXT_DAY, "missed", True, "Its run was lost with its worker."),
    ("cancelled", [], run("cancelled", "Cancelled by ada."), NEXT_DAY, "missed", True,
     "Its run was cancelled: Cancelled by ada."),
    ("still going after its deadline", [], run("running"), DUE + 5 * HOUR, "missed", True, "Its run is still going."),
    ("waiting", [], run("queued"), DUE + 5 * HOUR, "missed", True, "Its run still waits for a worker."),
    ("nobody there", [], None, NEXT_DAY, "missed", True, NEVER),
    ("partial", [backup(HOUR, fault="partial")], run("finished"), NEXT_DAY, "missed", True,
     "There is only a partial backup, from which tables were left out."),
    ("failed a verification since", [backup(HOUR, fault="failed")], run("failed", "x"), NEXT_DAY, "missed", True,
     "Its backup failed a verification."),
    ("a second one made good for it", [backup(HOUR, fault="failed"), backup(2 * HOUR)], None, NEXT_DAY, "satisfied",
     True, ""),
    ("untrusted", [backup(HOUR, fault="untrusted")], None, NEXT_DAY, "missed", True,
     "The signature of its backup is not trusted."),
    ("adopted", [backup(HOUR, fault="adopted")], None, NEXT_DAY, "missed", True,
     "There is only a file that was made elsewhere."),
    ("not yet", [], run("running"), DUE + 3 * HOUR, "open", False, ""),
    ("failed, but there is still time", [], run("failed", "x"), DUE + 3 * HOUR, "open", False, ""),
    ("exactly at its deadline there is still time", [], None, DUE + LIMIT, "open", False, ""),
    ("dated after now: not believed", [backup(2 * HOUR)], None, DUE + HOUR, "open", False, ""),
    ("the database's clock is a day behind", [StoredBackup("b", DUE, DUE - DAY, DUE + HOUR)], None, NEXT_DAY,
     "satisfied", True, ""),
    ("the database's clock is a day ahead", [StoredBackup("b", DUE, DUE + DAY, DUE + HOUR)], None, NEXT_DAY,
     "satisfied", True, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "backups", "own", "now", "state", "decided", "cause"), CASES, ids=[case[0] for case in CASES]
)
def test_a_slot_stands_as_its_backups_say(
    title: str, backups: list[StoredBackup], own: Run | None, now: datetime, state: str, decided: bool, cause: str
) -> None:
    found = outcome(backups, own, now)
    assert (found.state, found.decided, found.cause) == (state, decided, cause), title


def test_a_backup_counts_for_one_slot_only_the_newest_that_was_due() -> None:
    hourly = [slot(DUE + n * HOUR) for n in range(4)]
    late = StoredBackup("b", DUE + 3.1 * HOUR, DUE + 3.1 * HOUR, DUE + 3.2 * HOUR)
    states = [found.state for found in judge(hourly, [late], NEXT_DAY)]
    assert states == ["missed", "missed", "missed", "satisfied"]


def test_a_backup_that_takes_longer_than_an_hour_satisfies_an_hourly_slot_within_its_deadline() -> None:
    hourly = [slot(DUE + n * HOUR) for n in range(2)]
    long_one = StoredBackup("b", DUE, DUE, DUE + 1.5 * HOUR)
    assert [found.state for found in judge(hourly, [long_one], DUE + 2 * HOUR)] == ["satisfied", "open"]


def test_a_run_that_waited_until_the_next_slot_was_due_is_named_as_the_cause() -> None:
    hourly = [slot(DUE + n * HOUR) for n in range(2)]
    waited = StoredBackup("b", DUE + HOUR, DUE + HOUR, DUE + 1.5 * HOUR)
    first, _ = explain(judge(hourly, [waited], NEXT_DAY), {hourly[0].key: run("finished")})
    assert first.cause == "Its run began so late that its backup counts for the next slot."


def test_days_are_counted_by_the_utc_day_on_which_slots_were_due() -> None:
    slots = [slot(DUE + n * 12 * HOUR) for n in range(4)]
    backups = [StoredBackup(str(n), s.due, s.due, s.due + HOUR) for n, s in enumerate(slots) if n != 1]
    days = slot_days(judge(slots, backups, slots[-1].due + 2 * HOUR))
    assert [(str(day.day), day.satisfied, day.missed, day.state) for day in days] == [
        ("2026-11-22", 1, 1, "missed"), ("2026-11-23", 2, 0, "satisfied"),
    ]  # fmt: skip


hours = st.integers(-30, 150).map(lambda n: DUE + n * HOUR / 2)
backups_at_random = st.lists(
    st.builds(
        lambda began, took, fault, n: StoredBackup(str(n), began, began + took / 2, began + took, fault),
        hours, st.integers(0, 12).map(lambda n: n * HOUR / 2), st.sampled_from(["", "", "partial", "failed"]),
        st.integers(0, 10**6),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(backups_at_random, st.integers(0, 90).map(lambda n: DUE + n * HOUR), st.randoms())
def test_more_backups_never_make_a_slot_worse_and_their_order_does_not_matter(
    backups: list[StoredBackup], now: datetime, random: Any
) -> None:
    slots = [slot(due) for n in range(4) if (due := DUE + n * DAY) <= now]
    found = judge(slots, backups, now)
    shuffled = list(backups)
    random.shuffle(shuffled)
    assert judge(slots, shuffled, now) == found
    rank = {"missed": 0, "open": 0, "late": 1, "satisfied": 2}
    fewer = judge(slots, backups[1:], now)
    assert all(rank[more.state] >= rank[less.state] for more, less in zip(found, fewer, strict=True))
    used = [each.backup_id for each in found if each.finished_at is not None]
    assert len(used) == len(set(used)) or len({b.id for b in backups}) < len(backups)
    for each in found:
        assert (each.state == "open") <= (now <= each.slot.deadline_at)
        assert (each.state in ("late", "missed")) <= each.decided
        if each.finished_at is not None:
            assert (each.state == "satisfied") == (each.finished_at <= each.slot.deadline_at)


@settings(deadline=None)
@given(backups_at_random, st.integers(1, 60), st.integers(0, 60))
def test_a_slot_that_has_settled_as_good_stays_so_as_time_goes_by(
    backups: list[StoredBackup], first: int, later: int
) -> None:
    now = DUE + first * HOUR
    before = judge([slot()], backups, now)[0]
    after = judge([slot()], backups, now + later * HOUR)[0]
    if before.state == "satisfied":
        assert after.state == "satisfied"
    if after.state == "open":
        assert before.state == "open"
