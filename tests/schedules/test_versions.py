"""Versions of schedules: what the settings define, what persons change, and which of them judges a slot of the past."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.commands import pause_schedule, resume_schedule, run_schedule, set_schedule
from services.errors import BackupsError, InputError, UnknownName
from services.installation import Installation
from services.schedules.history import current, eras, last_due, next_due, slot_to_start, slots_between
from services.schedules.model import ScheduleVersion
from services.schedules.start_due import start_due_runs
from services.schedules.sync import known_schedules, sync_schedules
from services.settings.model import DatabaseSettings
from tests.schedules.conftest import START, NewInstallation, SetClock

NAME = "la_factoria/backup"
DAY = timedelta(days=1)


def history(inst: Installation, name: str = NAME) -> list[ScheduleVersion]:
    return inst.catalog.schedules.all().get(name, [])


def dues(inst: Installation, since: datetime = START, days: int = 30) -> list[str]:
    return [f"{slot.due:%m-%d %H:%M}" for slot in slots_between(history(inst), since, since + days * DAY)]


def test_the_settings_define_the_first_version_once(new_installation: NewInstallation, clock: SetClock) -> None:
    inst = new_installation(schedule_time_zone="Europe/Berlin", schedule_deadline=timedelta(hours=2))
    [version] = sync_schedules(inst)
    assert (version.schedule, version.number, version.cron, version.time_zone) == (
        NAME,
        1,
        "0 2 * * *",
        "Europe/Berlin",
    )
    assert (version.deadline, version.valid_from, version.source) == (timedelta(hours=2), START, "settings")
    clock.now += DAY
    assert sync_schedules(inst) == []
    assert sync_schedules(new_installation(schedule_time_zone="Europe/Berlin", schedule_deadline="2h")) == []
    assert history(inst) == [version]


def test_a_change_of_the_settings_holds_from_then_on_and_the_past_is_judged_as_it_was(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    sync_schedules(new_installation())
    clock.set("2026-11-23T12:00")
    inst = new_installation(schedule="0 4 * * *", schedule_deadline="1h")
    sync_schedules(inst)
    assert dues(inst, days=4) == ["11-22 02:00", "11-23 02:00", "11-24 04:00", "11-25 04:00"]
    limits = [slot.deadline for slot in slots_between(history(inst), START, START + 4 * DAY)]
    assert limits == [timedelta(hours=4)] * 2 + [timedelta(hours=1)] * 2


def test_there_are_no_slots_before_the_first_version(new_installation: NewInstallation) -> None:
    inst = new_installation()
    assert known_schedules(inst)[NAME].cron == "0 2 * * *"
    assert history(inst) == []
    sync_schedules(inst)
    assert slots_between(history(inst), START - 90 * DAY, START) == []
    assert last_due(history(inst), START) == []
    assert slot_to_start(history(inst), START) is None


def test_a_schedule_that_is_off_has_no_version_until_it_is_on(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation(schedule="off")
    assert sync_schedules(inst) == []
    sync_schedules(new_installation())
    clock.set("2026-11-23T12:00")
    sync_schedules(inst)
    clock.set("2026-11-25T12:00")
    assert dues(inst, days=9) == ["11-22 02:00", "11-23 02:00"]
    assert next_due(history(inst), clock.now, 3) == []


def test_a_database_that_the_settings_name_no_longer_ends_its_schedule(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    clock.set("2026-11-23T12:00")
    other = DatabaseSettings(name="orders", url="postgresql://u:p@h/orders", restore_test_schedule="")  # type: ignore[arg-type]
    later = new_installation(settings={"databases": (other,)})
    assert [(v.schedule, v.cron) for v in sync_schedules(later)] == [(NAME, ""), ("orders/backup", "0 2 * * *")]
    assert history(inst)[-1].reason == "The settings name it no longer."
    assert sync_schedules(later) == []
    assert dues(inst) == ["11-22 02:00", "11-23 02:00"]
    clock.set("2026-11-24T12:00")
    assert [v.cron for v in sync_schedules(inst)] == ["0 2 * * *", ""]
    assert history(inst)[-1].reason == "The settings name it again."


def with_orders(new_installation: NewInstallation) -> Installation:
    """Return an installation whose settings name one more database than the others'."""
    known = new_installation().settings.databases[0]
    orders = known.model_copy(update={"name": "orders", "schedule": "0 3 * * *"})
    return new_installation(settings={"databases": (known, orders)})


