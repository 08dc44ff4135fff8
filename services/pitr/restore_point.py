"""A restore to a point in time: base backup, write-ahead log up to the point, a server that takes connections.

As a test the folder is ours, and gone afterwards; for real it is the one that was asked for, and stays.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from services.errors import BackupsError, CorruptBackup, InputError, RestoreFailed
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.archive import WalArchive
from services.pitr.base_model import BaseBackup, bases_of
from services.pitr.cluster import Cluster
from services.pitr.combine import combine
from services.pitr.feeder import SegmentFeeder
from services.pitr.hold_archiving import hold_archiving
from services.pitr.lay_out import Part, clear, empty_folder, fault_of, lay_out, verify_laid_out
from services.pitr.listing import Listing, list_archive, mending
from services.pitr.look_around import look_around
from services.pitr.open import archive_of
from services.pitr.parent import chain_of, usable
from services.pitr.point_report import DatabaseFound, PointReport
from services.pitr.recovery_server import Recovered, recovered_server
from services.pitr.target import RecoveryTarget, refuse_future
from services.pitr.wal_names import format_lsn
from services.pitr.way import Way, choose_bases, find_way, first_missing, reaches
from services.pitr.window import check_target
from services.postgres.server_programs import ServerPrograms, choose_server, find_servers
from services.postgres.server_user import SHELTER, ServerUser, reachable_data_dir, remove_shelter, server_user
from services.restores.copies import choose_copy
from services.restores.evidence import read_evidence_aloud
from services.restores.fetch import identities_for
from services.restores.thawed import ensure_readable

Look = Callable[[Recovered], None]


@dataclass(frozen=True)
class PointPlan:
    """What a restore to a point is going to use: settled, and found to be there, before anything is fetched."""

    target: RecoveryTarget
    base: BaseBackup
    parts: tuple[Part, ...]
    """What is laid out: the base backup, or the chain that it ends, the full one first."""
    archive: WalArchive
    way: Way
    programs: ServerPrograms


def plan_point(
    installation: Installation, database: str, target: RecoveryTarget, *, base: str | None = None
) -> PointPlan:
    """Return the plan of a restore of a database's server; ``base`` is the name of a base backup, or its id.

    Raise InputError for a point that cannot be (in the future, before the first base backup, beyond the archive, on
    another timeline), SegmentMissing for one that a gap lies before, ClientProgramMissing without a server of that
    major version, UnknownName, KeyMismatch, StorageError.
    """
    policy = installation.settings.database(database)
    refuse_future(target, installation.clock())
    found = bases_of(installation.catalog.backups.list(database=database, type="base", state="finished"))
    bases, known = usable(found), {one.backup.id: one for one in found}
    if base is not None:
        bases = [BaseBackup.of(installation.catalog.backups.find(base, database=database))]
    if not bases:
        raise InputError(
            f"{database} has no sound base backup.", hint=f"Take one: `backups pitr base-backup {database}`."
        )
    storage = installation.storage(installation.settings.pitr_storage_of(policy).name)
    newest = max(bases, key=lambda one: one.stopped_at)
    cluster = Cluster(newest.system_identifier, newest.segment_bytes)
    archive = archive_of(installation.settings, policy, storage, cluster)
    bases = [one for one in bases if one.system_identifier == newest.system_identifier]
    listing = list_archive(archive)
    timeline = _timeline(bases, target, listing, installation.clock())
    way = _choose_way(bases, target, timeline, listing)
    identities_for(installation.settings, way.base.backup)
    programs = choose_server(find_servers(installation.settings.pg_bin_dirs), way.base.server_major)
    parts = tuple(Part(part, choose_copy(installation, part.backup, None)) for part in chain_of(way.base, known))
    if not parts:
        raise InputError(
            f"{way.base.backup.name} is incremental, and what it stands on is gone or damaged.",
            hint="Leave --base out, or name a full one.",
        )
    return PointPlan(target, way.base, parts, archive, way, programs)


def _timeline(bases: list[BaseBackup], target: RecoveryTarget, listing: Listing, now: datetime) -> int:
    """Return the timeline on which recovery is to end: the newest one that has the target.

    Raise TargetRefused, CorruptBackup where that may be one whose history cannot be read.
    """
    windows = listing.windows(bases)
    if target.timeline is None and listing.unreadable:
        unknown = max(listing.unreadable)
        if any(window.timeline < unknown for window in windows) or not windows:
            raise CorruptBackup(
                f"The target may lie on timeline {unknown}, whose history cannot be read: "
                f"{listing.unreadable[unknown].reason}",
                hint=f"Put that file right ({mending(listing.unreadable[unknown])}), or name another timeline with "
                "--timeline.",
            )
    if target.timeline in listing.unreadable:
        raise CorruptBackup(
            f"The history of timeline {target.timeline} cannot be read: {listing.unreadable[target.timeline].reason}",
            hint=f"Put that file right ({mending(listing.unreadable[target.timeline])}), or name another timeline.",
        )
    if target.at is not None or target.lsn is not None:
        return check_target(windows, at=target.at, lsn=target.lsn, timeline=target.timeline, now=now).timeline
    if target.timeline is not None:
        return target.timeline
    return max([window.timeline for window in windows] or [base.timeline for base in bases])


def _choose_way(bases: list[BaseBackup], target: RecoveryTarget, timeline: int, listing: Listing) -> Way:
    """Return the way from the newest base backup from which the target is reached. Raise SegmentMissing, InputError."""
    fitting = choose_bases(bases, target, timeline, listing.histories)
    ways = [find_way(base, timeline, listing.segments, listing.histories) for base in fitting]
    found = next((way for way in ways if reaches(way, target)), None)
    if found is None:
        raise first_missing(ways[0], target)
    return found


def restore_to_point(
    installation: Installation,
    plan: PointPlan,
    run: RunContext,
    *,
    into: Path | None = None,
    keep_archiving: bool = False,
    look: Look | None = None,
) -> PointReport:
    """Restore, and return what was reached and shown. ``into`` None: a test, of which nothing is left.

    The folder of a real restore archives nothing (``hold_archiving``), unless it is to take its source's place at once
    (``keep_archiving``). ``look`` is called while the server runs.
    Raise RestoreFailed when the point is not reached or nothing is readable, SegmentMissing, CorruptBackup for a
    damaged segment, BaseIsBad, InputError for a folder that is not empty, StorageFull, StorageError, Cancelled,
    TimedOut.
    """
    base, user = plan.base, server_user()
    run.log(
        f"From {base.backup.name} ({format_lsn(base.start_lsn)} on timeline {base.timeline}) to {plan.target.label}, "
        f"with PostgreSQL {plan.programs.version}."
    )
    parts = [
        Part(part.base, ensure_readable(installation, part.base.backup, part.copy, run, wait=False))
        for part in plan.parts
    ]
    for part in parts:
        with fault_of(part):
            read_evidence_aloud(installation, part.base.backup, part.copy, run)
    with _folder(installation, into, user, run) as folder, _work_folder(user, run) as work:
        began = time.monotonic()
        if len(parts) == 1:
            contents = lay_out(installation, parts[0], folder, user, run)
        else:
            beside = _place(installation, run, user, "-parts")
            contents = combine(installation, parts, plan.programs, folder, beside, user, run)
        run.phase("checking the files")
        with fault_of(parts[-1]):
            verified = verify_laid_out(installation, base, folder, user, run)
        if into is not None and not keep_archiving:
            hold_archiving(folder, base.server_major, user)
        fetched = time.monotonic()
        run.phase("replaying the log", total_bytes=plan.way.expected_bytes(plan.target))
        feeder = SegmentFeeder(plan.archive, plan.way, folder, user)
        with recovered_server(
            plan.programs,
            folder,
            work,
            feeder,
            plan.target,
            superuser=base.superuser,
            dbname="template1",
            keeps=into is not None,
            user=user,
            run=run,
        ) as recovered:
            ready = time.monotonic()
            found, trouble = _look_around(recovered, look, run, keeps=into is not None)
        history = _history_of(folder, recovered)
    # From here on the folder stays whatever happens: it is complete.
    warnings = [_keep_history(plan.archive, history, run)] if keep_archiving and into is not None else []
    if trouble is not None:
        warnings.append(f"{into} is restored completely and stays, but was not looked into: {trouble}")
        run.log(warnings[-1], "warning")
        run.check_cancelled()
    return PointReport(
        target=plan.target.label,
        base_id=base.backup.id,
        base_name=base.backup.name,
        into="" if into is None else str(into),
        server_version=plan.programs.version,
        timeline=recovered.timeline,
        reached_lsn=format_lsn(recovered.replayed_lsn),
        last_commit_at=recovered.last_commit_at,
        stopping=recovered.stopping,
        segments=feeder.segments,
        wal_bytes=feeder.bytes,
        base_bytes=contents.bytes,
        files=contents.files,
        fetch_seconds=fetched - began,
        recovery_seconds=ready - fetched,
        check_seconds=time.monotonic() - ready,
        databases=found,
        pg_verifybackup=verified,
        warning=" ".join(filter(None, warnings)),
    )


def _look_around(
    recovered: Recovered, look: Look | None, run: RunContext, *, keeps: bool
) -> tuple[tuple[DatabaseFound, ...], Exception | None]:
    """Return what is in the server, and with ``keeps`` what kept us from looking; without, that is raised.

    A folder that is asked for is complete by then: whatever goes wrong now must not take it away.
    """
    run.phase("looking around")
    try:
        found = look_around(recovered.address, run)
        if look is not None:
            look(recovered)
    except (BackupsError, psycopg.Error) as error:
        if not keeps:
            raise
        return (), error
    return found, None


@contextmanager
def _folder(installation: Installation, into: Path | None, user: ServerUser, run: RunContext) -> Iterator[Path]:
    if into is not None:
        with empty_folder(into, user, run) as folder:
            yield folder
        return
    place = _place(installation, run, user)
    with empty_folder(place, user, run) as folder:
        try:
            yield folder
        finally:
            clear(folder)
            remove_shelter(folder.parent)


def _place(installation: Installation, run: RunContext, user: ServerUser, suffix: str = "") -> Path:
    """Return where this attempt lays out what is ours and goes again."""
    return reachable_data_dir(installation.settings.home / "points" / f"{run.run_id}-{run.attempt}{suffix}", user)


@contextmanager
def _work_folder(user: ServerUser, run: RunContext) -> Iterator[Path]:
    """Make a private folder of the server's user with a short path, for a socket cannot have a long one."""
    folder = Path(tempfile.mkdtemp(prefix=f"backups-{run.run_id}-", dir=SHELTER))
    user.own(folder)
    with run.leftover("folder", path=str(folder)):
        try:
            yield folder
        finally:
            clear(folder)


def _history_of(folder: Path, recovered: Recovered) -> Path:
    history = folder / "pg_wal" / f"{recovered.timeline:08X}.history"
    if not history.exists():
        raise RestoreFailed(f"The restored server left no {history.name}: it was not promoted.")
    return history


def _keep_history(archive: WalArchive, history: Path, run: RunContext) -> str:
    """Store the new timeline's history at once: without it nobody could restore to a point on that timeline.

    Only of a server that takes its source's place: of every copy that is looked at, it would promise log that never
    comes. The restore itself is done: return what is wrong where this fails, and how it is made good.
    """
    timeline = history.name.removesuffix(".history")
    try:
        archive.push(history)
    except BackupsError as error:
        warning = (
            f"The history of the new timeline {timeline} is not in the archive: {error.message} Before that server "
            f"writes anything, store it: backups pitr wal-push -d {archive.database} {history}"
        )
        run.log(warning, "warning")
        return warning
    run.log(f"Timeline {int(timeline, 16)} begins here; its history is in the archive.")
    return ""
