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
RUN = "  of it the run itself: what a click waits for"
RUN_COUNTED = "  of it the run itself, counts only"
PIPELINE = "pg_dump -Fc -Z0 | zstd -3 -T0 | age"
RUNBOOK = "pg_dump -Fc > file; openssl enc; cp"
VERIFY = "backups verify --level archive"
VERIFY_RUN = "  of it the run itself"
READ = "age -d | zstd -d | pg_restore -f /dev/null"
RESTORE = "restore test: its restore step"
START = "backups list: what every command costs"
PG_RESTORE = "pg_restore -j2 from a plain local file"

GOALS = (
    Goal("full backup without content hashes against the best pipeline by hand", OURS_COUNTED, PIPELINE, 1.10),
    Goal("the same, its run itself", RUN_COUNTED, PIPELINE, 1.10),
    Goal("full backup with content hashes against the best pipeline by hand", OURS, PIPELINE, 1.35),
    Goal("the same, its run itself", RUN, PIPELINE, 1.35),
    Goal("full backup with content hashes against the runbook's steps", OURS, RUNBOOK, 1.5, at_most=False),
    Goal("archive verification against the same reading by hand", VERIFY, READ, 1.15),
    Goal("the same, its run itself", VERIFY_RUN, READ, 1.15),
    Goal("restore step of the restore test against pg_restore -j2", RESTORE, PG_RESTORE, 1.25),
)


def measure_speed(site: Site, rounds: int) -> list[str]:
    """Run all contestants that this machine can run and return the report."""
    last: dict[str, product.Outcome] = {}
    runs: dict[str, list[float]] = {RUN: [], RUN_COUNTED: [], VERIFY_RUN: []}
    contestants = _contestants(site, last, runs)
    times = take_turns(contestants, rounds)
    times |= {name: measured[1:] for name, measured in runs.items()}  # the first was to warm up
    backup = last[HASHED].answer["backup"]
    ratio = backup["plain_bytes"] / backup["stored_bytes"]
    sizes = [
        f"database {format_bytes(database_bytes(site.source))}",
        f"dump {format_bytes(backup['plain_bytes'])}",
        f"stored {format_bytes(backup['stored_bytes'])}, compressed {ratio:.1f} times",
    ]
    return [*sizes, "", *show_times(times), "", *(show_goal(goal, times) for goal in GOALS)]


def _contestants(
    site: Site, last: dict[str, product.Outcome], runs: dict[str, list[float]]
) -> dict[str, Callable[[], float]]:
    """Return the contestants. Each command of ours also notes how long its run took, without the start of Python."""

    def create(database: str) -> float:
        outcome = last[database] = product.create(site, database)
        runs[RUN if database == HASHED else RUN_COUNTED].append(outcome.answer["run"]["duration_seconds"])
        return outcome.seconds

    def verify() -> float:
        outcome = product.verify_archive(site, HASHED)
        runs[VERIFY_RUN].append(outcome.answer[0]["run"]["duration_seconds"])
        return outcome.seconds

    def restore() -> float:
        return product.restore_seconds(product.restore_test(site, HASHED))

    # What a contestant reads is written by one before it: the warm-up round runs them in this order.
    by_hand.write_plain_dump(site)
    contestants: dict[str, Callable[[], float]] = {
        OURS: lambda: create(HASHED),
        OURS_COUNTED: lambda: create(COUNTED),
        VERIFY: verify,
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
