"""What an emergency backup is going to do, said before it does anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from services.catalog.summaries import worker_signs
from services.catalog.workers import SILENT_AFTER
from services.emergency.commands import shown
from services.emergency.read_only import ReadOnlyFacts, read_facts, shortcomings, visit
from services.emergency.request import START_WITHIN, EmergencyRequest, check_request
from services.emergency.switch import refuse_own_catalog, refuse_switch
from services.errors import BackupsError
from services.installation import Installation
from services.preflight import Check, Preflight, preflight
from services.settings.model import DatabaseSettings
from services.status import age
from services.units import format_bytes, format_duration, format_limit


@dataclass(frozen=True)
class EmergencyPlan:
    """The steps in order, and what stands in their way or should be known before."""

    database: str
    steps: tuple[str, ...]
    problems: tuple[Check, ...]
    """What would stop it (``blocking``), and what should be known (``warning``)."""
    preflight: Preflight
    sessions: int
    """Sessions that are connected now and could go on writing; they are ended or waited for."""
    storages: tuple[str, ...]
    expected_seconds: float | None
    """From earlier backups; None without one."""

    @property
    def is_blocked(self) -> bool:
        """Whether it would be stopped as things are."""
        return any(check.severity == "blocking" for check in self.problems)

    @property
    def is_passable(self) -> bool:
        """Whether only pre-checks block it, which a person may pass over."""
        return all(check.name != READ_ONLY for check in self.problems if check.severity == "blocking")


READ_ONLY = "read-only mode"


def make_plan(installation: Installation, request: EmergencyRequest, *, queued: bool = True) -> EmergencyPlan:
    """Return the plan, as things are now. Raise UnknownName, InputError for a request that cannot be met.

    ``queued``: a worker is to carry it out.
    """
    database = installation.settings.database(request.database)
    check_request(replace(request, reason=request.reason or "not said yet"), database)
    found = preflight(installation, database, jobs=request.jobs)
    problems = [check for check in found.checks if check.severity != "ok"]
    facts: ReadOnlyFacts | None = None
    if request.read_only and all(check.name != "connection" for check in problems):
        try:
            with visit(database) as connection:
                facts = read_facts(connection, database)
            refuse_switch(database, facts)
            refuse_own_catalog(installation, database, facts)
            problems += _warnings(facts, request)
            problems += _about_time(request, database, found)
        except BackupsError as error:
            problems.append(Check(READ_ONLY, "blocking", error.message, error.hint))
    problems += _about_queue(installation, database)
    if queued:
        problems += _about_worker(installation)
    storages = tuple(storage.name for storage in installation.settings.storages_of(database))
    return EmergencyPlan(
        database=database.name,
        steps=tuple(_steps(installation, database, request, facts, found, storages)),
        problems=tuple(sorted(problems, key=lambda check: check.severity != "blocking")),
        preflight=found,
        sessions=len(facts.sessions) if facts else 0,
        storages=storages,
        expected_seconds=found.expected_seconds,
    )


def _steps(
    installation: Installation,
    database: DatabaseSettings,
    request: EmergencyRequest,
    facts: ReadOnlyFacts | None,
    found: Preflight,
    storages: tuple[str, ...],
) -> list[str]:
    steps = []
    limit = format_limit(request.limit_of(database))
    if request.read_only:
        if facts is not None and facts.is_read_only:
            steps.append(f"{database.name} is read-only already: that setting is left as it is.")
        else:
            steps.append(f"Read-only mode on: new sessions of {database.name} cannot write.")
        if database.read_only_on_command:
            steps.append(f"The application is told: {shown(installation.settings, database.read_only_on_command)}")
        steps.append(_about_sessions(request, facts))
    size = f" of {format_bytes(found.database_bytes)}" if found.database_bytes else ""
    took = f", about {format_duration(found.expected_seconds)}" if found.expected_seconds else ""
    where = storages[0] if len(storages) == 1 else f"{', '.join(storages)}, all at once"
    jobs = request.jobs or database.jobs
    how = f" by {jobs} sessions at once" if jobs > 1 else ""
    steps.append(f"Dump{size}{how} into {where}{took}.")
    steps.append(f"Verify what was stored ({database.verify_after}).")
    if request.read_only:
        steps.append(_about_release(installation, database, facts, limit))
    return steps


def _about_release(
    installation: Installation, database: DatabaseSettings, facts: ReadOnlyFacts | None, limit: str
) -> str:
    if facts is None or not facts.is_read_only:
        return f"Read-only mode off, whatever happened; after {limit} at the latest."
    stays = f"{database.name} stays read-only, as it was before"
    if not database.read_only_off_command:
        return f"{stays}: who made it so allows writes again."
    told = shown(installation.settings, database.read_only_off_command)
    return f"{stays}; the application is told to go on, after {limit} at the latest: {told}"


def _about_sessions(request: EmergencyRequest, facts: ReadOnlyFacts | None) -> str:
    number = len(facts.sessions) if facts else 0
    if number:
        who = f"{number} {'session' if number == 1 else 'sessions'} connected now"
    else:
        who = "sessions that are connected then (none now)"
    wait = format_limit(request.wait)
    if request.sessions == "end":
        return f"End {who}: they could go on writing. Applications connect again, and can read."
    if request.sessions == "wait":
        return f"Wait up to {wait} for {who} to end by themselves, then end them."
    return f"Wait up to {wait} for {who} to end by themselves; if some do not, give the backup up."


def _about_time(request: EmergencyRequest, database: DatabaseSettings, found: Preflight) -> list[Check]:
    wait = request.wait if request.sessions != "end" else timedelta(0)
    needed = timedelta(seconds=found.expected_seconds or 0) + wait
    if needed <= request.limit_of(database):
        return []
    return [
        Check(
            READ_ONLY,
            "warning",
            f"It may take {format_duration(needed.total_seconds())}, and read-only mode ends after "
            f"{format_limit(request.limit_of(database))}: then the backup goes on, and so do writes.",
            "Give it a longer limit.",
        )
    ]


def _about_queue(installation: Installation, database: DatabaseSettings) -> list[Check]:
    running = installation.catalog.runs.list(database=database.name, kind="backup", states=["running"], limit=1)
    if not running:
        return []
    return [
        Check(
            "queue",
            "warning",
            f"Another backup of {database.name} is being made ({running[0].id}); this one would wait for it.",
            f"Cancel it, or wait: one that waits for over {format_limit(START_WITHIN)} is made without read-only mode.",
        )
    ]


def _about_worker(installation: Installation) -> list[Check]:
    now = installation.clock()
    beat = worker_signs(installation.catalog.engine, now).heartbeat_at
    if beat is not None and abs(now - beat) <= SILENT_AFTER:
        return []
    heard = "No worker runs" if beat is None else f"No worker was heard for {age(now - beat)}"
    return [
        Check(
            "worker",
            "warning",
            f"{heard}: it would be queued, and not start.",
            "Start one (`backups serve` or `backups worker`), or do it from here: `backups emergency` needs none.",
        )
    ]


def _warnings(facts: ReadOnlyFacts, request: EmergencyRequest) -> list[Check]:
    found = [Check(READ_ONLY, "warning", message, hint) for message, hint in shortcomings(facts)]
    kept = sorted({session.user for session in facts.sessions if not session.may_end})
    if kept and request.sessions != "wait-or-stop":
        found.append(
            Check(
                READ_ONLY,
                "blocking",
                f"Sessions of {', '.join(kept)} may not be ended by {facts.user}, and could go on writing.",
                f"GRANT pg_signal_backend TO {facts.user}; a superuser's sessions: end them by hand.",
            )
        )
    return found
