"""``python -m bench``: see ``--help``."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from bench.by_hand import ContestantFailed
from bench.large import measure_large
from bench.machine import describe_machine
from bench.memory import measure_memory
from bench.site import open_site
from bench.speed import measure_speed
from services.settings.lengths import parse_size
from services.units import format_bytes


def main() -> int:
    """Measure what was asked for and print it. Exit code 0, or 1 when a contestant failed; goals do not count."""
    options = _options()
    # Ended from outside, it still removes its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="backups-bench-", dir=options.folder) as folder:
        Path(folder).chmod(0o711)  # the servers' user passes through
        try:
            if not options.memory_only and not options.large_only:
                with open_site(_new(folder, "speed"), options.size) as site:
                    _print("Machine", describe_machine(site.client, site.folder))
                    _print(f"Speed, {options.rounds} interleaved rounds", measure_speed(site, options.rounds))
            if not options.memory_only:
                with open_site(_new(folder, "large"), options.large_size or options.size) as site:
                    _print("Machine", describe_machine(site.client, site.folder))
                    _print(f"Large databases, {options.rounds} interleaved rounds", measure_large(site, options.rounds))
            if options.memory or options.memory_only:
                for size in options.memory_sizes:
                    with open_site(_new(folder, f"memory-{size}"), size) as site:
                        _print(f"Memory, {format_bytes(size)} asked for", measure_memory(site))
        except ContestantFailed as failure:
            print(f"\n{failure}", file=sys.stderr)
            return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="The product against the same work by hand.")
    parser.add_argument("--size", type=_size, default=2 * 10**9, metavar="SIZE", help="of the database; default 2GB")
    parser.add_argument("--rounds", type=int, default=3, help="default 3, after one to warm up")
    parser.add_argument("--large-only", action="store_true", help="measure parallel dump and restore alone")
    parser.add_argument("--large-size", type=_size, metavar="SIZE", help="of the database for that; default --size")
    parser.add_argument("--memory", action="store_true", help="measure peak memory, too")
    parser.add_argument("--memory-only", action="store_true", help="measure nothing else")
    parser.add_argument(
        "--memory-sizes", type=_size, nargs="+", default=[10**9, 5 * 10**9], metavar="SIZE", help="default 1GB 5GB"
    )
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="on a disk with six times the size free; default %(default)s"
    )
    return parser.parse_args()


def _size(text: str) -> int:
    size = parse_size(text)
    assert isinstance(size, int)
    return size


def _new(folder: str, name: str) -> Path:
    path = Path(folder, name)
    path.mkdir(mode=0o711)
    return path


def _print(title: str, lines: list[str]) -> None:
    print(f"\n{title}\n{'-' * len(title)}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
