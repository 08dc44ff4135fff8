"""The simulated past as rows: written at once, and equal to what the catalogue's own stores would have made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.sample.first_start import add_past
from services.sample.history import simulate_past
from services.sample.history_model import STORIES
from tests.sample.test_history import NOW, measured
from tests.support.installations import make_catalog, make_installation


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
