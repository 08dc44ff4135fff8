"""DataFrames for the page of the storages, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from services.capacity.tiers import Keeper, TierUse
from services.catalog.usage import Held
from services.storage.classes import CLASSES

KEEPER_TITLES: dict[Keeper, str] = {
    "daily": "Daily", "weekly": "Weekly", "monthly": "Monthly", "yearly": "Yearly", "other": "No tier",
    "none": "Goes next",
}  # fmt: skip


def type_title(kind: str) -> str:
    """Return a type of what is stored as people call it."""
    return "write-ahead log" if kind == "wal" else kind


def class_title(name: str) -> str:
    """Return a storage class as people call it; one that is unknown here by its own name."""
    return CLASSES[name].title if name in CLASSES else name


def class_frame(held: Iterable[Held]) -> pd.DataFrame:
    """Return one row a database and type, and a column for each storage class that anything is in, the largest first.

    Columns: ``Database``, ``Type``, ``Copies``, one for each class with its title (bytes, 0 where nothing is), ``All``
    (bytes).
    """
    rows = list(held)
    order = list(CLASSES)
    used = {each.storage_class for each in rows}
    names = [name for name in order if name in used] + sorted(used - set(order))
    titles = [class_title(name) for name in names]
    found: dict[tuple[str, str], dict[str, int]] = {}
    for each in rows:
        row = found.setdefault((each.database, each.type), {"Copies": 0, **dict.fromkeys(titles, 0), "All": 0})
        row["Copies"] += each.copies
        row[class_title(each.storage_class)] += each.bytes
        row["All"] += each.bytes
    columns = ["Database", "Type", "Copies", *titles, "All"]
    ranked = sorted(found.items(), key=lambda item: (-item[1]["All"], item[0]))
    return pd.DataFrame(
        [{"Database": name, "Type": type_title(kind), **row} for (name, kind), row in ranked], columns=columns
    )


def tier_frame(uses: Iterable[TierUse]) -> pd.DataFrame:
    """Return one row a database and a column for each of KEEPER_TITLES with the bytes it keeps, the largest first.

    Columns: ``Database``, the tiers (bytes, 0 where one keeps nothing), ``No tier``, ``Goes next``. A database without
    backups is left out.
    """
    found: dict[str, dict[str, int]] = {}
    for each in uses:
        row = found.setdefault(each.database, dict.fromkeys(KEEPER_TITLES.values(), 0))
        row[KEEPER_TITLES[each.keeper]] += each.bytes
    ranked = sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    rows = [{"Database": name, **row} for name, row in ranked if any(row.values())]
    return pd.DataFrame(rows, columns=["Database", *KEEPER_TITLES.values()])
