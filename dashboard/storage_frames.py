"""DataFrames for the page of the storages, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from services.catalog.usage import Held
from services.storage.classes import CLASSES


def class_title(name: str) -> str:
    """Return a storage class as people call it; one that is unknown here by its own name."""
    return CLASSES[name].title if name in CLASSES else name


def class_frame(held: Iterable[Held]) -> pd.DataFrame:
    """Return one row a database and a column for each storage class that anything is in, the largest database first.

    Columns: ``Database``, ``Copies``, one for each class with its title (bytes, 0 where nothing is), ``All`` (bytes).
    """
    rows = list(held)
    order = list(CLASSES)
    used = {each.storage_class for each in rows}
    names = [name for name in order if name in used] + sorted(used - set(order))
    titles = [class_title(name) for name in names]
    found: dict[str, dict[str, int]] = {}
    for each in rows:
        row = found.setdefault(each.database, {"Copies": 0, **dict.fromkeys(titles, 0), "All": 0})
        row["Copies"] += each.copies
        row[class_title(each.storage_class)] += each.bytes
        row["All"] += each.bytes
    columns = ["Database", "Copies", *titles, "All"]
    ranked = sorted(found.items(), key=lambda item: (-item[1]["All"], item[0]))
    return pd.DataFrame([{"Database": name, **row} for name, row in ranked], columns=columns)
