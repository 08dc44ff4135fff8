"""Names of backups, and the keys of their objects."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal, get_args

from services.errors import InvalidName

MarkKind = Literal["pin", "deletion"]

NAME_RULE = "1 to 100 letters, digits, '_', '-' or '.', starting with a letter or digit, without '..'"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
MANIFEST_SUFFIX = ".manifest.json"
BASE_SUFFIX = ".base.tar"
_ROTATED = re.compile(r"\.r(\d{1,6})\.age\Z")
_CHECK = ".check-"
_MARK = ".mark-{}.json"
MARKS: tuple[MarkKind, ...] = get_args(MarkKind)


def default_name(database: str, at: datetime) -> str:
    """Return the runbook's name: ``DATABASE_backup_YYYYMMDD_HHMMSS``, in UTC."""
    return f"{database}_backup_{at.astimezone(UTC):%Y%m%d_%H%M%S}"


def check_name(name: str) -> str:
    """Return the name if a backup may be called so. Raise InvalidName with the rule."""
    if not _NAME.match(name) or ".." in name or _CHECK in name or name.endswith((".partial", MANIFEST_SUFFIX)):
        shown = name if len(name) <= 60 else name[:57] + "…"
        raise InvalidName(f"A backup cannot be called {shown!r}.", hint=f"Use {NAME_RULE}.")
    return name


def attempt_name(name: str, attempt: int) -> str:
    """Return the name that an attempt's backup gets: the name itself, then ``NAME_2``, ``NAME_3``.

    An earlier attempt that was taken for dead and wakes up late must not share a key with a later one: it would
    overwrite or remove what that has stored.
    """
    return name if attempt == 1 else f"{name}_{attempt}"


def object_key(database: str, name: str, *, compression: str, encrypted: bool) -> str:
    """Return the key of a backup's object: ``DATABASE/NAME.dump.zst.age``; ``tar``: one in directory format."""
    suffix = {"zstd": ".zst", "gzip": ".gz", "none": "", "tar": ".tar"}[compression] + (".age" if encrypted else "")
    return f"{database}/{name}.dump{suffix}"


def base_key(database: str, name: str, *, encrypted: bool) -> str:
    """Return the key of a base backup's object: ``DATABASE/NAME.base.tar.zst.age``."""
    return f"{database}/{name}{BASE_SUFFIX}.zst{'.age' if encrypted else ''}"


def rotated_key(key: str) -> str:
    """Given an object's key, return the one that it gets when it is encrypted anew: ``….zst.r2.age``, then ``.r3``.

    Both lie side by side until the new one is proven and the manifest names it. One that was not encrypted gets the
    key that it would have had.
    """
    if not key.endswith(".age"):
        return f"{key}.age"
    found = _ROTATED.search(key)
    number = int(found[1]) + 1 if found else 2
    return f"{_before_rotation(key).removesuffix('.age')}.r{number}.age"


def _before_rotation(key: str) -> str:
    return _ROTATED.sub(".age", key)


def manifest_key(database: str, name: str) -> str:
    """Return the key of a backup's manifest."""
    return f"{database}/{name}{MANIFEST_SUFFIX}"


def check_key(database: str, name: str, *, at: datetime, level: str, check_id: str) -> str:
    """Return the key of the record of one verification."""
    return f"{database}/{name}{_CHECK}{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{level}-{check_id}.json"


def is_check_key(key: str) -> bool:
    """Say whether a key is that of a verification's record."""
    return _CHECK in key and key.endswith(".json")


def is_key_of(key: str, database: str, name: str) -> bool:
    """Say whether a key is one of this backup's: of its object, its manifest, a verification's record or a mark.

    A name may hold dots, so ``D/a.b.dump.zst`` begins like a key of the backup ``a`` and is none.
    """
    bases = [base_key(database, name, encrypted=encrypted) for encrypted in (False, True)]
    return _before_rotation(key) in bases or key.startswith(
        (f"{database}/{name}.dump", manifest_key(database, name), *_beside(database, name))
    )


def _beside(database: str, name: str) -> tuple[str, ...]:
    return check_prefix(database, name), *(mark_key(database, name, kind) for kind in MARKS)


def check_prefix(database: str, name: str) -> str:
    """Return what the keys of all of a backup's verification records begin with."""
    return f"{database}/{name}{_CHECK}"


def mark_key(database: str, name: str, kind: MarkKind) -> str:
    """Return the key of a mark beside a backup (``services.backups.marks``)."""
    return f"{database}/{name}{_MARK.format(kind)}"


def is_mark_key(key: str) -> bool:
    """Say whether a key is that of a mark."""
    return key.endswith(tuple(_MARK.format(kind) for kind in MARKS)) and not is_check_key(key)
