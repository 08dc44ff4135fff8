"""A stored backup is damaged, a verification finds it: people are told, and a new backup is asked for at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from services import commands
from services.alerts.evaluate import evaluate
from services.alerts.store import open_alerts
from services.backups.request import BackupRequest
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.notify.deliver import deliver_due
from services.postgres.server import LocalServer
from services.settings.model import AlertSettings
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase
from tests.support.sinks import mail_server


def carry_out(inst: Installation, run_id: str) -> None:
    run = execute_run(inst, run_id, worker=process_identity())
    assert run.state == "finished", run.error


def test_a_flipped_byte_ends_in_a_mail_and_in_a_new_good_backup(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    address = database(server18, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 2000) AS i;")
    with mail_server() as mail:
        alerts = AlertSettings(email=("ops@example.com",), smtp_url=SecretStr(f"smtp://127.0.0.1:{mail.port}?tls=no"))
        inst = make_installation(tmp_path / "home", url=address.url().get_secret_value(), alerts=alerts)
        carry_out(inst, commands.submit_backup(inst, BackupRequest("la_factoria"), actor="ada", queue=False))
        [backup] = inst.catalog.backups.list()
        stored = tmp_path / "home" / "storage" / backup.copies[0].key
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 1
        stored.chmod(0o600)
        stored.write_bytes(content)
        carry_out(inst, commands.submit_verification(inst, backup.id, "checksum", actor="ada", queue=False))

        assert evaluate(inst, by="test", force=True) is not None
        deliver_due(inst)
        [asked] = inst.catalog.runs.list(kind="backup", states=["queued"])
        assert (asked.actor, asked.reason) == ("alerts", f"{backup.name} is damaged")
        [told] = [m for m in mail.mails if "Corruption found" in m["Subject"]]
        assert backup.name in told.get_content()
        assert asked.id in told.get_content()
        assert "corruption:database/la_factoria" in [alert.key for alert in open_alerts(inst.catalog.engine)]

        carry_out(inst, asked.id)
        latest = inst.catalog.backups.latest_good("la_factoria")
        assert latest is not None
        assert latest.run_id == asked.id
        assert latest.note == f"Started by itself: {backup.name} failed its checksum check in primary."
        inst.close()
