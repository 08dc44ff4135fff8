"""Statuses at an instant of the past: what the overview would have said then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.catalog.summaries import storage_use
from services.installation import Installation
from services.overview import load_statuses
from services.review.standing import statuses_at
from services.review.storage_use import used_at_ends
from services.review.week import Period
from services.status import DatabaseStatus
from tests.pages.worlds import add_run
from tests.review.world import NOW, Clock, at, backup, empty, newest, schedule, verification

HOUR = timedelta(hours=1)


def past(inst: Installation, instant: datetime) -> dict[str, DatabaseStatus]:
    return statuses_at(inst, inst.catalog.schedules.all(), instant)


def said(status: DatabaseStatus) -> tuple[object, ...]:
    return status.database, status.state, [reason.text for reason in status.reasons], status.is_restorable


def expire(inst: Installation, database: str, when: datetime) -> None:
    for each in inst.catalog.backups.list(database=database, state="finished"):
        copies = tuple(replace(copy, state="deleted") for copy in each.copies)
        inst.catalog.backups.add(replace(each, state="expired", expired_at=when, copies=copies))


def lose(inst: Installation, database: str, when: datetime) -> None:
    inst.catalog.backups.set_copy_state(newest(inst, database, when).id, "local", "missing", checked_at=when)


def check(inst: Installation, database: str, when: datetime, level: str, outcome: str, seconds: float = 5.0) -> None:
    measured = seconds if level == "restore" else None
    verification(inst, newest(inst, database, when), when, level, outcome, measured)


# Hours before NOW, and what happened then: partial, damaged, mended, missing, expired and untrusted backups, tests of
# every outcome.
STORY: tuple[tuple[float, Callable[[Installation, datetime], object]], ...] = (
    (30, lambda inst, when: backup(inst, "c", when)),
    (9, lambda inst, when: [backup(inst, name, when) for name in "abc"]),
    (8, lambda inst, when: check(inst, "a", when, "restore", "passed", 5000.0)),
    (7.5, lambda inst, when: check(inst, "b", when, "checksum", "failed")),
    (7, lambda inst, when: check(inst, "a", when, "archive", "failed")),
    (6.5, lambda inst, when: check(inst, "b", when, "restore", "passed", 3.0)),
    (6, lambda inst, when: check(inst, "a", when, "checksum", "passed")),  # shallower: it mends nothing
    (5.5, lambda inst, when: check(inst, "b", when, "restore", "not testable")),
    (5, lambda inst, when: backup(inst, "d", when)),
    (4.5, lambda inst, when: check(inst, "d", when, "restore", "failed")),
    (4, lambda inst, when: backup(inst, "d", when, trust="untrusted")),
    (3.5, lambda inst, when: backup(inst, "c", when, excluded=("public.x",))),
    (3, lambda inst, when: lose(inst, "b", when)),
    (2.5, lambda inst, when: add_run(inst, "d", when, state="failed", error="no server")),
    (2, lambda inst, when: expire(inst, "d", when)),
    (1.5, lambda inst, when: check(inst, "a", when, "archive", "passed")),
    (1, lambda inst, when: backup(inst, "a", when, adopted=True)),
)


def test_the_past_is_told_as_the_overview_told_it_at_the_time_on_both_engines(
    tmp_path: Path, catalog_url: str, clock: Clock
) -> None:
    """The story is lived through once, and what the overview says after each step is written down."""
    inst = empty(tmp_path, *"abcde", url=catalog_url, clock=clock)
    schedule(inst, "a", "0 */3 * * *", deadline=HOUR)
    schedule(inst, "b", "0 */4 * * *", deadline=HOUR)
    schedule(inst, "c", "0 3 * * *", valid_from=NOW - 9 * HOUR)
    then = {}
    for back, happens in STORY:
        happens(inst, NOW - back * HOUR)
        clock.now = NOW - back * HOUR + timedelta(minutes=5)
        inst.catalog.workers.beat("host:1", version="0.1.0", now=clock.now)  # whether one ran then nobody remembers
        then[clock.now] = sorted(map(said, load_statuses(inst)))
    clock.now = NOW
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW)
    then[NOW] = sorted(map(said, load_statuses(inst)))
    for instant, expected in then.items():
        assert (
            sorted(said(status) for status in statuses_at(inst, inst.catalog.schedules.all(), instant).values())
            == expected
        ), instant
    states = {state for expected in then.values() for _, state, *_ in expected}
    assert states == {"PROTECTED", "AT RISK", "UNPROTECTED", "NEVER BACKED UP"}
    inst.close()


@pytest.mark.parametrize(
    "instant, factoria, billing",
    [
        ("10-19 00:00", "AT RISK", "AT RISK"),  # nothing was tested yet
        ("10-26 00:00", "PROTECTED", "AT RISK"),
        ("10-28 00:00", "AT RISK", "AT RISK"),  # its slot of the 27th was missed: the RPO is broken
        ("11-09 00:00", "PROTECTED", "PROTECTED"),
        ("11-16 00:00", "PROTECTED", "UNPROTECTED"),
    ],
)
def test_the_small_world_over_time(world: Installation, instant: str, factoria: str, billing: str) -> None:
    found = past(world, at(instant))
    assert (found["la_factoria"].state, found["billing"].state) == (factoria, billing)


def test_a_status_of_the_past_does_not_change_when_its_backups_expire_later(world: Installation, clock: Clock) -> None:
    before = [said(status) for status in past(world, at("11-09 00:00")).values()]
    clock.now = at("12-20 00:00")
    for each in world.catalog.backups.list():
        expired_at = each.expired_at or at("12-01 00:00")
        world.catalog.backups.add(replace(each, state="expired", expired_at=expired_at))
    assert [
        said(status) for status in statuses_at(world, world.catalog.schedules.all(), at("11-09 00:00")).values()
    ] == before


def test_storage_of_the_past_holds_what_has_expired_since(world: Installation) -> None:
    def used(instant: datetime) -> int:
        return used_at_ends(world.catalog.engine, [Period(instant - HOUR, instant)])["local"][0]

    assert used(at("11-05 03:10")) - used(at("11-05 04:00")) == 16_000_000
    assert used(NOW) == storage_use(world.catalog.engine)["local"].bytes


def test_a_copy_counts_until_it_was_found_missing(tmp_path: Path) -> None:
    inst = empty(tmp_path, "a")
    made = backup(inst, "a", at("11-09 02:00"))
    inst.catalog.backups.set_copy_state(made.id, "local", "missing", checked_at=at("11-10 02:00"))
    ends = [Period(at("11-09 00:00"), at(day)) for day in ("11-09 12:00", "11-11 00:00")]
    assert used_at_ends(inst.catalog.engine, ends) == {"local": (made.stored_bytes, 0)}


def test_without_databases_there_is_nothing_to_ask(tmp_path: Path) -> None:
    assert past(empty(tmp_path), NOW) == {}
