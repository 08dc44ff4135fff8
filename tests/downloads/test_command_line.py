"""``backups download``: as it is stored, or decrypted with a reason."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.installation import Installation
from tests.audit.test_wishes import log
from tests.downloads.test_links import DUMP, store
from tests.support.installations import make_installation


@pytest.fixture
def inst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = make_installation(tmp_path)
    monkeypatch.setattr("services.cli.session.open_installation", lambda _environ: made)
    return made


def test_a_backup_is_written_into_a_file_and_that_is_audited(inst: Installation, tmp_path: Path) -> None:
    backup = store(inst)
    run = CliRunner().invoke
    done = run(app, ["download", backup.name, str(tmp_path / "a.age"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["sha256"], found["bytes"]) == (backup.sha256, backup.stored_bytes)
    assert hashlib.sha256((tmp_path / "a.age").read_bytes()).hexdigest() == backup.sha256
    refused = run(app, ["download", backup.name, str(tmp_path / "a.dump"), "--decrypted"])
    assert (refused.exit_code, "reason is needed" in refused.stderr) == (2, True)
    done = run(app, ["download", backup.name, str(tmp_path / "a.dump"), "--decrypted", "--reason", "a support case"])
    assert (done.exit_code, "not encrypted" in done.stderr) == (0, True), done.output
    assert (tmp_path / "a.dump").read_bytes() == DUMP
    assert [(row.action, row.outcome) for row in log(inst)] == [
        ("backup.download", "begun"), ("backup.download", "done"), ("backup.decrypt", "begun"),
        ("backup.decrypt", "refused"), ("backup.decrypt", "begun"), ("backup.decrypt", "done"),
    ]  # fmt: skip
    assert (log(inst)[-1].reason, log(inst)[-1].actor[:4]) == ("a support case", "cli:")
