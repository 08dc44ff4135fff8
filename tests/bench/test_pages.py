"""The page benchmark on a small catalogue: its rows are such as the product writes, and it measures every page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from bench.by_hand import ContestantFailed
from bench.pages.catalogue import Plan, fill_catalogue
from bench.pages.measure import BLANK_PAGE, measure_memory, measure_pages, page_names, show_memory, show_pages
from bench.pages.site import install, served
from bench.pages.visits import open_session
from dashboard.navigation import PAGES
from services.catalog import schema
from services.catalog.catalog import Catalog
from services.postgres.server import LocalServer
from tests.support.catalogs import make_catalog

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SMALL = Plan(NOW, databases=3, days=400, backups=1500, tables=5)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    catalog = make_catalog(f"sqlite:///{tmp_path_factory.mktemp('filled') / 'catalog.db'}")
    fill_catalogue(catalog, SMALL)
    return catalog


def test_a_catalogue_has_as_many_backups_as_planned_spread_over_its_databases(filled: Catalog) -> None:
    backups = filled.backups.list()
    assert Counter(backup.database for backup in backups) == dict.fromkeys(SMALL.names, 500)
    assert max(backup.finished_at for backup in backups) <= NOW
    kept = [backup for backup in backups if backup.state == "finished"]
    assert 3 * 15 <= len(kept) < 500, "retention was applied"
    assert all(copy.state == "stored" for backup in kept for copy in backup.copies)
    assert not any(copy.state == "stored" for backup in backups if backup.state == "expired" for copy in backup.copies)


def test_every_backup_says_what_its_verifications_say(filled: Catalog) -> None:
    fields = ("verification_level", "verification_at", "verification_passed", "proven_at")

    def verdicts() -> dict[str, tuple[object, ...]]:
        return {backup.id: tuple(getattr(backup, name) for name in fields) for backup in filled.backups.list()}

    written = verdicts()
    with filled.engine.begin() as connection:
        for backup_id in written:
            filled.verifications.settle(backup_id, connection)
    assert verdicts() == written
    assert len({verdict[0] for verdict in written.values()}) == 3, "checksum, archive and restore"


def test_the_same_plan_gives_the_same_rows(filled: Catalog, tmp_path: Path) -> None:
    again = make_catalog(f"sqlite:///{tmp_path / 'again.db'}")
    assert fill_catalogue(again, SMALL)["backups"] == 1500
    for table in (
        schema.runs,
        schema.backups,
        schema.copies,
        schema.verifications,
        schema.alerts,
        schema.outbox,
        schema.wal_samples,
    ):
        query = sa.select(table).order_by(*table.primary_key.columns)
        with filled.engine.connect() as one, again.engine.connect() as other:
            assert one.execute(query).all() == other.execute(query).all(), table.name
    again.close()


def test_every_page_is_visited_beside_a_blank_one_and_a_broken_page_has_no_time(
    tmp_path: Path, server18: LocalServer
) -> None:
    installed = install(
        tmp_path, server18, "sqlite", Plan(datetime.now(UTC), databases=2, days=30, backups=60, tables=2)
    )
    with served(installed.environ) as dashboard, served(installed.environ, blank=True) as blank:
        with open_session(blank.address) as session, open_session(dashboard.address) as other:
            assert session.visit("").bytes < other.visit("").bytes / 10, "the blank page is blank"
        times = measure_pages(dashboard, blank, rounds=1)
        resident, peak = measure_memory(dashboard, sessions=2)
        with (
            open_session(dashboard.address) as session,
            pytest.raises(ContestantFailed, match="no page called 'nowhere'"),
        ):
            session.visit("nowhere")
    assert {each.name for each in times} == {BLANK_PAGE, *page_names()}
    assert {f"{name}.py" for name in page_names()} == {path.name for path in PAGES.glob("[a-z]*.py")}
    assert all(len(each.warm) == 1 and each.median > 0 for each in times)
    assert 0 < resident <= peak
    lines = show_pages(times)
    assert len([line for line in lines if line.startswith(("met", "NOT MET"))]) == len(page_names())
    assert "NOT MET" in show_memory(499_000_000, 501_000_000)
    assert show_memory(499_000_000, 500_000_000).startswith("met")
