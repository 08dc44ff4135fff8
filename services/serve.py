"""Everything on one machine: a worker and the dashboard as two child processes, kept running until told to end.

A child that dies is started again after a pause that doubles while it keeps dying. Where ``setpriv`` is installed
(Linux) the kernel ends the children when this process is killed; they then clean up as on any SIGTERM.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.errors import BackupsError, InputError
from services.settings.access import AccessSettings
from services.settings.load import load_access, load_settings
from services.settings.model import Settings

logger = logging.getLogger(__name__)

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8501
TRUSTED_FORWARDERS = "FORWARDED_ALLOW_IPS"
"""uvicorn's variable: who may say in X-Forwarded-For where a request comes from; by default this machine."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
HEALTHY_AFTER = 60.0
"""Seconds that a child must have run for its next death to count as a first one."""
END_SECONDS = 30.0
"""How long children may clean up after SIGTERM before they are killed; longer than a worker takes (20 s)."""
_POLL_SECONDS = 0.2
_ROOT = Path(__file__).resolve().parents[1]
SERVER = _ROOT / "dashboard" / "server.py"
"""The script that Streamlit runs."""


def is_loopback(address: str) -> bool:
    """Say whether an address is this machine's own, which no other reaches."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def refuse_address(address: str, access: AccessSettings) -> None:
    """Raise InputError where whoever reaches the address would get in without signing in."""
    if access.mode == "none" and not is_loopback(address):
        raise InputError(
            f"Nobody signs in (access.mode is none), so the dashboard is for this machine only, not for {address}.",
            hint="Set up sign-in (docs/access.md), or use 127.0.0.1 and ssh -L 8501:127.0.0.1:8501 HOST.",
        )


def hosts_of(settings: Settings) -> frozenset[str]:
    """Return the names by which people reach the dashboard, beside this machine's own."""
    urls = (settings.access.url, settings.alerts.dashboard_url)
    return frozenset({*settings.web.hosts, *(host for url in urls if url and (host := urlsplit(url).hostname))})


def refuse_hosts(hosts: Collection[str], access: AccessSettings) -> None:
    """Raise InputError where nobody signs in and a name is set by which others reach the dashboard.

    A proxy on this machine would then serve them as this machine itself: all its requests come from loopback.
    """
    public = sorted(host for host in hosts if not (is_loopback(host) or host.endswith(".localhost")))
    if access.mode == "none" and public:
        raise InputError(
            f"Nobody signs in (access.mode is none), so the dashboard is for this machine only, and not to be reached "
            f"as {', '.join(public)} (BACKUP_DASHBOARD_URL, BACKUPS_HOSTS).",
            hint="Set up sign-in (docs/access.md), or take the names out of the settings.",
        )


def check_address(
    address: str, port: int, access: AccessSettings | None = None, *, hosts: Collection[str] = ()
) -> None:
    """Raise InputError unless the dashboard may be served there: where people sign in, or on this machine; a free port.

    ``access``: None is without sign-in. ``hosts``: see ``hosts_of``.
    """
    refuse_address(address, access or AccessSettings())
    refuse_hosts(hosts, access or AccessSettings())
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection of the last run may be lingering
        try:
            probe.bind((address, port))
        except OSError as error:
            raise InputError(
                f"{address}:{port} cannot be listened on: {error.strerror}.",
                hint="Another program is there, perhaps another `backups serve`; choose another one with --port.",
            ) from error


def worker_command() -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-m", "services.cli.main", "worker"]


def dashboard_command(address: str, port: int, script: Path = SERVER) -> list[str]:
    """Return the command line that serves the dashboard, or another Streamlit script in the same way.

    ``python -m`` is what makes ``services`` importable in it.
    """
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": address,
        "logger.hideWelcomeMessage": "true",  # its lines are no log's; the server says itself where it listens
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(script), *words]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with absolute paths: children run in the program's folder. Raise SettingsError."""
    own = dict(environ)
    own[TRUSTED_FORWARDERS] = ""  # a request's address is the connection's, whatever its headers say
    settings = load_settings(environ)
    own["BACKUPS_HOME"] = str(settings.home if settings else Path(environ.get("BACKUPS_HOME") or "var").absolute())
    if environ.get("BACKUPS_CONFIG"):
        own["BACKUPS_CONFIG"] = str(Path(environ["BACKUPS_CONFIG"]).absolute())
    return own


