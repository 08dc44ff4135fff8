"""How the suite is dealt to its processes: file by file, what takes longest first, so that all end at the same time.

A file's tests stay together, since they share what it has made. Those of the browser stay together as well: one running
site, which takes a sample environment, serves them all.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

TOGETHER = "tests/browser/"
APART = ("tests/browser/test_sign_in.py",)
"""It has a site of its own."""
SECONDS = {
    TOGETHER: 300,
    "faults/test_killed_worker": 91,
    "alerts/test_evaluate": 57,
    "browser/test_sign_in": 55,
    "faults/test_killed_copies": 54,
    "faults/test_killed_compress": 39,
    "retention/test_s3_faults": 34,
    "pitr/test_restore_point": 33,
    "cli/test_archive": 33,
    "jobs/test_worker": 31,
    "pages/test_queries": 12,
    "retention/test_crashes": 29,
    "restores/test_restore_test": 29,
    "faults/test_failing_backups": 27,
    "storage/test_s3_faults": 22,
    "retention/test_cleanup": 22,
    "faults/test_secrets": 21,
    "verification/test_levels": 21,
    "cli/test_retention": 21,
    "cli/test_backups": 20,
    "schedules/test_slo": 20,
    "restores/test_restore": 20,
    "cli/test_bad_input": 20,
    "notify/test_delivery": 19,
    "emergency/test_emergency_backup": 18,
    "cli/test_runs": 18,
    "restores/test_scratch_places": 17,
    "backups/test_archives": 16,
    "catalog/test_runs": 16,
    "pages/test_pages": 16,
    "postgres/test_fingerprint": 16,
    "pages/test_trends": 15,
    "catalog/test_backups": 15,
    "bench/test_pages": 15,
    "pitr/test_archive_command": 14,
    "whole/test_versions": 14,
    "pages/test_weekly_review": 14,
    "whole/test_point_in_time": 14,
    "retention/test_races": 14,
    "pages/test_slot_pages": 13,
    "pitr/test_receiver": 13,
    "emergency/test_release": 12,
    "trends/test_trends": 11,
    "cli/test_copies": 11,
    "pages/test_storage_page": 10,
    "sample/test_environment": 10,
    "faults/test_parallel_backups": 10,
    "faults/test_read_only_released": 10,
    "postgres/test_round_trip": 10,
    "stream/test_memory": 10,
    "large/test_parts": 8,
    "emergency/test_commands": 8,
    "dashboard/test_server": 7,
    "pitr/test_incremental": 6,
    "restores/test_partial": 6,
    "sample/test_databases": 6,
    "cli/test_health": 5,
    "pitr/test_status_of_servers": 5,
    "cli/test_pitr_base": 5,
}
"""Of files that take longer than the number of their tests says: roughly, on two cores that are busy."""
A_TEST = 0.3


class LongestFirst(LoadFileScheduling):
    """xdist's own ``loadfile``, which would begin with the files that have the most tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return TOGETHER if file.startswith(TOGETHER) and file not in APART else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(max(self.workqueue, key=self._seconds), last=False)
        super()._assign_work_unit(node)

    def _seconds(self, unit: str) -> float:
        known = SECONDS.get(unit.removeprefix("tests/").removesuffix(".py"), SECONDS.get(unit, 0))
        return max(known, A_TEST * len(self.workqueue[unit]))