def test_a_command_from_a_process_with_older_settings_changes_what_it_names_and_nothing_else(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    older, worker = new_installation(schedule="0 5 * * *"), with_orders(new_installation)
    sync_schedules(worker)
    before = worker.catalog.schedules.all()
    clock.now += DAY  # long enough for the worker to be forgotten
    pause_schedule(older, NAME, actor="ada")
    resume_schedule(older, NAME, actor="ada")
    set_schedule(older, "janitor", cron="0 7 * * *", actor="ada")
    run_schedule(older, NAME, actor="ada")
    after = worker.catalog.schedules.all()
    assert after["orders/backup"] == before["orders/backup"]
    assert set(after) - set(before) == {"janitor"}
    assert [(v.source, v.cron) for v in after[NAME]] == [("settings", "0 2 * * *")] + [("person", "0 2 * * *")] * 2


def test_running_a_schedule_that_is_not_in_force_yet_puts_nothing_into_force(new_installation: NewInstallation) -> None:
    inst = new_installation()
    run_schedule(inst, NAME, actor="ada")
    assert inst.catalog.schedules.all() == {}
    pause_schedule(inst, NAME, actor="ada")
    assert {name: [v.source for v in versions] for name, versions in inst.catalog.schedules.all().items()} == {
        NAME: ["settings", "person"]
    }


def test_a_worker_with_other_settings_ends_nothing_while_one_that_names_it_is_there(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    one, other = with_orders(new_installation), new_installation()
    sync_schedules(one)
    assert sync_schedules(other) == []
    for _ in range(40):
        clock.now += timedelta(minutes=1)
        start_due_runs(one)
        start_due_runs(other)
    assert len(history(one, "orders/backup")) == 1
    for _ in range(9):  # the one has ended
        clock.now += timedelta(minutes=1)
        start_due_runs(other)
    assert len(history(one, "orders/backup")) == 1
    clock.now += timedelta(minutes=2)
    start_due_runs(other)
    assert [v.cron for v in history(one, "orders/backup")] == ["0 3 * * *", ""]


def test_a_schedule_that_was_ended_while_its_worker_did_not_answer_goes_on_as_a_person_had_set_it(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    one, other = with_orders(new_installation), new_installation()
    sync_schedules(one)
    set_schedule(one, "orders/backup", cron="30 4 * * *", actor="ada")
    clock.now += timedelta(hours=1)
    sync_schedules(other)
    clock.now += timedelta(minutes=1)
    start_due_runs(one)
    assert [v.cron for v in history(one, "orders/backup")] == ["0 3 * * *", "30 4 * * *", "", "30 4 * * *"]
    clock.now += timedelta(minutes=1)
    start_due_runs(other)
    start_due_runs(one)
    assert len(history(one, "orders/backup")) == 4


def test_what_a_person_changed_stays_until_the_settings_change_that_same_thing(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    set_schedule(inst, NAME, cron="30 1 * * *", actor="ada", reason="the batch moved")
    pause_schedule(inst, NAME, actor="bob", reason="server moves")
    assert sync_schedules(inst) == []
    clock.now += DAY
    [version] = sync_schedules(new_installation(schedule_deadline="1h"))
    assert (version.cron, version.paused, version.deadline) == ("30 1 * * *", True, timedelta(hours=1))
    [version] = sync_schedules(new_installation(schedule_deadline="1h", schedule="0 3 * * *"))
    assert (version.cron, version.paused) == ("0 3 * * *", True)
    versions = history(inst)
    assert [(v.number, v.source, v.actor) for v in versions] == [
        (1, "settings", "settings"), (2, "person", "ada"), (3, "person", "bob"), (4, "settings", "settings"),
        (5, "settings", "settings"),
    ]  # fmt: skip
    assert versions[2].reason == "server moves"


def test_the_settings_take_over_what_only_a_person_had_switched_on_when_they_define_it(
    new_installation: NewInstallation,
) -> None:
    name = "la_factoria/verification"
    inst = new_installation()
    sync_schedules(inst)
    set_schedule(inst, name, cron="0 5 * * SUN", time_zone="Europe/Berlin", actor="ada")
    assert sync_schedules(inst) == []
    assert [v.schedule for v in sync_schedules(new_installation(verification_schedule="0 6 * * MON"))] == [name]
    assert [v.cron for v in history(inst, name)] == ["0 5 * * SUN", "0 6 * * MON"]


def test_paused_times_have_no_slots_and_nothing_is_made_up_for_after_them(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    clock.set("2026-11-23T12:00")
    pause_schedule(inst, NAME, actor="ada")
    clock.set("2026-11-26T12:00")
    assert slot_to_start(history(inst), clock.now) is None
    assert next_due(history(inst), clock.now, 2) == []
    resume_schedule(inst, NAME, actor="ada")
    assert slot_to_start(history(inst), clock.now) is None, "nothing of before the pause"
    assert dues(inst, days=6) == ["11-22 02:00", "11-23 02:00", "11-27 02:00"]
    clock.set("2026-11-27T02:00")
    assert slot_to_start(history(inst), clock.now).due == clock.now  # type: ignore[union-attr]
    assert [slot.due.day for slot in last_due(history(inst), clock.now, 2)] == [23, 27]


def test_a_change_of_the_time_alone_does_not_lose_a_slot_that_was_missed_before(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    sync_schedules(new_installation())
    clock.set("2026-11-22T09:00")
    inst = new_installation(schedule="0 4 * * *")
    sync_schedules(inst)
    assert f"{slot_to_start(history(inst), clock.now).due:%m-%d %H:%M}" == "11-22 02:00"  # type: ignore[union-attr]


def test_pause_and_resume_twice_change_nothing_the_second_time(new_installation: NewInstallation) -> None:
    inst = new_installation()
    first = pause_schedule(inst, NAME, actor="ada")
    assert pause_schedule(inst, NAME, actor="bob") == first
    second = resume_schedule(inst, NAME, actor="ada")
    assert resume_schedule(inst, NAME, actor="bob") == second
    assert len(history(inst)) == 3


def test_a_database_that_is_paused_in_the_settings_has_no_slots_and_is_resumed_there(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation(paused=True)
    sync_schedules(inst)
    assert dues(inst) == []
    with pytest.raises(InputError, match="is paused in the settings"):
        resume_schedule(inst, NAME, actor="ada")
    clock.now += 3 * DAY
    sync_schedules(new_installation())
    assert dues(inst, days=5) == ["11-25 02:00", "11-26 02:00"]


@pytest.mark.parametrize(
    "change",
    [{"cron": "0 25 * * *"}, {"cron": "* * * * *"}, {"time_zone": "Mars/Olympus"}, {"deadline": timedelta(0)},
     {"deadline": timedelta(days=99)}, {"reason": "x" * 3000}],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_and_nothing_is_changed(
    new_installation: NewInstallation, change: dict[str, object]
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    with pytest.raises(InputError) as caught:
        set_schedule(inst, NAME, actor="ada", **({"cron": "0 3 * * *"} | change))  # type: ignore[arg-type]
    assert caught.value.hint
    assert len(history(inst)) == 1


def test_an_unknown_schedule_is_refused_with_what_comes_close(new_installation: NewInstallation) -> None:
    inst = new_installation(schedule="off")
    for change in (pause_schedule, resume_schedule, set_schedule, run_schedule):
        with pytest.raises(UnknownName, match="No schedule is called") as caught:
            change(inst, "la_factoria/bakup", actor="ada")
        assert NAME in caught.value.hint
    with pytest.raises(InputError, match="nothing to pause"):
        pause_schedule(inst, NAME, actor="ada")
    assert history(inst) == []


def test_run_now_is_a_persons_backup_also_while_the_schedule_is_paused(new_installation: NewInstallation) -> None:
    inst = new_installation()
    pause_schedule(inst, NAME, actor="ada")
    run_id = run_schedule(inst, NAME, actor="ada", idempotency_key="click")
    assert run_schedule(inst, NAME, actor="ada", idempotency_key="click") == run_id
    [run] = inst.catalog.runs.list()
    assert (run.kind, run.params["type"], run.params["slot"], run.actor) == ("backup", "on-demand", None, "ada")
    assert run.reason == "Schedule la_factoria/backup, run now."
    with pytest.raises(BackupsError, match="no good backup of la_factoria yet"):
        run_schedule(inst, "la_factoria/restore_test", actor="ada")


def test_of_two_changes_at_once_none_is_lost(new_installation: NewInstallation) -> None:
    insts = [new_installation() for _ in range(4)]
    sync_schedules(insts[0])

    def change(n: int) -> None:
        set_schedule(insts[n], NAME, cron=f"{n} 3 * * *", actor=f"person {n}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    versions = history(insts[0])
    assert [v.number for v in versions] == [1, 2, 3, 4, 5]
    assert {v.actor for v in versions[1:]} == {f"person {n}" for n in range(4)}


def version(number: int, valid_from: datetime, *, cron: str = "0 2 * * *", paused: bool = False) -> ScheduleVersion:
    return ScheduleVersion(NAME, number, "la_factoria", "backup", cron, "UTC", timedelta(hours=4), valid_from, "person",
                           "ada", paused=paused)  # fmt: skip


def test_a_change_that_was_made_while_the_clock_was_a_year_ahead_keeps_no_later_one_from_taking_effect() -> None:
    ahead = version(2, START + 365 * DAY, cron="0 7 * * *")
    versions = [version(1, START), ahead, version(3, START + DAY, cron="0 9 * * *")]
    assert [(era.version.number, era.since, era.until) for era in eras(versions)] == [
        (1, START, START + DAY), (3, START + DAY, None),
    ]  # fmt: skip
    assert current(versions, START + 400 * DAY) == versions[2]
    assert current(versions[:2], START + DAY) == versions[0]


def test_when_the_clock_is_right_again_the_last_change_holds_at_once(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    clock.now = START + 365 * DAY
    set_schedule(inst, NAME, cron="0 7 * * *", actor="ada")
    clock.now = START
    [again] = sync_schedules(inst)
    assert (again.cron, again.valid_from, again.source, again.actor) == ("0 7 * * *", START, "person", "ada")
    assert dues(inst, days=2) == ["11-22 07:00", "11-23 07:00"]


moments = st.integers(0, 60 * 24).map(lambda hours: START + timedelta(hours=hours))
versions_at_random = st.lists(
    st.tuples(moments, st.sampled_from(["", "0 2 * * *", "30 */6 * * *"]), st.booleans()), max_size=6
).map(lambda drawn: [version(n, at, cron=cron, paused=paused) for n, (at, cron, paused) in enumerate(drawn, 1)])


@settings(deadline=None)
@given(versions_at_random, moments, moments, moments)
def test_slots_of_any_history_ascend_add_up_and_are_those_of_the_version_that_was_valid(
    versions: list[ScheduleVersion], one: datetime, two: datetime, three: datetime
) -> None:
    since, middle, until = sorted((one, two, three))
    whole = slots_between(versions, since, until)
    assert whole == slots_between(versions, since, middle) + slots_between(versions, middle, until)
    assert [slot.due for slot in whole] == sorted({slot.due for slot in whole})
    for slot in whole:
        valid = current(versions, slot.due)
        assert valid is not None
        assert valid.is_on
    everything = slots_between(versions, START, until + timedelta(microseconds=1))
    assert last_due(versions, until, 3) == everything[-3:]
    started = slot_to_start(versions, until)
    assert started is None or started == everything[-1]


def test_the_time_zone_of_an_instant_does_not_matter() -> None:
    versions = [version(1, START)]
    there = START.astimezone(ZoneInfo("Asia/Tokyo"))
    assert slots_between(versions, there, there + DAY) == slots_between(versions, START, START + DAY)
    assert slots_between(versions, START, START + DAY)[0].due.tzinfo == UTC
