"""``python -m bench.pages``: see ``--help``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.by_hand import ContestantFailed
from bench.pages.catalogue import Plan
from bench.pages.measure import measure_memory, measure_pages, show_memory, show_pages, show_rows
from bench.pages.site import Engine, full_plan, install, served
from services.postgres.server import LocalServer, embedded_bin_dir


def main() -> int:
    """Measure and print. Exit code 0, or 1 when a page does not run; goals do not count."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ended from outside, it still cleans up
    plan = replace(
        full_plan(), backups=options.backups, databases=options.databases, expired=not options.nothing_expired
    )
    with tempfile.TemporaryDirectory(prefix="backups-bench-", dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server's user passes through
        server = LocalServer(embedded_bin_dir(), folder / "server")
        try:
            server.start()
            for engine in options.engines:
                _measure(folder, server, engine, plan, options.rounds)
        except ContestantFailed as failure:
            print(f"\n{failure}", file=sys.stderr)
            return 1
        finally:
            server.destroy()
    return 0


def _measure(folder: Path, server: LocalServer, engine: Engine, plan: Plan, rounds: int) -> None:
    print(f"filling a catalogue on {engine} …", file=sys.stderr, flush=True)
    installed = install(folder, server, engine, plan)
    title = f"Pages on {engine}"
    print(f"\n{title}\n{'-' * len(title)}")
    print(f"{show_rows(installed.rows)} (filled in {installed.seconds:.0f} s)")
    print(f"{os.cpu_count()} cores, load before: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
    print("from the request to the script's last message, over a websocket, each visit in a session of its own")
    with served(installed.environ) as dashboard, served(installed.environ, blank=True) as blank:
        print(*show_pages(measure_pages(dashboard, blank, rounds)), sep="\n", flush=True)
        print(show_memory(*measure_memory(dashboard)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description="The pages on a large catalogue.")
    parser.add_argument("--engines", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--backups", type=int, default=100_000, help="default 100000")
    parser.add_argument("--databases", type=int, default=20, help="default 20")
    parser.add_argument("--rounds", type=int, default=15, help="warm visits of each page; default 15")
    parser.add_argument("--nothing-expired", action="store_true", help="no retention was ever applied: all have copies")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="with 2 GB free; default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
