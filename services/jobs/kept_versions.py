"""Saying in a run's log and result that what it deleted stays as an older version, where a bucket keeps those."""

from __future__ import annotations

from typing import Any

from services.installation import Installation
from services.jobs.context import RunContext


class KeptVersions:
    """Which storages hid what a run deleted. To be made before the run deletes anything."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._before = self._markers()

    def tell(self, run: RunContext) -> dict[str, Any]:
        """Log it, and return what the run's result keeps of it: ``older_versions_in``, or nothing."""
        hid = [name for name, count in sorted(self._markers().items()) if count > self._before.get(name, 0)]
        if not hid:
            return {}
        run.log(kept_words(hid), "warning")
        return {"older_versions_in": hid}

    def _markers(self) -> dict[str, int]:
        return {storage.name: getattr(storage, "markers", 0) for storage in self._installation.opened_storages()}


def kept_words(storages: list[str]) -> str:
    """Say what stays, and where."""
    return (
        f"The bucket of {', '.join(storages)} keeps versions: what was deleted or replaced there can still be read as "
        "an older version, with the key that it is encrypted to, until a lifecycle rule or you remove it."
    )
