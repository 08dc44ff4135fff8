"""The product against the same work done by hand, on one database."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from bench import by_hand, product
from bench.rounds import Goal, show_goal, show_times, take_turns
from bench.site import COUNTED, HASHED, Site, database_bytes
from services.units import format_bytes

OURS = "backups create, hashes in the fingerprint"
OURS_COUNTED = "backups create, counts only (hash_limit = 0)"
PIPELINE = "pg_dump -Fc -Z0 | zstd -3 -T0 | age"
RUNBOOK = "pg_dump -Fc > file; openssl enc; cp"
VERIFY = "backups verify --level archive"
READ = "age -d | zstd -d | pg_restore -f /dev/null"
RESTORE = "restore test: its restore step"
START = "backups list: what every command costs"
PG_RESTORE = "pg_restore -j2 from a plain local file"

GOALS = (
    Goal("full backup without content hashes against the best pipeline by hand", OURS_COUNTED, PIPELINE, 1.10),
    Goal("full backup with content hashes against the best pipeline by hand", OURS, PIPELINE, 1.35),
    Goal("full backup with content hashes against the runbook's steps", OURS, RUNBOOK, 1.5, at_most=False),
    Goal("archive verification against the same reading by hand", VERIFY, READ, 1.15),
    Goal("restore step of the restore test against pg_restore -j2", RESTORE, PG_RESTORE, 1.25),
)


def measure_speed(site: Site, rounds: int) -> list[str]:
    """Run all contestants that this machine can run and return the report."""
    last: dict[str, product.Outcome] = {}
    contestants = _contestants(site, last)
    times = take_turns(contestants, rounds)
    backup = last[HASHED].answer["backup"]
    ratio = backup["plain_bytes"] / backup["stored_bytes"]
    own = f"{backup['duration_seconds']:.2f} s of the last backup's {last[HASHED].seconds:.2f} s are its own"
    sizes = [
        f"database {format_bytes(database_bytes(site.source))}",
        f"dump {format_bytes(backup['plain_bytes'])}",
        f"stored {format_bytes(backup['stored_bytes'])}, compressed {ratio:.1f} times",
        f"{own}; the rest is the start of Python and the verification that ends it",
    ]
    return [*sizes, "", *show_times(times), "", *(show_goal(goal, times) for goal in GOALS)]


def _contestants(site: Site, last: dict[str, product.Outcome]) -> dict[str, Callable[[], float]]:
    def create(database: str) -> float:
        last[database] = product.create(site, database)
        return last[database].seconds

    def restore() -> float:
        return product.restore_seconds(product.restore_test(site, HASHED))

    # What a contestant reads is written by one before it: the warm-up round runs them in this order.
    by_hand.write_plain_dump(site)
    contestants: dict[str, Callable[[], float]] = {
        OURS: lambda: create(HASHED),
        OURS_COUNTED: lambda: create(COUNTED),
        VERIFY: lambda: product.verify_archive(site, HASHED).seconds,
        RESTORE: restore,
        PG_RESTORE: lambda: by_hand.restore_plain_dump(site),
        START: lambda: product.only_start(site).seconds,
    }
    if shutil.which("age") and shutil.which("zstd"):
        contestants = {PIPELINE: lambda: by_hand.best_pipeline(site), **contestants}
        contestants[READ] = lambda: by_hand.read_to_the_end(site)
    if shutil.which("openssl"):
        contestants[RUNBOOK] = lambda: by_hand.runbook_steps(site)
    return contestants
