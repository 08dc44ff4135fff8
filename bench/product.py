"""The product, used as a person would: its command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.by_hand import ContestantFailed
from bench.site import Site

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    seconds: float
    """Wall time of the whole process, the start of Python included."""
    peak_bytes: int
    """The most memory that the process held at once (VmHWM; its children are processes of their own)."""
    answer: Any
    """Its JSON."""


def create(site: Site, database: str) -> Outcome:
    """``backups create DATABASE``: pre-checks, snapshot, dump, fingerprint, storage, comparison, manifest, checksum."""
    return run(site, "create", database, "--quiet")


def verify_archive(site: Site, database: str) -> Outcome:
    """``backups verify --level archive`` of the newest backup."""
    return run(site, "verify", "--level", "archive", "--database", database, "--quiet")


def restore_test(site: Site, database: str) -> Outcome:
    """``backups restore-test`` of the newest backup."""
    return run(site, "restore-test", "--database", database, "--quiet")


def only_start(site: Site) -> Outcome:
    """``backups list``: the start of Python and the opening of the installation, which every command pays once."""
    return run(site, "list")


def restore_seconds(outcome: Outcome) -> float:
    """Return the length of a restore test's restore step."""
    return float(outcome.answer[0]["verification"]["detail"]["restore_seconds"])


def run(site: Site, *arguments: str) -> Outcome:
    """Run one command to its end. Raise ContestantFailed unless it succeeds."""
    program = Path(sys.executable).with_name("backups")
    errors = site.folder / "product-errors.txt"
    answers = site.folder / "product-answer.json"
    with errors.open("wb") as stderr, answers.open("wb") as stdout:
        begun = perf_counter()
        child = subprocess.Popen(
            [str(program), *arguments, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=site.product_environment(),
        )
        watch = _Watch(child.pid)
        try:
            child.wait()
            seconds = perf_counter() - begun
        finally:
            peak = watch.end()
            if child.poll() is None:  # we are being ended
                child.terminate()
                child.wait()
    if child.returncode != 0:
        raise ContestantFailed(f"backups {' '.join(arguments)} ended with {child.returncode}: {errors.read_text()}")
    return Outcome(seconds, peak, json.loads(answers.read_text()))


class _Watch:
    """Looks at a process's memory while it runs. The mark only rises, so that a look missed is not a peak missed."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> int:
        """Return the highest mark seen, in bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._peak = max(self._peak, _high_water_mark(self._pid))


def _high_water_mark(pid: int) -> int:
    """Return VmHWM in bytes; 0 when the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
