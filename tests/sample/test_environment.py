"""The sample environment: made once, completed after a crash, and never mixed with anything configured.

One environment is made for the whole module, in the hardest way: its first maker is killed while a second one waits.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.installation import Installation, open_installation
from services.overview import load_statuses
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer, embedded_bin_dir
from services.restores.scratch_server import embedded_server
from services.sample.environment import ensure_sample, stop_sample
from services.stream.encryption import generate_key

pytestmark = pytest.mark.timeout(300)
_MAKE = """
import sys
from pathlib import Path
from services.postgres.server import LocalServer, embedded_bin_dir
from services.restores.scratch_server import embedded_server
from services.sample.environment import ensure_sample
ensure_sample(Path(sys.argv[1]))
"""


def make_in_a_process(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _MAKE, str(home)], cwd=Path(__file__).parents[2])


def wait_for_a_running_backup(home: Path, maker: subprocess.Popen[bytes]) -> None:
    catalog = home / "sample" / "catalog.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and maker.poll() is None:
        if catalog.exists():
            with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as connection:
                try:
                    if connection.execute(
                        "SELECT 1 FROM runs WHERE phase = 'dumping' AND database = 'la_factoria'"
                    ).fetchone():
                        return
                except sqlite3.OperationalError:
                    pass  # its tables are not there yet
        time.sleep(0.02)
    raise AssertionError("no backup was ever being dumped")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    first = make_in_a_process(home)
    second = None
    try:
        wait_for_a_running_backup(home, first)
        second = make_in_a_process(home)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert not (home / "sample" / "ready.json").exists()
        assert second.wait(timeout=200) == 0
        yield home
    finally:
        for maker in (first, second):
            if maker is not None and maker.poll() is None:
                maker.kill()
                maker.wait()
        # As root the servers' data lies outside of the test's folder.
        LocalServer(embedded_bin_dir(), home / "sample" / "server").destroy()
        embedded_server(home / "sample").destroy()


@pytest.fixture
def installation(home: Path) -> Iterator[Installation]:
    opened = open_installation({"BACKUPS_HOME": str(home)})
    yield opened
    opened.close()


def test_everything_that_is_listed_as_restorable_is_really_stored(installation: Installation) -> None:
    real = installation.catalog.backups.list(state="finished")
    assert sorted(backup.database for backup in real) == ["billing", "la_factoria", "la_factoria", "la_factoria"]
    for backup in real:
        assert not backup.sample
        assert backup.is_good
        assert backup.verification_passed
        for copy in backup.copies:
            stored = installation.storage(copy.storage).stat(copy.key)
            assert stored.bytes == copy.bytes == backup.stored_bytes
    assert len({backup.sha256 for backup in real}) == len(real)


def test_nothing_but_the_listed_backups_lies_in_the_storage(installation: Installation) -> None:
    listed = {copy.key for backup in installation.catalog.backups.list(state="finished") for copy in backup.copies}
    storage = installation.storage("local")
    assert {stored.key for stored in storage.list() if ".dump" in stored.key} == listed
    assert storage.unfinished() == []


def test_the_newest_backup_was_really_restored_and_compared(installation: Installation) -> None:
    newest = installation.catalog.backups.latest_good("la_factoria")
    assert newest is not None
    assert newest.proven_at is not None
    (test,) = installation.catalog.verifications.list(backup_id=newest.id, level="restore")
    assert test.outcome == "passed"
    tables = test.detail["comparison"]["tables"]
    assert {table["name"] for table in tables} >= {"users", 'Größe & "Umlaute" / 試験', "temp_data", "course_scores"}


def test_the_past_is_there_once_for_each_database(installation: Installation) -> None:
    for database, days in (("la_factoria", 350), ("billing", 190)):
        expired = installation.catalog.backups.list(database=database, state="expired")
        assert len(expired) > days
        assert all(backup.sample for backup in expired)
        assert len({backup.name for backup in expired}) == len(expired)


def test_no_run_of_the_killed_maker_is_still_running(installation: Installation) -> None:
    runs = installation.catalog.runs
    assert runs.active() == []
    made = [run for run in runs.list(kind="backup", limit=None) if run.actor == "sample"]
    # Killed at any point: its run is lost, or was finished in its place when the manifest was there already.
    assert {run.state for run in made} <= {"finished", "lost"}
    assert len([run for run in made if run.state == "finished"]) >= 4


def test_the_overview_has_a_worst_first_to_show(installation: Installation) -> None:
    worker = "host:1:1"  # `serve` runs one; without it a schedule promises what nobody does
    installation.catalog.workers.beat(worker, version="0.1.0", now=installation.clock())
    states = [(status.database, status.state) for status in load_statuses(installation)]
    installation.catalog.workers.remove(worker)
    assert states == [("billing", "AT RISK"), ("la_factoria", "PROTECTED")]


def test_a_second_start_changes_nothing(home: Path, installation: Installation) -> None:
    before = [run.id for run in installation.catalog.runs.list(limit=None)]
    assert ensure_sample(home) == installation.settings
    assert [run.id for run in installation.catalog.runs.list(limit=None)] == before


def test_a_stopped_server_runs_again_after_the_next_start(home: Path) -> None:
    stop_sample(home)
    settings = ensure_sample(home)
    assert settings.sample
    for database in settings.databases:
        with connect(Address.parse(database.url.get_secret_value())) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("backups_reader",)


def test_keys_can_be_read_by_their_owner_alone(home: Path) -> None:
    root = home / "sample"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    files = list((root / "keys").iterdir())
    assert {file.name for file in files} == {"encryption.key", "recipients.txt", "role.password"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_configured_installation_in_the_same_home_sees_nothing_of_the_sample(home: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample_files(home)}
    secret, _ = generate_key()
    configured = open_installation(
        {
            "BACKUPS_HOME": str(home),
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/la_factoria",
            "BACKUP_STORAGE": f"file://{tmp_path}",
            "BACKUP_ENCRYPTION_KEY": secret,
        }
    )
    try:
        assert not configured.settings.sample
        assert configured.settings.home == home
        assert configured.catalog.runs.list(limit=None) == []
        assert configured.catalog.backups.list() == []
    finally:
        configured.close()
    assert {path: path.stat().st_mtime_ns for path in sample_files(home)} == before


def test_a_configured_installation_makes_no_sample(tmp_path: Path) -> None:
    secret, _ = generate_key()
    configuration = tmp_path / "backups.toml"
    configuration.write_text(
        f'encryption_key = "{secret}"\n[[databases]]\nname = "shop"\nurl = "postgresql://u:p@127.0.0.1:1/shop"\n'
        f'[[storages]]\nname = "disk"\nurl = "file://{tmp_path}/storage"\n'
    )
    open_installation({"BACKUPS_HOME": str(tmp_path / "home"), "BACKUPS_CONFIG": str(configuration)}).close()
    assert (tmp_path / "home" / "catalog.db").exists()
    assert not (tmp_path / "home" / "sample").exists()


def sample_files(home: Path) -> list[Path]:
    # The server writes its own files whenever it likes.
    return [path for name in ("keys", "storage", "catalog.db", "ready.json") for path in walk(home / "sample" / name)]


def walk(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
