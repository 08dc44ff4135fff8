"""The backup, as the runbook does it: check, dump, verify, upload, log; here in one stream and one snapshot.

Order of the writing (docs/architecture.md): the object first, its manifest last, the catalogue after. A backup is real
once its manifest is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.backups.at_once import FurtherStorages
from services.backups.describe import Dump, describe_backup
from services.backups.dumped import Dumped
from services.backups.fingerprint_beside import fingerprint_beside
from services.backups.manifest import to_document, write_manifest
from services.backups.parallel import dump_in_parallel
from services.backups.plan import Plan, plan_backup
from services.backups.request import BackupRequest, jobs_of
from services.catalog.model import Backup
from services.catalog.runs import ClaimLost
from services.errors import Blocked, CorruptBackup, StorageError
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, connect
from services.postgres.dump import dump_stream
from services.postgres.exclusions import NOTHING, Excluded, Exclusions, look_up
from services.postgres.snapshot import exported_snapshot
from services.preflight import Preflight, exclusions_of, preflight
from services.settings.model import DatabaseSettings
from services.storage.protocol import Storage
from services.stream.write import write_stream
from services.units import format_bytes, format_duration
from services.verification.levels import verify_backup


def create_backup(
    installation: Installation, request: BackupRequest, run: RunContext, *, further: Sequence[str] = ()
) -> Backup:
    """Back up a database and return the finished, verified backup.

    ``further``: storages that are written at once with the primary one. Others get their copies afterwards.

    Raise InputError for a request that cannot be met, Blocked when a pre-check stands in the way, and what the
    server, the client program or the storage raises. Then nothing is stored.
    """
    plan = plan_backup(
        installation,
        request.database,
        attempt=run.attempt,
        name=request.name,
        encrypt=request.encrypt,
        level=request.compression_level,
        jobs=jobs_of(installation, request),
    )
    exclusions = exclusions_of(plan.database, request.exclude_tables, request.exclude_table_data)
    run.phase("checking")
    excluded = _excluded(plan.database, exclusions)
    checks = preflight(
        installation,
        plan.database,
        exclude_tables=exclusions.tables,
        exclude_table_data=exclusions.data,
        jobs=plan.jobs,
        run=run,
    )
    pass_or_stop(checks, request.force_reason, run)
    others = FurtherStorages(installation, plan, further, run)
    # If this process dies inside, recovery removes the object, or, where the manifest is there, finishes the job.
    with (
        run.leftover("object", storage=plan.storage.name, key=plan.key, manifest=plan.manifest_key),
        others.held(),
    ):
        dump = dump_in_parallel if plan.jobs > 1 else _dump_into_storage
        dumped = dump(installation, others.plan, checks, exclusions.tables, excluded, run)
        with removed_on_failure(plan.storage, (plan.manifest_key, plan.key), run):
            run.phase("writing the manifest")
            backup = describe_backup(
                installation,
                plan,
                dumped.dump,
                dumped.stream,
                dumped.stored,
                run,
                type=request.type,
                excluded=exclusions.labels,
                pinned=request.pin,
                note=request.note,
            )
            document = to_document(
                backup,
                dumped.fingerprint,
                reason=run.reason,
                forced=request.force_reason,
                excluded_tables=excluded.tables,
                excluded_data=excluded.data,
                files=dumped.files,
            )
            with run.guarded():
                pass  # a run that was taken over must not make its backup real
            write_manifest(installation.settings, plan.storage, document)
        backup = others.finish(backup, document)
        record_backup(installation, backup, plan.storage, (plan.manifest_key, plan.key), run)
    run.log(
        f"Stored {format_bytes(backup.stored_bytes)} ({format_bytes(backup.plain_bytes)} before compression) "
        f"in {format_duration(backup.duration)}: {backup.copies[0].location}"
    )
    _look_at_further(installation, backup, run)
    return verify_new_backup(installation, backup, run)


def _look_at_further(installation: Installation, backup: Backup, run: RunContext) -> None:
    """Look at the copies that were stored at once with the primary one; the next verification goes deeper."""
    for copy in backup.copies[1:]:
        if copy.state == "stored":
            try:
                verify_backup(installation, backup, "stored", copy.storage, run)
            except StorageError as error:
                run.log(f"The copy in {copy.storage} could not be looked at: {error}", "warning")


def verify_new_backup(installation: Installation, backup: Backup, run: RunContext) -> Backup:
    """Verify a backup that was just stored, at the level of its database's settings, and return it as it is then.

    Raise CorruptBackup when it fails: the backup is listed, and is not a good one.
    """
    level = installation.settings.database(backup.database).verify_after
    verification = verify_backup(installation, backup, level, backup.copies[0].storage, run)
    if verification.outcome == "failed":
        raise CorruptBackup(
            f"The backup was stored, but failed its verification ({level}): {verification.reason}",
            hint="Back up again, and look at the storage. This one is listed as damaged.",
        )
    return installation.catalog.backups.get(backup.id)


def record_backup(
    installation: Installation, backup: Backup, storage: Storage, keys: Sequence[str], run: RunContext
) -> None:
    """Record a backup whose manifest is stored. If the run was taken over in the meantime, remove it instead.

    When the catalogue is away the backup stays: it is real, and recovery or ``backups rebuild`` finds it.
    """
    try:
        with run.guarded() as transaction:
            installation.catalog.backups.add(backup, transaction)
            installation.catalog.runs.set_backup(run.run_id, backup.id, transaction)
    except ClaimLost:
        remove_objects(storage, keys, run)
        raise


def _excluded(database: DatabaseSettings, exclusions: Exclusions) -> Excluded:
    """Return what the patterns leave out. Raise NothingMatches for one without a match, or when nothing is left."""
    if not exclusions:
        return NOTHING
    with connect(Address.parse(database.url.get_secret_value())) as connection:
        return look_up(connection, exclusions)


def pass_or_stop(checks: Preflight, force_reason: str, run: RunContext) -> None:
    """Log what the pre-checks found. Raise Blocked for what blocks, unless there is a reason to pass over it."""
    for check in checks.checks:
        if check.severity != "ok":
            run.log(f"Pre-check {check.name}: {check.message} {check.hint}".strip(), "warning")
    blocking = [check for check in checks.checks if check.severity == "blocking"]
    if not blocking:
        return
    if force_reason:
        run.log(f"Passed over {len(blocking)} blocking pre-checks: {force_reason}", "warning")
        return
    raise Blocked(
        "A pre-check stands in the way: " + " · ".join(check.message for check in blocking),
        hint=blocking[0].hint or "Mend it, or force the backup with a reason.",
        may_pass=all(check.may_pass for check in blocking),
    )


@contextmanager
def removed_on_failure(storage: Storage, keys: Sequence[str], run: RunContext) -> Iterator[None]:
    """Remove objects, which are ours by now, unless the block makes a backup of them; the manifest comes first."""
    try:
        yield
    except BaseException:
        remove_objects(storage, keys, run)
        raise


def remove_objects(storage: Storage, keys: Sequence[str], run: RunContext) -> None:
    """Remove objects in this order, and stop at the first that cannot be removed: no manifest without its object."""
    for key in keys:
        try:
            storage.delete(key)
        except StorageError as error:
            run.log(f"{storage.location(key)} could not be removed: {error}", "warning")
            return


def _dump_into_storage(
    installation: Installation,
    plan: Plan,
    checks: Preflight,
    patterns: Sequence[str],
    excluded: Excluded,
    run: RunContext,
) -> Dumped:
    address = Address.parse(plan.database.url.get_secret_value())
    with exported_snapshot(
        address, excluded=excluded.tables, lock_timeout=plan.database.lock_timeout, run=run
    ) as snapshot:
        client = choose_client(find_clients(installation.settings.pg_bin_dirs), snapshot.server_major)
        run.log(
            f"PostgreSQL {snapshot.server_version}, {format_bytes(snapshot.database_bytes)}; "
            f"pg_dump {client.version} in snapshot {snapshot.id}."
        )
        run.phase("dumping", total_bytes=checks.expected_plain_bytes)
        writer = plan.storage.writer(plan.key, expected_bytes=snapshot.database_bytes)
        try:
            with fingerprint_beside(
                address, snapshot, hash_limit=plan.database.hash_limit, excluded=excluded, run=run
            ) as fingerprint:
                with dump_stream(
                    client,
                    address,
                    snapshot_id=snapshot.id,
                    exclude_tables=patterns,
                    exclude_data=excluded.data,
                    lock_timeout=plan.database.lock_timeout,
                    run=run,
                ) as dump:
                    stream = write_stream(dump.stdout, writer, level=plan.level, recipients=plan.recipients, run=run)
                    dump.finish()
                taken = fingerprint()
        except BaseException:
            writer.abort()
            raise
    try:
        run.log(f"Fingerprint: {len(taken.tables)} tables, {taken.rows:,} rows, in {format_duration(taken.seconds)}.")
        run.phase("storing")
        # Last of all, with nothing after it that can fail: before it nothing is to be seen in the storage, and nothing
        # has to be removed. The source's session and its locks have ended.
        stored = writer.commit()
    except BaseException:
        writer.abort()
        raise
    return Dumped(
        Dump(snapshot.at, snapshot.server_version, client.version, snapshot.database_bytes), stream, stored, taken
    )
