"""The comparison of a restored database with its backup's fingerprint, and the report of both."""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.backups.manifest import Manifest
from services.catalog.model import Backup
from services.jobs.context import RunContext
from services.postgres.fingerprint import take_fingerprint
from services.restores.compare import compare_fingerprints
from services.restores.comparison_model import Comparison
from services.restores.excluded import excluded_tables
from services.restores.part_expected import expected_of
from services.restores.perform import Restored
from services.restores.report import ReportOutcome, RestoreReport
from services.restores.watch import report_work

EVERY_SIZE = 1 << 62
"""As a hash limit: the source's fingerprint says which tables are hashed, not a limit of ours."""


@dataclass(frozen=True)
class Proof:
    """What is known of a restore at its end; ``failure`` says in words why there is no comparison."""

    outcome: ReportOutcome
    failure: str = ""
    comparison: Comparison | None = None
    seconds: float = 0.0


def prove(manifest: Manifest, restored: Restored, run: RunContext) -> Proof:
    """Take the restored database's fingerprint, compare it with the manifest's, and log what differs.

    Of a part of the backup with what the manifest says of that.

    Without a fingerprint in the manifest (an adopted file) nothing is proven. Raise ConnectionFailed, Cancelled,
    BackupsError when a table cannot be read.
    """
    run.phase("comparing")
    began = time.monotonic()
    expected = manifest.fingerprint
    with report_work(restored.address, run, grows=False):
        actual = take_fingerprint(restored.address, snapshot_id=None, hash_limit=EVERY_SIZE, like=expected, run=run)
    seconds = time.monotonic() - began
    if expected is None:
        return Proof(
            "not testable",
            f"Restored without an error ({len(actual.tables):,} tables, {actual.rows:,} rows), but the backup has no "
            "fingerprint of its source (it was adopted), so there is nothing to compare with.",
            seconds=seconds,
        )
    if restored.part is not None:
        expected = expected_of(restored.part, expected, actual)
    comparison = compare_fingerprints(
        expected, actual, excluded=manifest.backup.excluded, excluded_tables=excluded_tables(manifest)
    )
    for difference in comparison.differences():
        run.log(difference, "error")
    for remark in comparison.remarks():
        run.log(remark)
    return Proof("passed" if comparison.is_equal else "failed", comparison=comparison, seconds=seconds)


def describe(
    backup: Backup,
    *,
    server: str,
    server_version: str,
    target: str,
    restored: Restored | None,
    proof: Proof,
    seconds: float,
    thaw_seconds: float = 0.0,
) -> RestoreReport:
    """Return the report. ``restored`` is None when nothing was; ``seconds`` are those of the whole."""
    return RestoreReport(
        outcome=proof.outcome,
        backup_id=backup.id,
        backup_name=backup.name,
        database=backup.database,
        snapshot_at=backup.snapshot_at,
        server=server,
        server_version=server_version,
        target=target,
        way=restored.way if restored else "",
        jobs=restored.jobs if restored else 0,
        stored_bytes=backup.stored_bytes,
        plain_bytes=backup.plain_bytes,
        download_seconds=round(restored.download_seconds, 3) if restored else 0.0,
        restore_seconds=round(restored.restore_seconds, 3) if restored else 0.0,
        compare_seconds=round(proof.seconds, 3),
        total_seconds=round(seconds, 3),
        excluded=backup.excluded,
        failure=proof.failure,
        part=restored.part.request.labels if restored and restored.part else (),
        left_out=restored.part.describe_left_out() if restored and restored.part else (),
        notes=restored.notes if restored else (),
        comparison=proof.comparison,
        thaw_seconds=round(thaw_seconds, 3),
    )