def access_settings(environ: Mapping[str, str]) -> tuple[AccessSettings, frozenset[str]]:
    """Return who may get in, and by which names, of the settings or of the sample environment. Raise SettingsError."""
    settings = load_settings(environ)
    return (settings.access, hosts_of(settings)) if settings is not None else (load_access(environ), frozenset())


def exec_dashboard(address: str, port: int, environ: Mapping[str, str]) -> None:
    """Become the dashboard. Raise InputError, SettingsError; does not return otherwise."""
    access, hosts = access_settings(environ)
    check_address(address, port, access, hosts=hosts)
    command = dashboard_command(address, port)
    environment = child_environment(environ)
    os.chdir(_ROOT)
    os.execve(command[0], command, environment)  # nosec B606  # noqa: S606 - no shell is wanted


@dataclass
class Child:
    """One child process, with what is remembered of its deaths."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    """Before the next start, in seconds."""
    due_at: float = 0.0
    """When it may be started (again), on the monotonic clock."""
    starts: int = 0


class Supervisor:
    """Starts children, starts them again when they die, and ends them."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> None:
        self.children = [Child(name, command) for name, command in commands.items()]
        self._environment = dict(environment)
        self._ending = threading.Event()

    def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Keep the children running until ``stop`` is called, then end them. ``ready`` is called once they are started.

        Must be called by the thread that lives as long as the process: the kernel ends the children with their starter.
        """
        try:
            self._look()
            ready()
            while not self._ending.wait(_POLL_SECONDS):
                self._look()
        finally:
            self._end()

    def stop(self) -> None:
        """Have ``run`` end. May be called from a signal handler."""
        self._ending.set()

    def _look(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and (status := child.process.poll()) is not None:
                lived = now - child.started_at
                pause = FIRST_PAUSE if lived > HEALTHY_AFTER else child.pause
                child.pause = min(LONGEST_PAUSE, pause * 2)
                child.due_at = now + pause
                child.process = None
                logger.warning("the %s ended with %s after %.0f s; again in %.0f s", child.name, status, lived, pause)
            if child.process is None and now >= child.due_at:
                self._start(child)

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(
            [*_ends_with_parent(), *child.command],
            env=self._environment,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes to us alone; we end them in order
        )
        child.started_at = time.monotonic()
        child.starts += 1

    def _end(self) -> None:
        running = [child for child in self.children if child.process is not None]
        for child in running:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("the %s did not end within %.0f s and is killed", child.name, END_SECONDS)
                _signal(child, signal.SIGKILL)
                child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(number)


def _ends_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv and sys.platform == "linux" else ()


def wait_until_served(address: str, port: int, *, seconds: float, ended: Callable[[], bool]) -> None:
    """Wait until the dashboard answers, or ``ended`` says so. Raise BackupsError when neither comes in ``seconds``."""
    address = {"0.0.0.0": DEFAULT_ADDRESS, "::": "::1"}.get(address, address)  # nosec B104  # noqa: S104 - what it means
    host = f"[{address}]" if ":" in address else address
    deadline = time.monotonic() + seconds
    while not ended():
        try:
            url = f"http://{host}:{port}/_stcore/health"
            with urllib.request.urlopen(url, timeout=2) as answer:  # nosec B310  # our own address, always http
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass  # not yet
        if time.monotonic() > deadline:
            raise BackupsError(
                f"The dashboard did not answer on {address}:{port} within {seconds:.0f} s.",
                hint="What it wrote above says why.",
            )
        time.sleep(_POLL_SECONDS)
