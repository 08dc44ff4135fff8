"""Taking in a dump that somebody else made: a file of ``pg_dump -Fc``, compressed and encrypted or not."""

from __future__ import annotations
