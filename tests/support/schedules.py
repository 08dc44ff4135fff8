"""Keeping schedules from coming due while a test runs a real worker, whatever the hour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services import commands
from services.installation import Installation, open_installation
from services.schedules.overview import load_schedules
from tests.support.catalogs import prepare_home

REASON = "A test runs, whatever the hour."


def pause_schedules(environ: Mapping[str, str]) -> list[str]:
    """Pause every schedule of the installation that is configured so, before its worker starts; return their names."""
    if "CATALOG_URL" not in environ:
        prepare_home(Path(environ["BACKUPS_HOME"]))
    installation = open_installation(environ, migrate=True)
    try:
        return pause_all(installation)
    finally:
        installation.close()


def pause_all(installation: Installation) -> list[str]:
    """Pause every schedule that is on; return their names."""
    names = [row.schedule for row in load_schedules(installation).rows if row.version.is_on]
    for name in names:
        commands.pause_schedule(installation, name, actor="test", reason=REASON)
    return names
