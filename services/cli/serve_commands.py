"""What keeps running: serve, worker, dashboard; and migrate, which comes before."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from services import serve as serving
from services.cli.app import app
from services.cli.output import note, say, write_json
from services.cli.session import AsJson, opened
from services.errors import BackupsError, InputError
from services.installation import open_installation
from services.log_output import configure_logging, hide
from services.schedules.sync import sync_schedules

Address = Annotated[
    str, typer.Option(envvar="BACKUPS_ADDRESS", help="Without sign-in (docs/access.md) a loopback address.")
]
Port = Annotated[int, typer.Option(envvar=["BACKUPS_PORT", "PORT"], min=1, max=65535)]
START_SECONDS = 60.0


@app.command()
def serve(
    address: Address = serving.DEFAULT_ADDRESS,
    port: Port = serving.DEFAULT_PORT,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open it in the browser of this machine, if any.")
    ] = False,
) -> None:
    """Run a worker and the dashboard until Ctrl-C; the catalogue is brought up to date first."""
    _log_to_stderr()
    access, hosts = serving.access_settings(os.environ)
    serving.check_address(address, port, access, hosts=hosts)
    note("Preparing…")
    installation = open_installation(os.environ, migrate=True)
    sync_schedules(installation)
    is_sample, home = installation.settings.sample, Path(os.environ.get("BACKUPS_HOME") or "var").absolute()
    installation.close()
    supervisor = serving.Supervisor(
        {"worker": serving.worker_command(), "dashboard": serving.dashboard_command(address, port)},
        serving.child_environment(os.environ),
    )
    ended = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        ended.set()
        supervisor.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)

    def announce() -> None:
        try:
            serving.wait_until_served(address, port, seconds=START_SECONDS, ended=ended.is_set)
        except BackupsError as error:
            note(str(error), style="bold red")
            return
        if ended.is_set():
            return
        url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        say(f"Dashboard: {url}{' (sample environment)' if is_sample else ''}. Stop with Ctrl-C.")
        if open_browser and _has_a_screen():
            webbrowser.open(url)

    supervisor.run(ready=threading.Thread(target=announce, name="announce", daemon=True).start)
    if is_sample:
        from services.sample.environment import stop_sample

        stop_sample(home)


@app.command()
def worker(
    queues: Annotated[
        str | None,
        typer.Option(metavar="QUEUE,…", help="Work on the databases of these queues alone (setting `queue`)."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Start none; say whether one of this machine is alive: 0 or 1.")
    ] = False,
) -> None:
    """Work on what is queued, until SIGTERM or Ctrl-C. Several may run, also on several machines."""
    from services.jobs.worker import run_worker

    if check:
        _check_worker()
        return
    named = queues.replace(",", " ").split() if queues is not None else None
    if named == []:
        raise InputError("--queues names no queue.", hint="Leave it out, and the worker serves all.")
    _log_to_stderr()
    with opened() as installation:
        hide(installation.settings)  # the sample environment's are in no variable
        run_worker(installation, queues=named)


@app.command()
def dashboard(address: Address = serving.DEFAULT_ADDRESS, port: Port = serving.DEFAULT_PORT) -> None:
    """Run the dashboard alone; what it asks for waits until a worker runs."""
    serving.exec_dashboard(address, port, os.environ)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the catalogue's tables up to date. Stop other versions of this program first."""
    from services.catalog.engine import current_revision

    installation = open_installation(os.environ, migrate=True)
    revision = current_revision(installation.catalog.engine)
    installation.close()
    if as_json:
        write_json({"revision": revision})
    else:
        say(f"The catalogue is up to date (revision {revision}).")


def _check_worker() -> None:
    """Exit with 1 unless a worker of this machine (of this container) is heard: for whoever starts it again."""
    with opened(quiet=True) as installation:
        alive = installation.catalog.workers.alive(installation.clock())
    here = [worker for worker in alive if worker.host == socket.gethostname()]
    if not here:
        say("No worker of this machine is heard.")
        raise typer.Exit(1)
    say(f"{here[0].id}, version {here[0].version}, is alive.")


def _log_to_stderr() -> None:
    configure_logging(os.environ)


def _has_a_screen() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
