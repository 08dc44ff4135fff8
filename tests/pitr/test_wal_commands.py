"""``wal-push`` and ``wal-fetch`` as PostgreSQL calls them: by exit codes, in processes of their own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.pitr import wal_commands
from services.stream.encryption import generate_key
from tests.pitr.conftest import MakeSegment
from tests.support.catalogs import prepare_home
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, fault_server, moto_server, plain_client

OTHER = "7000000000000000001"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    secret, public = generate_key()
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / ".mounted").touch()
    return {
        "DATABASE_URL": "postgresql://u:planted-password@127.0.0.1:1/la_factoria",
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
        "BACKUPS_HOME": str(tmp_path / "home"),
        "PITR_METHOD": "archive_command",
    }


def test_a_segment_goes_in_and_comes_out_in_processes_of_their_own(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path
) -> None:
    path = make_segment(3)
    environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    program = [sys.executable, "-m", "services.cli.main", "pitr"]
    without_key = {name: value for name, value in environ.items() if name != "BACKUP_ENCRYPTION_KEY"}
    # as archive_command is called: in the data folder, with a relative path
    pushed = subprocess.run(
        [*program, "wal-push", f"pg_wal/{path.name}"], env=without_key, cwd=tmp_path, capture_output=True, text=True
    )
    assert (pushed.returncode, pushed.stdout, pushed.stderr) == (0, "", "")
    fetched = subprocess.run(
        [*program, "wal-fetch", path.name, "pg_wal/RECOVERYXLOG"], env=environ, cwd=tmp_path, capture_output=True
    )
    assert (fetched.returncode, fetched.stdout, fetched.stderr) == (0, b"", b"")
    assert (tmp_path / "pg_wal" / "RECOVERYXLOG").read_bytes() == path.read_bytes()
    assert not (tmp_path / "home").exists()  # nothing of the product's own is needed on the database's host


def test_what_is_not_in_the_archive_is_1_and_what_cannot_be_read_stops_recovery(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, back = make_segment(3), str(tmp_path / "back")
    assert wal_commands.main(["wal-fetch", path.name, back], environ) == 1  # an archive without anything
    assert wal_commands.main(["wal-push", str(path)], environ) == 0
    assert wal_commands.main(["wal-fetch", "000000010000000000000004", back], environ) == 1
    assert wal_commands.main(["wal-fetch", "00000002.history", back], environ) == 1
    [stored] = (tmp_path / "storage").rglob("00000001*.zst.age")
    stored.write_bytes(stored.read_bytes()[:-1])
    assert wal_commands.main(["wal-fetch", path.name, back], environ) > 128
    assert "damaged" in capsys.readouterr().err
    environ["BACKUP_ENCRYPTION_KEY"] = generate_key()[0]
    assert wal_commands.main(["wal-fetch", path.name, back], environ) > 128
    environ["BACKUP_STORAGE"] = f"file://{tmp_path / 'no' / 'such' / 'folder'}"
    assert wal_commands.main(["wal-fetch", path.name, back], environ) > 128
    assert wal_commands.main(["wal-fetch", "nonsense", back], environ) > 128
    assert not Path(back).exists()


def test_a_segment_of_another_cluster_is_refused_until_the_settings_name_it(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wal_commands.main(["wal-push", str(make_segment(3))], environ) == 0
    other = make_segment(4, system=OTHER)
    assert wal_commands.main(["wal-push", str(other)], environ) == 1
    said = capsys.readouterr().err
    assert OTHER in said
    assert "system_identifier" in said
    config = tmp_path / "backups.toml"
    config.write_text(
        f"""
        recipients = ["{environ["BACKUP_RECIPIENTS"]}"]
        [[databases]]
        name = "la_factoria"
        url = "postgresql://u@127.0.0.1/la_factoria"
        [databases.pitr]
        enabled = true
        system_identifier = "{OTHER}"
        [[storages]]
        name = "primary"
        url = "{environ["BACKUP_STORAGE"]}"
        """
    )
    told = {"BACKUPS_CONFIG": str(config)}
    assert wal_commands.main(["wal-push", str(other)], told) == 0
    assert wal_commands.main(["wal-push", str(make_segment(5))], told) == 1
    assert wal_commands.main(["wal-push", str(make_segment(5, system=OTHER))], environ) == 0  # it is the known one now


def test_a_history_file_goes_with_the_cluster_of_its_data_folder(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path
) -> None:
    assert wal_commands.main(["wal-push", str(make_segment(3))], environ) == 0
    history = tmp_path / "pg_wal" / "00000002.history"
    history.write_text("1\t0/400000\tno recovery target specified\n")
    (tmp_path / "global").mkdir()
    control = tmp_path / "global" / "pg_control"
    control.write_bytes(int(OTHER).to_bytes(8, sys.byteorder) + bytes(8184))
    assert wal_commands.main(["wal-push", str(history)], environ) == 1
    control.unlink()
    assert wal_commands.main(["wal-push", str(history)], environ) == 0
    assert wal_commands.main(["wal-fetch", history.name, str(tmp_path / "back")], environ) == 0


@pytest.mark.parametrize("missing", ["BACKUP_RECIPIENTS", "BACKUP_STORAGE"])
def test_nothing_is_stored_in_the_clear_or_nowhere_because_a_setting_was_forgotten(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path, missing: str
) -> None:
    for name in (missing, "BACKUP_ENCRYPTION_KEY"):
        environ.pop(name, None)
    assert wal_commands.main(["wal-push", str(make_segment(3))], environ) == 1
    assert [path.name for path in (tmp_path / "storage").iterdir()] == [".mounted"]


def test_a_disk_that_is_not_mounted_is_not_taken_for_a_new_archive(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, back, folder = make_segment(3), str(tmp_path / "back"), tmp_path / "storage"
    (folder / ".mounted").unlink()
    assert wal_commands.main(["wal-push", str(path)], environ) == 1
    assert wal_commands.main(["wal-fetch", path.name, back], environ) > 128  # 1 would end a recovery
    assert list(folder.iterdir()) == []
    assert f"touch {folder}/.mounted" in capsys.readouterr().err
    folder.rmdir()
    assert wal_commands.main(["wal-push", str(path)], environ) == 1
    assert not folder.exists()


def test_wrong_words_are_a_failure_to_postgresql(environ: dict[str, str]) -> None:
    for words, code in ((["wal-push"], 1), (["wal-fetch", "000000010000000000000003"], 200)):
        with pytest.raises(SystemExit) as ended:
            wal_commands.main(words, environ)
        assert ended.value.code == code


def test_an_installation_without_settings_is_no_sample(make_segment: MakeSegment, tmp_path: Path) -> None:
    home = {"BACKUPS_HOME": str(tmp_path / "home")}
    assert wal_commands.main(["wal-push", str(make_segment(3))], home) == 1
    assert wal_commands.main(["wal-fetch", "000000010000000000000003", str(tmp_path / "back")], home) > 128


def test_a_bucket_that_fails_is_a_failure_and_then_it_is_stored(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path
) -> None:
    bucket = f"wal-{secrets.token_hex(4)}"
    with moto_server() as moto, fault_server(moto) as faults:
        plain_client(moto).create_bucket(Bucket=bucket)
        environ |= {
            "BACKUP_STORAGE": f"s3://{bucket}/prod",
            "S3_ENDPOINT_URL": faults.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        path, back = make_segment(3), tmp_path / "back"
        faults.fault = lambda method, path: "500"
        assert wal_commands.main(["wal-push", str(path)], environ) == 1
        assert wal_commands.main(["wal-fetch", path.name, str(back)], environ) > 128  # not "the log ends here"
        faults.fault = lambda method, path: None
        assert wal_commands.main(["wal-push", str(path)], environ) == 0
        assert wal_commands.main(["wal-push", str(path)], environ) == 0
        assert wal_commands.main(["wal-push", str(make_segment(3, fill=b"y"))], environ) == 1
        assert wal_commands.main(["wal-fetch", path.name, str(back)], environ) == 0
        assert back.read_bytes() == make_segment(3).read_bytes()
        assert wal_commands.main(["wal-fetch", "000000010000000000000004", str(back)], environ) == 1


def test_a_storage_that_never_answers_ends_the_command_at_its_limit() -> None:
    """Also inside of a call that nothing interrupts: of a disk that is gone, say."""
    script = "import time; from services.pitr.wal_commands import _Limit; _Limit(0.2, 7, 'x')(lambda: time.sleep(60))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 7
    assert "Nothing counts as done" in ended.stderr


def audit_rows(environ: dict[str, str]) -> list[tuple[str, str, str, str]]:
    result = CliRunner().invoke(app, ["audit", "list", "--json"], env=environ)
    assert result.exit_code == 0, result.output
    return [(row["action"], row["outcome"], row["target_kind"], row["target"]) for row in json.loads(result.stdout)]


def test_reading_the_log_is_in_the_audit_log_and_a_recovery_once_an_hour(
    environ: dict[str, str], make_segment: MakeSegment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_home(tmp_path / "home")
    environ["BACKUPS_INSTALLATION_KEY"] = secrets.token_hex(32)
    path, back = make_segment(3), str(tmp_path / "back")
    assert wal_commands.main(["wal-push", str(path)], environ) == 0
    assert [wal_commands.main(["wal-fetch", path.name, back], environ) for _ in range(3)] == [0, 0, 0]
    begun = ("backup.read", "begun", "database", "la_factoria")
    assert audit_rows(environ) == [begun]
    assert CliRunner().invoke(app, ["pitr", "verify"], env=environ).exit_code == 0
    done = ("backup.read", "done", "database", "la_factoria")
    assert audit_rows(environ) == [("backup.verify", "done", "database", "la_factoria"), done, begun, begun]
    for marker in (tmp_path / "home").glob(".wal-fetch-*"):
        os.utime(marker, (0, 0))
    (tmp_path / "home" / "catalog.db").write_bytes(b"garbage" * 1000)
    assert wal_commands.main(["wal-fetch", path.name, back], environ) == 0, "a recovery goes on without"
    assert "is not in the audit log" in capsys.readouterr().err
