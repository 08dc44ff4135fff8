"""Whose archive it is: ``DATABASE/wal/cluster.json`` names the one cluster whose log is taken.

Two clusters that archive into one place would overwrite each other's history; a database that was made anew under the
same name (``initdb``, ``pg_upgrade``) has a new system identifier, and is taken only once the settings say so.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from services.errors import CorruptBackup, InputError, ObjectMissing
from services.pitr.errors import OtherCluster
from services.pitr.wal_keys import parse_key, wal_prefix
from services.pitr.wal_names import DEFAULT_SEGMENT_BYTES, check_segment_bytes
from services.storage.protocol import Storage


@dataclass(frozen=True)
class Cluster:
    """The cluster whose log an archive holds."""

    system_identifier: str
    segment_bytes: int = DEFAULT_SEGMENT_BYTES


def mark_key(database: str) -> str:
    """Return the key of the mark."""
    return f"{wal_prefix(database)}cluster.json"


def known_cluster(storage: Storage, database: str) -> Cluster | None:
    """Return whose archive it is, or None before the first file. Raise StorageError, CorruptBackup.

    Where the mark is gone, the files themselves tell, if they are of one cluster.
    """
    return _read_mark(storage, database) or _by_listing(storage, database)


def settle_cluster(storage: Storage, database: str, seen: Cluster, *, expected: str | None = None) -> Cluster:
    """Given the cluster that a file comes from, return it if it is the archive's; the first file makes it so.

    ``expected`` is the system identifier of the settings, which goes above the mark. Raise OtherCluster.
    """
    if expected is not None and seen.system_identifier != expected:
        raise _other(database, seen.system_identifier, expected, "the settings name")
    marked = _read_mark(storage, database)
    if marked == seen:
        return seen
    known = marked if marked is not None or expected is not None else _by_listing(storage, database)
    if known is not None and known.system_identifier != seen.system_identifier and expected is None:
        raise _other(database, seen.system_identifier, known.system_identifier, "its archive holds")
    storage.put(mark_key(database), json.dumps(asdict(seen)).encode())
    return seen


def _read_mark(storage: Storage, database: str) -> Cluster | None:
    try:
        values = json.loads(storage.get(mark_key(database)))
        return Cluster(str(int(values["system_identifier"])), check_segment_bytes(int(values["segment_bytes"])))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise CorruptBackup(
            f"{storage.location(mark_key(database))} cannot be read.",
            hint="Delete it: it is made anew from the next segment.",
        ) from error


def _by_listing(storage: Storage, database: str) -> Cluster | None:
    found = {key.system_identifier for entry in storage.list(wal_prefix(database)) if (key := parse_key(entry.key))}
    if len(found) > 1:
        raise OtherCluster(
            f"The archive of {database} holds the log of {len(found)} clusters: {', '.join(sorted(found))}.",
            hint="Name the right one in the settings: system_identifier in [databases.pitr].",
        )
    return Cluster(found.pop()) if found else None


def _other(database: str, seen: str, known: str, says: str) -> OtherCluster:
    return OtherCluster(
        f"This is the log of cluster {seen}, and for {database} {says} cluster {known}. It was not stored.",
        hint="Is the command set on the right server? After initdb or pg_upgrade, set system_identifier in "
        f'[databases.pitr] to "{seen}".',
    )


def identifier_of_data_folder(folder: Path) -> str | None:
    """Return the system identifier of the cluster in a data folder, or None where there is none.

    ``global/pg_control`` begins with it, in the byte order of this machine, on every version.
    """
    try:
        with (folder / "global" / "pg_control").open("rb") as file:
            data = file.read(8)
    except OSError:
        return None
    return str(int.from_bytes(data, sys.byteorder)) if len(data) == 8 else None
