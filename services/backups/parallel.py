"""The parallel dump: several sessions write a folder, its files are compressed meanwhile, one object is stored.

The source's sessions and locks end with the dump, before anything is stored. The object is a tar archive of the files,
the table of contents first (docs/large-databases.md says why one object, and why in this order).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from services.backups.describe import Dump
from services.backups.dumped import Dumped
from services.backups.fingerprint_beside import fingerprint_beside
from services.backups.packing import Packer, packing
from services.backups.plan import Plan
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import ClientPrograms, choose_client, find_clients
from services.postgres.connection import Address
from services.postgres.dump import DumpProcess, dump_directory
from services.postgres.exclusions import Excluded
from services.postgres.snapshot import Snapshot, exported_snapshot
from services.preflight import Preflight
from services.restores.spool import spool_folder
from services.storage.protocol import StoredObject
from services.stream.result import StreamResult
from services.stream.tar_read import Listing
from services.stream.tar_write import ZSTD, Member, TarSource
from services.stream.write import write_stream
from services.units import format_bytes, format_duration

LOOK_SECONDS = 0.2


def dump_in_parallel(
    installation: Installation,
    plan: Plan,
    checks: Preflight,
    patterns: Sequence[str],
    excluded: Excluded,
    run: RunContext,
) -> Dumped:
    """Dump with ``plan.jobs`` sessions, store the archive, and return both ends. Raise what a backup raises."""
    settings = installation.settings
    address = Address.parse(plan.database.url.get_secret_value())
    with (
        spool_folder(settings.home, run, spool=settings.spool) as folder,
        packing(folder / "dump", level=plan.level, run=run) as packer,
    ):
        with exported_snapshot(
            address, excluded=excluded.tables, lock_timeout=plan.database.lock_timeout, run=run
        ) as snapshot:
            client = choose_client(find_clients(settings.pg_bin_dirs), snapshot.server_major)
            run.log(
                f"PostgreSQL {snapshot.server_version}, {format_bytes(snapshot.database_bytes)}; "
                f"pg_dump {client.version} with {plan.jobs} jobs in snapshot {snapshot.id}, spooled to {folder}."
            )
            with fingerprint_beside(
                address, snapshot, hash_limit=plan.database.hash_limit, excluded=excluded, run=run
            ) as fingerprint:
                run.phase("dumping", total_bytes=checks.expected_plain_bytes)
                _dump(client, address, snapshot, plan, patterns, excluded, packer, run)
                taken = fingerprint()
        run.log(f"Fingerprint: {len(taken.tables)} tables, {taken.rows:,} rows, in {format_duration(taken.seconds)}.")
        run.phase("compressing", total_bytes=packer.plain_bytes)
        members = packer.members()
        run.phase("storing", total_bytes=sum(member.bytes for member in members))
        stream, stored = _store(plan, members, run)
    return Dumped(
        Dump(snapshot.at, snapshot.server_version, client.version, snapshot.database_bytes),
        stream,
        stored,
        taken,
        {member.name.removesuffix(ZSTD): (member.plain_bytes, member.bytes) for member in members},
    )


def _dump(
    client: ClientPrograms,
    address: Address,
    snapshot: Snapshot,
    plan: Plan,
    patterns: Sequence[str],
    excluded: Excluded,
    packer: Packer,
    run: RunContext,
) -> None:
    with dump_directory(
        client,
        address,
        packer.folder,
        jobs=plan.jobs,
        snapshot_id=snapshot.id,
        exclude_tables=patterns,
        exclude_data=excluded.data,
        lock_timeout=plan.database.lock_timeout,
        run=run,
    ) as dump:
        _watch(dump, packer, run)
        dump.finish()
    packer.look(all_whole=True)


def _watch(dump: DumpProcess, packer: Packer, run: RunContext) -> None:
    """Compress what is whole until pg_dump ends; what grows is progress, and what does not is taken for a stall."""
    while dump.is_running:
        packer.look()
        run.progress(packer.plain_bytes)
        run.check_cancelled()
        time.sleep(LOOK_SECONDS)


def _store(plan: Plan, members: Sequence[Member], run: RunContext) -> tuple[StreamResult, StoredObject]:
    """Store the archive. The plain side of the result is the files as pg_dump wrote them, not the archive."""
    listing = Listing()
    for member in members:
        listing.add(member.name.removesuffix(ZSTD), member.plain_bytes, member.plain_sha256)
    writer = plan.storage.writer(plan.key, expected_bytes=sum(member.bytes for member in members))
    try:
        stream = write_stream(TarSource(members), writer, level=0, recipients=plan.recipients, run=run)
        stored = writer.commit()
    except BaseException:
        writer.abort()
        raise
    return replace(stream, plain_bytes=listing.bytes, plain_sha256=listing.sha256), stored
