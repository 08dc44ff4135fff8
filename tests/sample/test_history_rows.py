"""The simulated past as rows: written at once, and equal to what the catalogue's own stores would have made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.overview import load_statuses
from services.sample.first_start import add_past, schedule_since
from services.sample.history import simulate_past
from services.sample.history_model import STORIES
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from services.slo import load_slo
from tests.sample.test_history import NOW, measured
from tests.support.catalogs import make_catalog
from tests.support.installations import make_installation


def test_the_rows_are_those_that_the_stores_would_write(tmp_path: Path) -> None:
    past = simulate_past(measured("la_factoria"), STORIES["la_factoria"], NOW)
    installation = make_installation(tmp_path / "home")
    add_past(installation, past)
    catalog = make_catalog(f"sqlite:///{tmp_path / 'by-store.db'}")
    with catalog.engine.begin() as connection:
        for backup in past.backups:
            unchecked = replace(
                backup, verification_level=None, verification_at=None, verification_passed=None, proven_at=None
            )
            catalog.backups.add(unchecked, connection)
        for verification in past.verifications:
            catalog.verifications.add(verification, connection)
    assert installation.catalog.backups.list() == catalog.backups.list()
    assert installation.catalog.verifications.list() == catalog.verifications.list()
    assert {row.id for row in installation.catalog.deletions.list()} == {row.id for row in past.deletions}
    assert {row.backup_id for row in past.deletions} == {backup.id for backup in past.backups}
    assert all(row.note.startswith("Simulated history") for row in past.deletions)
    assert [run.id for run in reversed(installation.catalog.runs.list(limit=None))] == [
        run.id for run in sorted(past.runs, key=lambda run: (run.queued_at, run.id))
    ]


def test_the_past_has_slots_that_were_satisfied_late_and_missed_for_causes_that_are_known(tmp_path: Path) -> None:
    noon = NOW.replace(hour=12)
    installation = make_installation(tmp_path / "home", clock=lambda: noon, database={"schedule": "0 2 * * *"})
    story = STORIES["la_factoria"]
    add_past(installation, simulate_past(measured("la_factoria"), story, noon))
    schedule_since(installation, "la_factoria", story.days)
    schedule_since(installation, "la_factoria", story.days)
    assert sync_schedules(installation) == [], "the settings' own version is in force already"
    month, year = load_slo(installation, days=30), load_slo(installation, days=365)
    assert (month.total.satisfied, month.total.missed) == (28, 2)
    assert year.total.slots == 365
    [late, missed] = sorted(month.databases[0].misses, key=lambda miss: miss.slot.due, reverse=True)
    assert (late.state, missed.state) == ("late", "missed")
    assert "Its run failed: Cannot connect to la_factoria" in late.cause
    assert missed.cause == "Its run was lost with its worker."
    assert load_statuses(installation)[0].evidence.last_slot.state == "satisfied"  # type: ignore[union-attr]
    assert start_due_runs(installation) == []
