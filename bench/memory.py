"""Peak memory of the process that streams, for databases of different sizes: it must not grow with them."""

from __future__ import annotations

from bench import product
from bench.site import HASHED, Site, database_bytes
from services.units import format_bytes

LIMIT = 200_000_000
"""Bytes that the streaming process may hold at most, whatever the size of the database."""


def measure_memory(site: Site) -> list[str]:
    """Back up, verify and restore-test once each, and return what each process held at most."""
    size = format_bytes(database_bytes(site.source))
    lines = []
    for title, outcome in (
        ("backups create", product.create(site, HASHED)),
        ("backups verify --level archive", product.verify_archive(site, HASHED)),
        ("backups restore-test", product.restore_test(site, HASHED)),
    ):
        met = "met    " if outcome.peak_bytes <= LIMIT else "NOT MET"
        lines.append(
            f"{met}  database of {size}: {title:<32} {format_bytes(outcome.peak_bytes):>8} peak "
            f"(goal at most {format_bytes(LIMIT)}), {outcome.seconds:.1f} s"
        )
    return lines
