"""The catalogue's tables come from migrations alone, and these agree with the schema."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.catalog.catalog import Catalog
from services.catalog.engine import MIGRATIONS, head_revision, open_engine
from services.catalog.schema import Instant, metadata
from services.errors import BackupsError, ConnectionFailed, SettingsError


def test_the_migrations_make_the_tables_of_the_schema(catalog: Catalog) -> None:
    with catalog.engine.connect() as connection:
        ours = set(metadata.tables)
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in ours},
        )
        assert compare_metadata(context, metadata) == []


def test_an_empty_catalogue_is_refused_until_it_is_migrated_and_migrating_again_changes_nothing(
    catalog_url: str,
) -> None:
    catalog = Catalog(catalog_url)
    with pytest.raises(BackupsError, match="backups migrate"):
        catalog.check_revision()
    assert catalog.migrate() == (None, head_revision())
    assert catalog.migrate() == (head_revision(), head_revision())
    catalog.check_revision()
    catalog.close()


def test_five_processes_that_migrate_at_once_do_it_once(catalog_url: str) -> None:
    catalogs = [Catalog(catalog_url) for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        before = [result[0] for result in pool.map(Catalog.migrate, catalogs)]
    assert sorted(before, key=str) == sorted([None] + [head_revision()] * 4, key=str)
    for catalog in catalogs:
        catalog.close()


def test_the_needed_revision_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [head_revision()]


def test_a_naive_instant_is_never_stored() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Instant().process_bind_param(datetime(2026, 1, 1), sa.create_engine("sqlite://").dialect)  # noqa: DTZ001


def test_other_engines_and_unreachable_servers_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="mysql"):
        open_engine("mysql://u:p@h/d")
    with pytest.raises(ConnectionFailed, match="cannot be opened") as caught:
        Catalog("postgresql://ada:planted-secret@127.0.0.1:1/c").check_revision()
    assert "planted-secret" not in str(caught.value)
