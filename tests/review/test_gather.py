"""The review of a week against what is counted by hand; see ``tests.review.world``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from services.capacity.storage_use import load_storage_report
from services.installation import Installation
from services.review.gather import choose_week, load_review
from services.review.model import Review
from services.review.week import Week
from tests.pages.test_queries import count_queries
from tests.review.world import (
    DIFFERENCE,
    LOCK,
    MB,
    NOW,
    WEEK,
    Clock,
    alerts,
    at,
    backup,
    empty,
    log_deletion,
    schedule,
    small_world,
)

# Key: the values of W42 to W46, and how the last compares with the one before and with the mean of the four before.
BY_HAND = {
    "slots": ([100, 100, 100 * 13 / 14, 100, 100 * 11 / 14], "21.4 points lower", "19.6 points lower", "worse"),
    "misses": ([0, 0, 1, 0, 3], "3 more", "2.8 more", "worse"),
    "backups": ([14, 14, 13, 14, 13], "1 fewer", "0.8 fewer", "changed"),
    "emergencies": ([0, 0, 0, 0, 1], "1 more", "1 more", "changed"),
    "failures": ([0, 0, 0, 0, 1], "1 more", "1 more", "worse"),
    "duration": ([90, 90, 90, 90, 120], "33 % longer", "33 % longer", "worse"),
    "database_size": ([n * MB for n in (120, 130, 140, 150, 160)], "7 % larger", "19 % larger", "changed"),
    "stored_size": ([10 * MB] * 5, "about the same", "about the same", "same"),
    "storage": ([n * MB for n in (70, 140, 202, 256, 308)], "20 % more", "84 % more", "changed"),
    "checks": ([14, 15, 14, 14, 16], "2 more", "1.8 more", "changed"),
    "failed_checks": ([0, 0, 0, 0, 1], "1 more", "1 more", "worse"),
    "restore_tests": ([0, 1, 1, 0, 1], "1 more", "0.5 more", "changed"),
    "failed_tests": ([0, 0, 0, 0, 1], "1 more", "1 more", "worse"),
    "restore_time": ([None, 10, 6, None, 20], "nothing to compare", "2.5 times as long", "nothing"),
    "deletions": ([0, 0, 0, 2, 3], "1 more", "2.5 more", "changed"),
    "deleted_bytes": ([0, 0, 0, 16 * MB, 18 * MB], "12 % more", "4.5 times as much", "changed"),
    "alerts_opened": ([0, 0, 0, 1, 2], "1 more", "1.8 more", "worse"),
    "alerts_resolved": ([0, 0, 0, 0, 2], "2 more", "2 more", "changed"),
    "alerts_open": ([0, 0, 0, 1, 1], "the same", "0.8 more", "same"),
}


@pytest.fixture
def review(world: Installation) -> Review:
    return load_review(world, WEEK)


def test_every_figure_is_what_is_counted_by_hand_on_both_engines(tmp_path: Path, catalog_url: str) -> None:
    inst = small_world(tmp_path, url=catalog_url)
    review = load_review(inst, WEEK)
    inst.close()
    found = {
        figure.key: (
            pytest.approx(list(figure.values)), figure.against_last.short, figure.against_mean.short,
            figure.against_last.tone,
        )
        for figure in review.figures
    }  # fmt: skip
    assert found == BY_HAND
    assert review.figure("slots").text == "11 of 14"
    assert review.figure("slots").last_text == "14 of 14"


def test_the_week_is_said_in_one_sentence(review: Review) -> None:
    assert review.verdict.sentence == (
        "11 of 14 slots satisfied; 2 misses: billing on Wed 11 Nov and Thu 12 Nov; 1 late: la_factoria on Fri 13 Nov, "
        "finished 5 h 01 min after it was due; 1 restore test failed: billing; 1 of 2 databases proven to restore, not "
        "proven: billing."
    )
    assert review.verdict.severity == "failure"
    assert review.verdict.headline == (
        "11 of 14 slots satisfied; 1 of 2 databases proven to restore, not proven: billing."
    )


def test_an_ordinary_week_is_said_in_an_ordinary_sentence(world: Installation) -> None:
    assert load_review(world, Week(2026, 45)).verdict.sentence == (
        "All 14 slots satisfied; both databases proven to restore."
    )
    one_miss = load_review(world, Week(2026, 44)).verdict
    assert one_miss.sentence == (
        "13 of 14 slots satisfied; 1 miss: la_factoria on Tue 27 Oct, never started: no worker took it up; "
        "both databases proven to restore."
    )
    assert (one_miss.severity, load_review(world, Week(2026, 45)).verdict.severity) == ("warning", "ok")


def test_each_database_has_its_seven_days(review: Review) -> None:
    factoria, billing = review.databases
    assert [day.state for day in factoria.days] == ["satisfied"] * 4 + ["late"] + ["satisfied"] * 2
    assert [day.state for day in billing.days] == ["satisfied"] * 2 + ["missed"] * 2 + ["satisfied"] * 3
    assert billing.days[2].words == f"missed: the slot of 03:00. Its run failed: {LOCK}"
    assert billing.days[5].good_backups == 2
    assert (factoria.duration.text, billing.duration.text) == ("1 min 30 s", "30 s")
    assert factoria.duration.against_last.words == "50 % longer than last week"
    assert billing.duration.against_last.tone == "same"
    assert [week.status and week.status.state for week in review.databases] == ["PROTECTED", "UNPROTECTED"]
    assert [week.is_proven for week in review.databases] == [True, False]


def test_misses_are_listed_in_order_with_their_causes(review: Review) -> None:
    assert [(o.slot.due, o.slot.database, o.state, o.cause) for o in review.misses] == [
        (at("11-11 03:00"), "billing", "missed", f"Its run failed: {LOCK}"),
        (at("11-12 03:00"), "billing", "missed", "Its backup failed a verification."),
        (at("11-13 02:00"), "la_factoria", "late",
         "Finished 5 h 01 min after it was due; the deadline is 4 h 00 min."),
    ]  # fmt: skip


def test_restore_tests_show_their_proof_and_the_measured_time(review: Review) -> None:
    passed, failed = review.restore_tests
    assert (passed.backup_name, passed.outcome, passed.seconds) == ("la_factoria_20261110_020000", "passed", 20.0)
    assert passed.proof == "12 tables, 4,100 rows: every count and hash equals the source"
    assert passed.rto_seconds == 3600
    assert (failed.database, failed.outcome) == ("billing", "failed")
    assert "9 rows instead of 10" in failed.proof
    levels = {level.level: (level.passed, level.failed, level.not_testable) for level in review.checks}
    assert levels == {"checksum": (14, 0, 0), "restore": (1, 1, 0)}


def test_alerts_failures_deletions_and_emergencies_are_listed(review: Review) -> None:
    assert [alert.check for alert in review.alerts] == ["restore_test", "backup_run", "storage_room"]
    assert [run.error for run in review.failures] == [LOCK]
    assert [(d.database, d.backups, d.bytes) for d in review.deletions] == [
        ("billing", 1, 2 * MB),
        ("la_factoria", 2, 16 * MB),
    ]
    [emergency] = review.emergencies
    assert (emergency.database, emergency.note, emergency.actor) == ("billing", "before the repair", "mara")
    [storage] = review.storages
    assert storage.limit_bytes == 10**9
    assert storage.full_in_days is not None
    assert 69 <= storage.full_in_days <= 692 / 8.5, "at 10 MB a day; less what was deleted, 8.5 MB"


def test_when_a_storage_is_full_is_said_as_the_storage_page_says_it(world: Installation) -> None:
    [storage] = load_review(world, Week(2026, 47)).storages
    [card] = load_storage_report(world).cards
    assert storage.full_in_days == card.full_in_days
    assert storage.used.value == card.used.bytes
    [long_past] = load_review(world, Week(2026, 45)).storages
    assert long_past.full_in_days is None


def test_a_deletion_that_failed_counts_only_when_it_succeeds(world: Installation) -> None:
    kept = world.catalog.backups.list(database="billing", state="finished")[0]
    log_deletion(world, kept, at("11-10 03:30"), "failed")
    assert load_review(world, WEEK).figure("deletions").value == 3
    log_deletion(world, kept, at("11-11 03:30"))
    assert load_review(world, WEEK).figure("deletions").value == 4


def test_a_deletion_of_which_one_copy_failed_deleted_no_backup_and_its_bytes_are_told(world: Installation) -> None:
    kept = world.catalog.backups.list(database="billing", state="finished")[0]
    before = load_review(world, WEEK).figure("deleted_bytes").value or 0
    log_deletion(world, kept, at("11-10 03:30"))
    log_deletion(world, kept, at("11-10 03:30"), "failed")
    after = load_review(world, WEEK)
    assert after.figure("deletions").value == 3
    assert after.figure("deleted_bytes").value == before + kept.stored_bytes


def test_deletions_are_told_in_whole_sentences() -> None:
    from services.review.events import _deleted
    from services.review.figures import AMOUNT, COUNT, make_figure

    def said(backups: int, size: int) -> str:
        count = make_figure("deletions", "", COUNT, [0, 0, 0, 0, backups], better="neither")
        return _deleted(count, make_figure("deleted_bytes", "", AMOUNT, [0, 0, 0, 0, size], better="neither"))

    assert said(1, 1_000_000) == "1 backup deleted (1.00 MB)"
    assert said(2, 1_000_000) == "2 backups deleted (1.00 MB)"
    assert said(0, 1_000_000) == "No backup was deleted whole; copies of some were (1.00 MB)"


def test_a_partial_backup_that_restores_is_no_restore_test_passed(world: Installation) -> None:
    before = load_review(world, WEEK).figure("restore_tests").value
    test = next(test for test in load_review(world, WEEK).restore_tests if test.outcome == "passed")
    backup = world.catalog.backups.get(test.backup_id)
    world.catalog.backups.add(replace(backup, excluded=("big.*",)))
    after = load_review(world, WEEK)
    assert after.figure("restore_tests").value == (before or 0) - sum(
        each.backup_id == backup.id and each.outcome == "passed" for each in after.restore_tests
    )
    assert any(each.proof.startswith("Partial: what it holds restores.") for each in after.restore_tests)


def test_what_the_week_leaves_open_is_asked_once(review: Review) -> None:
    assert [question.text.split(".")[0] for question in review.questions] == [
        "The slot of billing on Wed 11 Nov was missed",
        "The slot of billing on Thu 12 Nov was missed",
        "The slot of la_factoria on Fri 13 Nov was late",
        f"The restore test of billing_20261112_030000 failed: {DIFFERENCE}",
    ]
    assert all(question.action for question in review.questions)


def test_what_is_due_in_the_week_that_follows(world: Installation) -> None:
    schedule(world, "billing", "0 5 18 * *", schedule="billing/restore_test", job="restore_test")
    schedule(world, None, "0 4 * * *", schedule="janitor", job="janitor")
    due = load_review(world, WEEK).due
    assert [(d.kind, d.database, d.text, d.at) for d in due if d.severity == "ok"] == [
        ("backups", "la_factoria", "7 backup slots: At 02:00 every day (UTC)", at("11-16 02:00")),
        ("backups", "billing", "7 backup slots: At 03:00 every day (UTC)", at("11-16 03:00")),
        ("restore test", "billing", "Restore test of a random good backup of the month before", at("11-18 05:00")),
        ("upkeep", None, "Upkeep: 7 × janitor", None),
    ]
    assert not [d for d in due if d.kind == "proof"], "billing was proven on 29 October, for 35 days"


def test_a_proof_that_runs_out_is_due_and_says_whether_a_test_renews_it(world: Installation, clock: Clock) -> None:
    clock.now = at("11-26 12:00")
    # la_factoria's newest proof of 10 November holds until 15 December, billing's of 29 October until 3 December.
    proofs = {d.database: d for d in load_review(world, Week(2026, 48)).due if d.kind == "proof"}
    assert set(proofs) == {"billing"}
    assert proofs["billing"].severity == "warning"
    assert proofs["billing"].text.endswith("runs out, limit 35 d; no restore test is due before")
    schedule(world, "billing", "0 5 1 * *", schedule="billing/restore_test", job="restore_test")
    [renewed] = [d for d in load_review(world, Week(2026, 48)).due if d.kind == "proof"]
    assert (renewed.severity, renewed.text[-45:]) == ("ok", "; a restore test is due before, on Tue 01 Dec")
    clock.now = at("12-09 12:00")
    [over] = [d for d in load_review(world, Week(2026, 49)).due if d.kind == "proof" and d.database == "billing"]
    assert over.severity == "warning"
    assert "has run out" in over.text


def test_a_running_week_is_compared_with_the_same_days_of_the_weeks_before(world: Installation) -> None:
    review = load_review(world, Week(2026, 47))
    assert review.is_running
    assert review.until == NOW
    # Monday to Wednesday noon: three slots of each database; of W46 billing's Wednesday was missed.
    assert (review.figure("slots").text, review.figure("slots").last_text) == ("6 of 6", "5 of 6")
    assert list(review.figure("backups").values) == [6, 5, 6, 5, 6]
    assert review.figure("deletions").last == 3
    assert [day.state for day in review.databases[0].days] == ["satisfied"] * 3 + ["open"] * 4


def test_weeks_before_the_first_record_are_unknown_and_not_zero(world: Installation) -> None:
    first = load_review(world, Week(2026, 42))
    assert list(first.figure("backups").values) == [None, None, None, None, 14]
    assert {figure.against_last.tone for figure in first.figures} == {"nothing"}
    second = load_review(world, Week(2026, 43))
    assert second.figure("backups").mean_of == 1
    assert second.figure("backups").against_mean.words == "as many as the only week before"


def test_a_database_that_was_added_later_is_not_missed_in_the_weeks_before(tmp_path: Path) -> None:
    inst = empty(tmp_path, "la_factoria", "billing")
    schedule(inst, "la_factoria", "0 2 * * *")
    schedule(inst, "billing", "0 3 * * *", valid_from=at("11-16 00:00"))
    for day in range(9, 18):
        backup(inst, "la_factoria", at(f"11-{day:02d} 02:00"))
    backup(inst, "billing", at("11-17 03:00"))
    assert [week.database for week in load_review(inst, WEEK).databases] == ["la_factoria"]
    assert [week.database for week in load_review(inst, Week(2026, 47)).databases] == ["la_factoria", "billing"]


def test_a_database_that_the_settings_no_longer_name_stays_in_the_weeks_that_knew_it(
    world: Installation, tmp_path: Path
) -> None:
    world.close()
    inst = empty(tmp_path, "la_factoria")
    review = load_review(inst, WEEK)
    assert [(week.database, week.status is None) for week in review.databases] == [
        ("la_factoria", False),
        ("billing", True),
    ]
    assert "all" not in review.verdict.sentence
    assert review.verdict.sentence.endswith("la_factoria proven to restore.")


def test_several_slots_a_day_are_counted_and_the_worst_gives_the_day_its_mark(tmp_path: Path) -> None:
    inst = empty(tmp_path, "la_factoria")
    schedule(inst, "la_factoria", "0 */6 * * *")
    for hour in (0, 6, 18):
        backup(inst, "la_factoria", at(f"11-10 {hour:02d}:00"))
    [week] = load_review(inst, WEEK).databases
    tuesday = week.days[1]
    assert (tuesday.slots, tuesday.satisfied, tuesday.missed, tuesday.state) == (4, 3, 1, "missed")
    assert tuesday.words == "missed: the slot of 12:00. Never started: no worker took it up. · 3 slots satisfied"


def test_backups_on_days_without_a_slot_are_shown_as_such(tmp_path: Path) -> None:
    inst = empty(tmp_path, "la_factoria")
    backup(inst, "la_factoria", at("11-10 15:00"))
    review = load_review(inst, WEEK)
    assert [day.state for day in review.databases[0].days] == ["nothing", "backup"] + ["nothing"] * 5
    assert review.verdict.sentence.startswith("No slot was due, 1 good backup made all the same; la_factoria")
    assert review.figure("misses").value is None, "where no slot was due, none was kept either"


def test_the_weeks_of_a_year_of_53_weeks_follow_each_other(tmp_path: Path) -> None:
    clock = Clock(at("12-31 12:00") + timedelta(days=7))
    inst = empty(tmp_path, "la_factoria", clock=clock)
    schedule(inst, "la_factoria", "0 2 * * *")
    day = at("11-30 02:00")
    while day < clock.now:
        backup(inst, "la_factoria", day)
        day += timedelta(days=1)
    last = load_review(inst, Week(2026, 53))
    assert last.week.title == "28 Dec 2026 – 3 Jan 2027"
    assert [last.week.shifted(-n).label for n in (4, 1)] == ["2026-W49", "2026-W52"]
    assert list(last.figure("backups").values) == [7] * 5
    following = load_review(inst, Week(2027, 1))
    assert following.is_running
    assert following.figure("backups").last == 4
    assert "2026-W53" in [following.week.shifted(-n).label for n in range(5)]


def test_without_a_wish_the_last_week_that_has_ended_is_shown(world: Installation, tmp_path: Path) -> None:
    assert choose_week(world, None) == WEEK
    assert choose_week(world, "this") == Week(2026, 47)
    (tmp_path / "new").mkdir()
    new = empty(tmp_path / "new", "la_factoria")
    assert choose_week(new, None) == Week(2026, 47), "nothing is on record of the week before"


def test_an_installation_on_which_nothing_is_on_record_has_a_review_all_the_same(tmp_path: Path) -> None:
    review = load_review(empty(tmp_path), Week(2026, 47))
    assert review.since is None
    assert review.databases == ()
    assert review.verdict.severity == "unknown"
    one = load_review(empty(tmp_path, "la_factoria"), Week(2026, 47))
    assert one.verdict.severity == "failure"
    assert [week.status and week.status.state for week in one.databases] == ["NEVER BACKED UP"]


def test_an_alert_is_open_at_the_end_of_the_week_in_which_it_was_not_yet_resolved(world: Installation) -> None:
    before = load_review(world, Week(2026, 45))
    assert [alert.check for alert in before.alerts] == ["storage_room"]
    assert any("“Storage nearly full” (local) has been open for 4 h" in q.text for q in before.questions)


def test_the_review_asks_as_often_for_many_backups_as_for_few(tmp_path: Path) -> None:
    counts = []
    for folder, hours in (("few", "0 0 * * *"), ("many", "0 */8 * * *")):
        (tmp_path / folder).mkdir()
        inst = empty(tmp_path / folder, "la_factoria", "billing")
        for name in ("la_factoria", "billing"):
            schedule(inst, name, hours)
            for day in range(30):
                for hour in range(0, 24, 24 if folder == "few" else 8):
                    if (day, hour) != (29, 0):
                        backup(inst, name, at("10-12 00:00") + timedelta(days=day, hours=hour))
        alerts(inst)
        counts += [count_queries(inst, partial(load_review, inst, week)) for week in (WEEK, Week(2026, 47))]
    assert counts[:2] == counts[2:]
    assert max(counts) <= 36
