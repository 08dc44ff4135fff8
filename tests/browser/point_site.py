"""A site whose database has point in time on: a real PostgreSQL 18 with a base backup and its log in the storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.browser.conftest import Site, serve
from tests.pitr.lab import NAME, PointLab

BEFORE, AFTER = 40, 25
_MARKER = "INSERT INTO markers (at) SELECT clock_timestamp() FROM generate_series(1, {})"


@dataclass(frozen=True)
class PointSite:
    """The site, and the instant that its markers lie on both sides of."""

    site: Site
    second: datetime
    """A whole one; BEFORE rows were committed before it, AFTER ones after it."""


@contextmanager
def point_site(home: Path) -> Iterator[PointSite]:
    """Run a site on a server of its own, and end both afterwards."""
    lab = PointLab(18, home)
    try:
        lab.base()
        second = _write_markers(lab)
        lab.ship()
        lab.inst.close()
        for site in serve(lab.inst.settings.home, BACKUPS_CONFIG=str(_config(lab, home))):
            yield PointSite(site, second)
    finally:
        lab.close()


def _write_markers(lab: PointLab) -> datetime:
    lab.sql("CREATE TABLE markers (id bigserial PRIMARY KEY, at timestamptz)", _MARKER.format(BEFORE))
    second = lab.now().replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((second - lab.now()).total_seconds() + 0.1)  # what is written now is after it, by the server's clock
    assert lab.now() > second
    lab.sql(_MARKER.format(AFTER))
    return second


def _config(lab: PointLab, home: Path) -> Path:
    """Write the settings of the lab as a file, with point in time on."""
    settings = lab.inst.settings
    key = settings.encryption_key
    assert key is not None
    lines = [f'home = "{settings.home}"', f'catalog_url = "{settings.catalog_url.get_secret_value()}"']
    lines += [f'recipients = ["{settings.recipients[0]}"]', f'encryption_key = "{key.get_secret_value()}"']
    lines += [f'pg_bin_dirs = ["{lab.server.bin_dir}"]', "[[storages]]", f'name = "{settings.storages[0].name}"']
    lines += [f'url = "{settings.storages[0].url}"', "[[databases]]", f'name = "{NAME}"', 'schedule = "off"']
    lines += [f'url = "{lab.server.address.url().get_secret_value()}"', "[databases.pitr]", "enabled = true"]
    path = home / "backups.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
