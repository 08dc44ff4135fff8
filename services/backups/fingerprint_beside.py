"""The fingerprint, taken beside the dump in the same snapshot, and waited for when the dump is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from services.jobs.beside import Beside
from services.jobs.context import RunContext
from services.postgres.connection import Address
from services.postgres.exclusions import Excluded
from services.postgres.fingerprint import APPLICATION, take_fingerprint
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.snapshot import Snapshot
from services.restores.watch import report_work


@contextmanager
def fingerprint_beside(
    address: Address,
    snapshot: Snapshot,
    *,
    hash_limit: int,
    excluded: Excluded,
    run: RunContext,
) -> Iterator[Callable[[], Fingerprint]]:
    """While the block runs, take the fingerprint in a thread; yield what waits for it and returns it.

    When the block raises, it is given up. The waiting raises what the taking has raised.
    """
    beside = Beside(run)
    with ThreadPoolExecutor(1, thread_name_prefix="fingerprint") as pool, beside:
        taking = pool.submit(
            take_fingerprint,
            address,
            snapshot_id=snapshot.id,
            hash_limit=hash_limit,
            excluded=excluded.tables,
            without_data=excluded.data,
            sequences=snapshot.sequences,
            run=beside,
        )

        def wait() -> Fingerprint:
            run.phase("taking the fingerprint")
            if taking.done():
                return taking.result()
            # A table that is counted for longer than a run may stand still is no stall; a parallel dump waits for it.
            with report_work(address, run, grows=False, application=APPLICATION):
                return taking.result()

        yield wait
