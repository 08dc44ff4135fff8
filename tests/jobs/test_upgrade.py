"""An upgrade with work waiting: what an older version queued, in an older catalogue, is done by the newer one."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from services import commands
from services.backups.request import BackupRequest
from services.catalog.engine import MIGRATIONS, head_revision
from services.errors import BackupsError
from services.installation import open_configured
from services.jobs import use_cases
from tests.jobs.test_worker import wait_for, working
from tests.jobs.use_cases import Backup
from tests.support.installations import make_installation

BEFORE = "0012"
"""The revision of the catalogue before people, the audit log and queues."""


def test_what_an_older_version_queued_is_done_after_the_catalogue_was_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = make_installation(tmp_path)
    run_id = commands.submit_backup(older, BackupRequest("la_factoria"), actor="ada")
    with older.catalog.engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE)
        connection.commit()
    older.close()

    with pytest.raises(BackupsError, match=f"revision {BEFORE}, this version needs {head_revision()}"):
        open_configured(older.settings)
    newer = open_configured(older.settings, migrate=True)
    newer.catalog.check_revision()
    stand_in = Backup()
    stand_in.go.set()
    monkeypatch.setitem(use_cases.USE_CASES, "backup", stand_in)
    with working(newer):
        wait_for(lambda: newer.catalog.runs.get(run_id).state == "finished")
    assert stand_in.done == [run_id]
    with newer.catalog.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BackupsError, match="A newer version has been here: start that one"):
        newer.catalog.check_revision()
    newer.close()
