"""A cleanup for tests of what happens when it is killed: ``python -m tests.support.cleanup RUN POINT FLAG``.

It works on the run in the foreground, with the pickled settings in the file that ``LAB_SETTINGS`` names. At the point
of the first deletion it creates the file FLAG and stands still, until somebody kills it.
"""

from __future__ import annotations

import os
import pickle
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import services.retention.delete_copy as delete_copy
from services.catalog.deletions import DeletionStore
from services.installation import open_configured
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.settings.model import Settings
from tests.support.worker import after, before, pause

POINTS = (
    "before it is begun", "before the mark", "before the object", "after the object", "after the records",
    "after the manifest", "before the row", "after the row",
)  # fmt: skip


def patches(point: str, flag: Path, storage: Any) -> list[Any]:
    """Return what makes a deletion stand still at a point."""
    if point == "before it is begun":
        return [mock.patch.object(DeletionStore, "begin", before(DeletionStore.begin, flag))]
    if point == "before the mark":
        return [mock.patch.object(delete_copy, "write_mark", before(delete_copy.write_mark, flag))]
    if point == "before the row":
        return [mock.patch.object(DeletionStore, "finish", before(DeletionStore.finish, flag))]
    if point == "after the row":
        return [mock.patch("services.retention.cleanup._log", after(lambda *_: None, flag))]
    endings = {"object": ".dump.zst.age", "records": ".mark-pin.json", "manifest": ".manifest.json"}
    ending = next(ending for word, ending in endings.items() if point.endswith(word))
    delete = storage.delete

    def stand_still(key: str) -> None:
        if key.endswith(ending) and point.startswith("before"):
            pause(flag)
        delete(key)
        if key.endswith(ending):
            pause(flag)

    return [mock.patch.object(storage, "delete", stand_still)]


def main() -> None:
    run_id, point, flag = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    settings: Settings = pickle.loads(Path(os.environ["LAB_SETTINGS"]).read_bytes())
    now = datetime.fromisoformat(os.environ["LAB_NOW"])
    installation = open_configured(settings, clock=lambda: now)
    for patch in patches(point, flag, installation.storage("primary")):
        patch.start()
    execute_run(installation, run_id, worker=process_identity())


if __name__ == "__main__":
    main()
