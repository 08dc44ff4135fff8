"""The worker: takes runs from the queue, beats its heart, and looks after runs whose worker died."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from services.alerts.watch import AlertWatch
from services.audit.settings_seen import note_settings
from services.audit.watch import anchor_when_due
from services.backups.look_again import look_again
from services.backups.missing_copies import queue_missing
from services.backups.thaws import look_at_thaws
from services.catalog.duties import WORKER_LEFT, claim_duty
from services.catalog.model import Run
from services.catalog.runs import ClaimLost
from services.catalog.unnamed import settle_unnamed
from services.emergency.release import release_due
from services.errors import Busy
from services.health.again import probe_again
from services.installation import Installation
from services.jobs import queue
from services.jobs.active_run import ActiveRun, Interrupted
from services.jobs.execute import execute_run
from services.jobs.identity import DeathWatch, process_identity
from services.jobs.paced import Paced
from services.jobs.reconcile import QueueWatch
from services.jobs.recovery import recover_dead_runs
from services.names import unknown_name
from services.pitr.worker_tasks import PointInTimeTasks
from services.retention.pins import store_waiting_pins
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
BUSY_POLL_SECONDS = 1.0
AWAY_POLL_SECONDS = 2.0
"""How long a run waits before it asks a catalogue again that did not answer."""
COPIES_SECONDS = 60.0
PROBES_SECONDS = 60.0
AUDIT_SECONDS = 300.0
STOP_SECONDS = 20.0
"""How long a worker that is told to end waits for its runs to clean up after themselves."""


@dataclass
class _State:
    """What the workflow function, which DBOS calls with a run's id alone, has to know."""

    installation: Installation
    identity: str
    queues: tuple[str, ...]
    """Those that are served, of the settings' queues."""
    stopping: threading.Event = field(default_factory=threading.Event)
    active: dict[str, ActiveRun] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    """The ids of the places in the queue that are worked on here."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    watch: DeathWatch = field(init=False)
    queue: QueueWatch = field(init=False)
    alerts: AlertWatch = field(init=False)
    pitr: PointInTimeTasks = field(init=False)

    def __post_init__(self) -> None:
        self.watch = DeathWatch(active_here=lambda: tuple(self.active))
        self.queue = QueueWatch(self.installation, self.watch, worker=self.identity, in_hand=lambda: tuple(self.places))
        self.alerts = AlertWatch(self.installation, by=self.identity, heartbeat=True)
        self.pitr = PointInTimeTasks(self.installation, by=self.identity, stopping=self.stopping)


_states: list[_State] = []
"""Of this process's worker; DBOS wants its workflows as functions of the module."""


@DBOS.workflow(name=queue.WORKFLOW)
def work_on_run(run_id: str, attempt: int) -> None:
    """Work on one attempt of a run. What comes of it is in the run's row.

    A run that is still queued when this returns, since the worker is ending, is handed back by ``run_worker``.
    """
    state = _states[-1]
    place = DBOS.workflow_id or ""
    state.places.add(place)
    try:
        while not state.stopping.is_set():
            if _work(state, run_id, attempt):
                return
    finally:
        state.places.discard(place)


def _work(state: _State, run_id: str, attempt: int) -> bool:
    """Work on an attempt if it can be had now; return whether nothing is left to do here."""
    runs = state.installation.catalog.runs
    try:
        run = runs.get(run_id)
        if run.state == "queued" and run.attempt == attempt:  # else cancelled meanwhile, or an attempt that is over
            execute_run(
                state.installation,
                run_id,
                worker=state.identity,
                started=lambda active: _enter(state, active),
                enqueue=queue.enqueuer(state.installation),
            )
        return True
    except Busy:
        # Somebody works on the database in the foreground, or a dead process still holds its lock.
        state.stopping.wait(BUSY_POLL_SECONDS)
        return False
    except (ClaimLost, Interrupted):
        return True  # somebody else has it, or it is handed back to the queue
    except SQLAlchemyError as error:
        logger.warning("run %s: the catalogue does not answer: %s; trying again", run_id, type(error).__name__)
        state.stopping.wait(AWAY_POLL_SECONDS)
        return False
    except Exception as error:
        # Left queued it would be tried for ever, and hold its lane up.
        logger.exception("run %s cannot be worked on", run_id)
        runs.fail_queued(
            run_id,
            now=state.installation.clock(),
            error=f"An unforeseen error kept the run from starting: {type(error).__name__}.",
            hint=f"The worker's own log has the details under run {run_id}.",
        )
        return True
    finally:
        _leave(state, run_id)


