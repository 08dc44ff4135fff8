"""Success by runs and by days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from services.catalog import summaries
from services.catalog.catalog import Catalog
from services.catalog.summaries import Day
from services.trends.query import TrendsQuery
from services.trends.success import SUCCESS_COLUMNS, Success, first_days, load_success, total
from tests.catalog.rows import make_backup
from tests.trends.conftest import NOW, PLAN, look

TODAY = NOW.date()


def success_of(catalog: Catalog, query: TrendsQuery) -> Success:
    days = summaries.days(catalog.engine, since=query.since, until=query.until, databases=query.databases)
    return total(load_success(catalog.engine, query, days, first_days(catalog.engine), TODAY))


def end_run(catalog: Catalog, run_id: str, state: str, at: datetime) -> None:
    claim = catalog.runs.claim(run_id, worker="w", now=at)
    if state == "lost":
        assert catalog.runs.take_back(catalog.runs.get(run_id), state="lost", now=at)
    else:
        catalog.runs.finish(claim, state=state, now=at)  # type: ignore[arg-type]


def test_runs_that_failed_or_were_lost_count_and_cancelled_ones_do_not(
    catalog: Catalog, add_run: Callable[..., str]
) -> None:
    for number, state in enumerate(("finished", "finished", "finished", "failed", "lost", "cancelled")):
        end_run(catalog, add_run(params={"type": "scheduled"}), state, NOW - timedelta(days=number))
    end_run(catalog, add_run(kind="verification"), "failed", NOW)
    end_run(catalog, add_run(params={"type": "on-demand"}), "finished", NOW)
    end_run(catalog, add_run(database="other"), "failed", NOW)
    query = look("30 days", databases=("la_factoria",))
    assert (success_of(catalog, query).runs, success_of(catalog, query).runs_finished) == (6, 4)
    scheduled = look("30 days", databases=("la_factoria",), type="scheduled")
    assert (success_of(catalog, scheduled).runs, success_of(catalog, scheduled).runs_finished) == (5, 3)


def test_a_day_without_a_good_backup_counts_from_the_first_backup_on(catalog: Catalog) -> None:
    for days, changes in ((9, {}), (8, {"verification_passed": False}), (7, {"excluded": ("x",)}), (5, {}), (1, {})):
        catalog.backups.add(make_backup(f"b{days}", finished_at=NOW - timedelta(days=days), **changes))  # type: ignore[arg-type]
    found = success_of(catalog, look("30 days", databases=("la_factoria",)))
    assert (found.days, found.days_good) == (9, 3), "nine days since the first; today is not over"
    catalog.backups.add(make_backup("today", finished_at=NOW - timedelta(hours=1)))
    found = success_of(catalog, look("30 days", databases=("la_factoria",)))
    assert (found.days, found.days_good) == (10, 4)
    past = look(first=TODAY - timedelta(days=8), last=TODAY - timedelta(days=6), databases=("la_factoria",))
    assert (success_of(catalog, past).days, success_of(catalog, past).days_good) == (3, 0)


def test_every_database_has_days_of_its_own_and_buckets_add_up(filled: Catalog) -> None:
    for query in (look("90 days"), look(first=date(2026, 7, 1)), TrendsQuery(date(2023, 1, 1), TODAY, PLAN.names)):
        days = summaries.days(filled.engine, since=query.since, until=query.until, databases=query.databases)
        begun = first_days(filled.engine)
        frame = load_success(filled.engine, query, days, begun, TODAY)
        assert tuple(frame.columns) == SUCCESS_COLUMNS
        assert frame["at"].is_unique, "runs and days fall into the same buckets"
        assert (frame["days_good"] <= frame["days"]).all()
        assert (frame["runs_finished"] <= frame["runs"]).all()
        expected = sum((TODAY - max(query.first, begun[name])).days + 1 for name in PLAN.names)
        happened = {day.database for day in days if day.day == TODAY}
        assert total(frame).days == expected - (len(PLAN.names) - len(happened))
        ended = filled.runs.list(kind="backup", limit=None)
        in_range = [
            run for run in ended if run.finished_at is not None and query.since <= run.finished_at < query.until
        ]
        assert total(frame).runs == len(in_range) > 0
        assert total(frame).runs_finished == sum(run.state == "finished" for run in in_range) < len(in_range)


def test_a_database_that_was_never_backed_up_has_no_days(catalog: Catalog) -> None:
    assert success_of(catalog, look("30 days", databases=("la_factoria",))) == Success(0, 0, 0, 0)
    assert first_days(catalog.engine) == {}


def test_days_can_be_narrowed_down(filled: Catalog) -> None:
    everything = summaries.days(filled.engine, since=NOW - timedelta(days=60))
    since, until = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
    some = summaries.days(filled.engine, since=since, until=until, databases=PLAN.names[:2])

    def fits(day: Day) -> bool:
        return day.database in PLAN.names[:2] and since.date() <= day.day < until.date()

    assert some == [day for day in everything if fits(day)] != []
