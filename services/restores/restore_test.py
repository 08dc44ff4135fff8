"""The restore test, as the runbook's monthly one: fetch, restore to a test server, verify the data, document it.

*Passed*: the restored database equals the source at the instant of the dump, as far as the fingerprint reaches.
*Failed*: the backup is damaged, does not restore, or restores to something else. *Not testable*: the scratch server
lacks what the backup needs, or there is no fingerprint to compare with. Every other trouble is raised: it says nothing
of the backup.
"""

from __future__ import annotations

import time
from typing import Any

from services.backups.thaw_state import thaw_seconds
from services.catalog.model import Backup, Copy, Verification
from services.errors import (
    CorruptBackup,
    NotTestable,
    ObjectMissing,
    RestoreFailed,
    UntrustedManifest,
)
from services.ids import new_id
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.connection import connect
from services.restores.copies import choose_copy
from services.restores.evidence import UnknownSigner, read_evidence_aloud
from services.restores.fetch import identities_for
from services.restores.perform import Place, Restored, restored_database
from services.restores.proof import Proof, describe, prove
from services.restores.report import RestoreReport
from services.restores.scratch import scratch_name
from services.restores.scratch_server import ScratchServer, scratch_server
from services.restores.thawed import ensure_readable
from services.verification.finding import failed_by


def run_restore_test(
    installation: Installation, backup: Backup, storage: str | None, run: RunContext, *, wait_for_thaw: bool = False
) -> Verification:
    """Restore a backup's copy in ``storage`` (None: the best one) into a scratch database and compare it.

    One that lies frozen in cold storage is waited for with ``wait_for_thaw``; otherwise NotThawed says what to do.

    The caller records the verification (``verify_backup`` does). Raise InputError when the scratch server would be the
    source's own or there is no copy, and what keeps the test from being held: ConnectionFailed, KeyMismatch,
    UnknownSigner, StorageError, ClientProgramMissing, Cancelled, TimedOut, BackupsError when pg_restore was killed or
    the machine ran short of something.
    """
    copy = choose_copy(installation, backup, storage)
    identities_for(installation.settings, backup)  # a wrong key is said as such, before anything is begun
    copy = ensure_readable(installation, backup, copy, run, wait=wait_for_thaw)
    started_at = installation.clock()
    run.phase("preparing")
    with scratch_server(installation, backup.database) as server:
        run.log(f"Restore test of {backup.name} ({copy.location}) on {server.label}, PostgreSQL {server.version}.")
        report, learned = _hold(installation, backup, copy, server, run)
    assert report.outcome != "not compared", "a test that cannot compare raises"
    finished_at = installation.clock()
    return Verification(
        id=new_id(finished_at),
        run_id=run.run_id,
        backup_id=backup.id,
        database=backup.database,
        level="restore",
        storage=copy.storage,
        outcome=report.outcome,
        reason=report.summary,
        started_at=started_at,
        finished_at=finished_at,
        actor=run.actor,
        detail=report.to_json() | learned,
    )


def _hold(
    installation: Installation, backup: Backup, copy: Copy, server: ScratchServer, run: RunContext
) -> tuple[RestoreReport, dict[str, Any]]:
    """Hold the test; return its report (see the head of this module for the outcomes) and what it learned of the copy.

    Damage of the copy condemns that one alone; what does not restore although its bytes are as recorded, the backup.
    """
    began = time.monotonic()
    name = scratch_name(run)
    restored: Restored | None = None
    learned: dict[str, Any] = {}
    try:
        manifest = read_evidence_aloud(installation, backup, copy, run)
        place = Place(server.address, server.major, name, server.kind, server.data_dir)
        with restored_database(installation, manifest, copy, place, run) as restored:
            proof = prove(manifest, restored, run)
    except UnknownSigner:
        raise
    except (ObjectMissing, CorruptBackup, UntrustedManifest) as error:
        proof = Proof("failed", error.message)
        learned = failed_by(error).to_detail()
    except RestoreFailed as error:
        with connect(server.address):  # one that is gone by now may be what ended it, and raises ConnectionFailed
            pass
        proof = Proof("failed", f"The backup does not restore: {error.message}")
    except NotTestable as error:
        proof = Proof("not testable", str(error))
    report = describe(
        backup,
        server=server.label,
        server_version=server.version,
        target=name,
        restored=restored,
        proof=proof,
        seconds=time.monotonic() - began,
        thaw_seconds=thaw_seconds(copy),
    )
    return report, learned