def run_worker(
    installation: Installation, *, stop: threading.Event | None = None, queues: Sequence[str] | None = None
) -> None:
    """Work until SIGTERM or SIGINT arrives (in the main thread), or ``stop`` is set.

    ``queues``: those of the settings that are worked on; None: all. Raise UnknownName for one that they do not have.
    Runs in progress are then interrupted, cleaned up and queued again, for the next worker.
    """
    state = _State(
        installation, process_identity(), _served(installation.settings.queues, queues), stop or threading.Event()
    )
    _states.append(state)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: state.stopping.set())
    queue.prepare_queue(installation.catalog)
    # A thread each, since a storage or a mail server that is away may hold one up, and the heart must not miss a beat.
    tasks = [
        threading.Thread(target=_repeat_until_stopped, args=(state, task), name=f"worker-{name}", daemon=True)
        for name, task in (
            ("heart", _beat),
            ("recovery", _recover),
            ("schedules", _start_due_runs),
            ("queue", _put_queue_right),
            ("alerts", _watch_alerts),
            ("pins", _store_pins),
            ("read-only", _release_read_only),
            ("copies", Paced(_copies, COPIES_SECONDS)),
            ("probes", Paced(_probe_again, PROBES_SECONDS)),
            ("audit", Paced(_anchor_audit_log, AUDIT_SECONDS)),
            *state.pitr.tasks(),
        )
    ]
    sync_schedules(installation)
    note_settings(installation, "worker")
    # Before anything is taken from the queue: others tell by our heart whether what we take is in good hands.
    _beat(state)
    _try(state, _recover)
    _try(state, _release_read_only)
    _try(state, _forget_the_dead)
    for thread in tasks:
        thread.start()
    _launch_dbos(state)
    logger.info("worker %s is ready", state.identity)
    try:
        state.stopping.wait()
    finally:
        _interrupt_runs(state)
        DBOS.destroy(workflow_completion_timeout_sec=5)
        for thread in tasks:
            thread.join(timeout=HEARTBEAT_SECONDS)
        state.pitr.join()
        for last in (_hand_back, _take_leave):
            _try(state, last)
        _states.remove(state)
        logger.info("worker %s has ended", state.identity)


def _served(known: tuple[str, ...], wanted: Sequence[str] | None) -> tuple[str, ...]:
    for name in wanted or ():
        if name not in known:
            raise unknown_name("queue", name, known)
    return tuple(name for name in known if wanted is None or name in wanted)


def _recover(state: _State) -> None:
    """Look after the runs of dead processes; and who opened the catalogue with other settings does not decide here."""
    settings = state.installation.settings
    settle_unnamed(state.installation.catalog.engine, [storage.name for storage in settings.storages])
    recover_dead_runs(
        state.installation,
        state.watch,
        enqueue=queue.enqueuer(state.installation),
        looks_after=lambda run: _looks_after(state, run),
    )


def _looks_after(state: _State, run: Run) -> bool:
    """Say whether a dead run is ours to look after: of a queue that we serve, or that nobody serves now."""
    name = state.installation.settings.queue_of(run.database)
    alive = state.installation.catalog.workers.alive(state.installation.clock())
    return name in state.queues or not any(name in worker.serves for worker in alive)


def _put_queue_right(state: _State) -> None:
    """Give the runs a place that have lost theirs, and free the lanes of workers that are gone."""
    state.queue.look()


