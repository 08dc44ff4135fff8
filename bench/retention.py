"""``python -m bench.retention``: how long the retention planner takes over 100,000 backups. The goal is a second."""

from __future__ import annotations

import argparse
import gc
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from time import perf_counter, process_time

from services.retention.planner import Candidate, plan
from services.retention.policy import RetentionPolicy

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
YEARS = 5


def main() -> None:
    """Plan several times and print the median and the worst."""
    parser = argparse.ArgumentParser(prog="python -m bench.retention", description=__doc__)
    parser.add_argument("--backups", type=int, default=100_000, metavar="N", help="default 100,000")
    parser.add_argument("--rounds", type=int, default=7, help="default 7, after one to warm up")
    options = parser.parse_args()
    print(f"Planning {options.backups:,} backups of {YEARS} years, {options.rounds} rounds (goal: under 1 s)")
    for databases in (1, 20):
        candidates = make_candidates(options.backups, databases)
        rounds = [_time(candidates) for _ in range(options.rounds + 1)][1:]
        passed, worked = [wall for wall, _ in rounds], [cpu for _, cpu in rounds]
        kept = sum(decision.keep for decision in plan(candidates, RetentionPolicy(), NOW))
        print(
            f"{databases:>3} database{'s' if databases > 1 else ' '}: median {median(passed):.3f} s, "
            f"worst {max(passed):.3f} s (of the processor: median {median(worked):.3f} s); {kept:,} kept"
        )


def make_candidates(count: int, databases: int) -> list[Candidate]:
    """Return backups of every kind, evenly over the years, in no order; always the same ones."""
    random = Random(20261122)
    step = timedelta(days=365 * YEARS) / count
    candidates = [
        Candidate(
            id=f"b{n:06d}",
            finished_at=NOW - n * step,
            state=random.choices(("finished", "failed", "lost"), (95, 4, 1))[0],  # type: ignore[arg-type]
            type=random.choices(("scheduled", "on-demand", "emergency"), (90, 9, 1))[0],
            pinned=random.random() < 0.001,
            proven_at=NOW if random.random() < 0.02 else None,
            verification_passed=random.choices((True, None, False), (90, 8, 2))[0],
            database=f"database-{n % databases}",
            partial=random.random() < 0.01,
        )
        for n in range(count)
    ]
    random.shuffle(candidates)
    return candidates


def _time(candidates: list[Candidate]) -> tuple[float, float]:
    """Return the seconds that passed, and those that the processor worked: they differ on a busy machine."""
    gc.collect()
    began, worked = perf_counter(), process_time()
    plan(candidates, RetentionPolicy(), NOW)
    return perf_counter() - began, process_time() - worked


if __name__ == "__main__":
    main()
