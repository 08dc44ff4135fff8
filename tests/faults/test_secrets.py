"""A planted password and secret key appear nowhere: arguments, environments, logs, catalogue, manifests, errors."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from psycopg import sql

from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.support.schedules import pause_schedules
from tests.support.servers import NewDatabase
from tests.support.sinks import mail_server, web_server

PASSWORD = "planted-Passw0rd/of:the@database"
QUOTED = "planted-Passw0rd%2Fof%3Athe%40database"
SOURCE = "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) AS b FROM generate_series(1, 40000) AS i;"


FORK_SECONDS = 10.0


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes below one. Linux lists a thread's children: the tables of all processes need not be read."""
    if not Path("/proc/self/task").is_dir():
        return psutil.Process(pid).children(recursive=True)
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended
            for child in thread.read_text().split():
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(int(child)))
                found += descendants(int(child))
    return found


class Watch:
    """Looks at the arguments and environments of a process's descendants while it runs."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        self.programs: set[str] = set()
        self.found: list[str] = []

    def run(self, command: list[str], environ: dict[str, str]) -> tuple[int, str]:
        with tempfile.TemporaryFile("w+") as output:
            process = psutil.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT)
            self._look(process, own=True)
            while process.poll() is None:
                for child in descendants(process.pid):
                    if not self._is_fork(child, process):
                        self._look(child)
                time.sleep(0.02)
            output.seek(0)
            return process.wait(60), output.read()

    def _is_fork(self, child: psutil.Process, parent: psutil.Process) -> bool:
        """Say whether a child is still a copy of the command itself, about to become its program.

        On a busy machine that may take a moment. One that stays so is looked at, like every other.
        """
        try:
            is_copy = child.cmdline() == parent.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return False
        return is_copy and time.time() - child.create_time() < FORK_SECONDS

    def _look(self, process: psutil.Process, *, own: bool = False) -> None:
        try:
            arguments = process.cmdline()
            environment = [] if own else [f"{name}={value}" for name, value in process.environ().items()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return
        if arguments:
            self.programs.add(Path(arguments[0]).name)
        self.found += [
            f"{arguments[:1]}: {secret[:7]}…"
            for text in (*arguments, *environment)
            for secret in self.secrets
            if secret in text
        ]


def files_with(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """Return the files under the folder that hold one of the secrets, in whatever form they are stored."""
    return [
        f"{path}: {secret[:7]}…"
        for path in folder.rglob("*")
        if path.is_file()
        for secret in secrets
        if secret.encode() in path.read_bytes()
    ]


@pytest.fixture
def url(server15: LocalServer, database: NewDatabase) -> str:
    """Return the URL of a database whose owner has the planted password."""
    address = database(server15, SOURCE)
    role = f"owner_of_{address.dbname}"
    with connect(address) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(sql.Identifier(role), sql.Literal(PASSWORD))
        )
    return f"postgresql://{role}:{QUOTED}@{address.host}:{address.port}/{address.dbname}"


def test_a_planted_password_and_key_appear_nowhere(url: str, tmp_path: Path) -> None:
    secret_key, public = generate_key()
    home, storage = tmp_path / "home", tmp_path / "storage"
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "BACKUP_DATABASE_NAME": "la_factoria",
        "BACKUP_SCHEDULE": "off",
        "BACKUPS_HOME": str(home),
        "BACKUP_STORAGE": f"file://{storage}",
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret_key,
    }
    secrets = (PASSWORD, QUOTED, secret_key)
    watch = Watch(secrets)
    said = []
    backups = [sys.executable, "-m", "services.cli.main", "--debug"]
    for command in (
        ["create", "la_factoria"],
        ["verify", "--latest", "--level", "archive"],
        ["restore-test"],
        ["doctor"],
        ["list", "--json"],
        ["log"],
    ):
        code, output = watch.run([*backups, *command], environ)
        assert code in (0, 1), output  # doctor may warn
        said.append(output)
    wrong = environ | {"DATABASE_URL": url.replace("planted-", "planted-not-")}
    code, output = watch.run([*backups, "create", "la_factoria"], wrong)
    assert code == 1
    said.append(output)
    assert {"pg_dump", "pg_restore"} <= {Path(name).name for name in watch.programs}, "the children were not seen"
    assert watch.found == []
    assert [text for text in said for secret in secrets if secret in text] == []
    assert files_with(home, secrets) == []
    assert files_with(storage, secrets) == []


TOKENS = ("Tok3n-planted-5512", "pl4nted-smtp-pw", "pl4nted-hook-pw", "0f5c2e7a-planted-0001")


def test_addresses_of_channels_appear_nowhere(tmp_path: Path) -> None:
    """URLs of alerts hold tokens and passwords: they are looked for after deliveries that worked and that failed."""
    token, smtp_password, hook_password, ping = TOKENS
    home = tmp_path / "home"
    said = []
    with mail_server(password=smtp_password) as mail, web_server() as web:
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"postgresql://u:{QUOTED}@127.0.0.1:1/la_factoria",
            "BACKUPS_HOME": str(home),
            "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
            "BACKUP_RECIPIENTS": generate_key()[1],
            "BACKUP_ALERT_EMAIL": "ops@example.com",
            "BACKUP_SMTP_URL": f"smtp://ops:{smtp_password}@127.0.0.1:{mail.port}?tls=no",
            "BACKUP_ALERT_URLS": f"json://hook:{hook_password}@127.0.0.1:{web.port}/{token} json://127.0.0.1:1/{token}",
            "BACKUP_HEARTBEAT_URL": f"http://127.0.0.1:{web.port}/ping/{ping}",
        }
        watch = Watch(TOKENS)
        backups = [sys.executable, "-m", "services.cli.main", "--debug"]
        commands = (["alert", "check"], ["alert", "test"], ["alert", "list"], ["alert", "history", "--json"],
                    ["health"], ["health", "--deep"], ["health", "--json"], ["health", "--prometheus"], ["doctor"],
                    ["create", "la_factoria"], ["alert", "check"])  # fmt: skip
        for command in commands:
            _, output = watch.run([*backups, *command], environ)
            said.append(output)
        assert len(mail.mails) >= 2, "delivery was tried for real"
        pause_schedules(environ)
        worker = psutil.Popen([*backups, "worker"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 60
            while not any(request.path == f"/ping/{ping}/fail" for request in web.requests):
                assert time.monotonic() < deadline, "the watchdog heard nothing"
                time.sleep(0.1)
        finally:
            worker.terminate()
            said.append(worker.communicate(timeout=60)[0].decode())
        wrong = environ | {"BACKUP_ALERT_URLS": f"not a url {token}", "BACKUP_SMTP_URL": smtp_password}
        said.append(watch.run([*backups, "alert", "test"], wrong)[1])
    assert any("did not take it" in text for text in said), "a channel that is away was tried"
    assert watch.found == []
    assert [secret for text in said for secret in TOKENS if secret in text] == []
    assert files_with(home, TOKENS) == []