def _hand_back(state: _State) -> None:
    """Give back what was taken from the queue and not begun."""
    state.queue.hand_back()


def _forget_the_dead(state: _State) -> None:
    """Take the rows of killed workers of this machine away: what they left is in good hands now."""
    workers = state.installation.catalog.workers
    for worker in workers.list():
        if state.watch.is_gone(worker):
            workers.remove(worker.id)


def _take_leave(state: _State) -> None:
    installation = state.installation
    now = installation.clock()
    claim_duty(installation.catalog.engine, WORKER_LEFT, by=state.identity, every=timedelta(0), now=now)
    installation.catalog.workers.remove(state.identity)


def _start_due_runs(state: _State) -> None:
    """Ask for what the schedules have due."""
    start_due_runs(state.installation)


def _watch_alerts(state: _State) -> None:
    """Look at the checks, deliver what waits, keep the outside watchdog quiet."""
    state.alerts.tick()


def _probe_again(state: _State) -> None:
    """Try again what could not be used."""
    probe_again(state.installation)


def _copies(state: _State) -> None:
    """Have copies made that are wanting, see whether missing ones are back, and how far those are that are thawed."""
    look_again(state.installation)
    queue_missing(state.installation)
    look_at_thaws(state.installation)


def _anchor_audit_log(state: _State) -> None:
    """Verify the audit log and anchor it in each storage, once a day."""
    anchor_when_due(state.installation, by=state.identity)


def _store_pins(state: _State) -> None:
    """Store pins beside their backups."""
    for problem in store_waiting_pins(state.installation):
        logger.warning("%s", problem)


def _release_read_only(state: _State) -> None:
    """Release read-only modes whose run is gone or whose limit has passed."""
    release_due(state.installation, by="a worker")


def _launch_dbos(state: _State) -> None:
    DBOS(
        config={
            "name": "backups",
            "executor_id": state.identity,  # which tells whose a place in the queue is
            "system_database_url": queue.dbos_url(state.installation.catalog),
            "application_version": queue.APPLICATION_VERSION,
            "log_level": "WARNING",
            "enable_otlp": False,
        }
    )
    DBOS.listen_queues([queue.dbos_queue(name) for name in state.queues])
    DBOS.launch()
    for name in state.queues:
        DBOS.register_queue(
            queue.dbos_queue(name),
            partition_concurrency=1,
            worker_concurrency=state.installation.settings.workers,
            polling_interval_sec=1.0,
            on_conflict="always_update",
        )


def _beat(state: _State) -> None:
    state.installation.catalog.workers.beat(
        state.identity,
        version=version("proven-backups"),
        now=state.installation.clock(),
        queues=state.queues,
    )


def _repeat_until_stopped(state: _State, task: Callable[[_State], None]) -> None:
    while True:
        _try(state, task)
        if state.stopping.wait(HEARTBEAT_SECONDS):
            return


def _try(state: _State, task: Callable[[_State], None]) -> None:
    """Do a task once. Whatever goes wrong is logged: a task that died would be missed by nobody, the heart beats on."""
    try:
        task(state)
    except Exception:
        # A catalogue or a server that is away for a minute is back the next.
        logger.exception("the worker's %s failed", task.__name__.strip("_"))


def _enter(state: _State, active: ActiveRun) -> None:
    with state.lock:
        state.active[active.run_id] = active
    if state.stopping.is_set():
        active.stop(Interrupted("The worker is ending."))


def _leave(state: _State, run_id: str) -> None:
    with state.lock:
        state.active.pop(run_id, None)


def _interrupt_runs(state: _State) -> None:
    with state.lock:
        active = list(state.active.values())
    for run in active:
        run.stop(Interrupted("The worker is ending; the run is queued again."))
    deadline = time.monotonic() + STOP_SECONDS
    while state.active and time.monotonic() < deadline:
        time.sleep(0.1)
