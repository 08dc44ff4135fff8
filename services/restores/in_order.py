"""What a parallel pg_restore must not begin too early, since pg_dump does not record what it depends on.

A trigger of a partition that is otherwise enabled than its parent's is an ``ALTER TABLE … DISABLE TRIGGER`` of its own,
which needs the parent's trigger; pg_dump (seen of 15 to 18) records that for a partition and not for one of a
partition. In the order of the archive it comes later; with several jobs it may come first, and fails.
"""

from __future__ import annotations

from pathlib import Path

from services.errors import NotADump
from services.postgres.toc import NotYetRead, Toc, list_lines, read_toc
from services.stream.tar_write import TOC

HEAD = 32 << 20
"""Bytes of an archive within which its table of contents ends, but for tens of thousands of objects."""


def archive_toc(archive: Path) -> Toc | None:
    """Return the table of contents of an archive, a folder or a file; None where it cannot be read to its end."""
    path = archive / TOC if archive.is_dir() else archive
    with path.open("rb") as file:
        for size in (HEAD, 8 * HEAD, 32 * HEAD):
            file.seek(0)
            try:
                return read_toc(file.read(size))
            except NotYetRead:
                continue
            except NotADump:
                return None
    return None


def split_for_jobs(archive: Path, use_list: Path | None, folder: Path) -> tuple[Path | None, Path | None]:
    """Return the list of what is restored in parallel, and of what after it, alone; None: all, and nothing.

    ``use_list``: what is restored at all, None everything. The lists are written into ``folder``.
    """
    toc = archive_toc(archive)
    late = (
        {e.id for e in toc.entries if e.kind == "TRIGGER" and e.definition.lstrip().startswith("ALTER TABLE")}
        if toc
        else ()
    )
    if toc is None or not late:
        return use_list, None
    text = use_list.read_text("utf-8") if use_list else list_lines(toc.entries)
    parts: dict[bool, list[str]] = {True: [], False: []}
    for line in text.splitlines():
        parts[line.partition(";")[0].strip() in {str(number) for number in late}].append(line)
    if not parts[True]:
        return use_list, None
    return _written(folder / "list-first", parts[False]), _written(folder / "list-after", parts[True])


def _written(path: Path, lines: list[str]) -> Path:
    path.touch(mode=0o600)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
