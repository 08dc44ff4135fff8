"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psutil

from services.postgres.clients import ClientPrograms
from services.units import format_bytes

_PROGRAMS = {"age": ["--version"], "zstd": ["--version"], "openssl": ["version"]}


def describe_machine(client: ClientPrograms, folder: Path) -> list[str]:
    """Return lines on processor, memory, disk, load and versions."""
    disk = psutil.disk_usage(str(folder))
    lines = [
        f"{os.cpu_count()} cores ({_processor()}), {format_bytes(psutil.virtual_memory().total)} memory",
        f"{format_bytes(disk.free)} free in {folder}",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"load before: {' '.join(f'{load:.2f}' for load in os.getloadavg())}",
        f"PostgreSQL {client.version} (server and clients)",
    ]
    return [*lines, *(_version(name, arguments) for name, arguments in _PROGRAMS.items())]


def _processor() -> str:
    try:
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        found = []
    return found[0].split(":", 1)[1].strip() if found else platform.machine()


def _version(name: str, arguments: list[str]) -> str:
    try:
        shown = subprocess.run([name, *arguments], capture_output=True, text=True, check=True, timeout=10).stdout
    except FileNotFoundError:
        return f"{name}: not installed"
    return f"{name}: {shown.strip().splitlines()[0]}"
