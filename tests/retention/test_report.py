"""What a cleanup says of itself when it also applied the window of point in time."""

from __future__ import annotations

from services.retention.report import CleanupReport, add_windows

WINDOW = {"database": "la_factoria", "applied": True, "bases": [], "files": 0, "bytes": 0, "failed": []}


def test_a_cleanup_that_deleted_only_files_of_the_log_has_deleted_something() -> None:
    nothing = CleanupReport(applied=True, kept=4).to_json()
    for changes, outcome, reason in (
        ({}, "nothing to delete", "0 backups deleted, 0 B freed."),
        ({"files": 25, "bytes": 181_000_000}, "deleted", "25 files of the log deleted, 181 MB."),
        ({"bases": ["b1", "b2"], "failed": ["b2: failed: away"]}, "partly failed",
         "1 base backup deleted; 1 thing of the window failed."),
    ):  # fmt: skip
        found = add_windows(nothing, [WINDOW | changes])
        assert (found["outcome"], found["reason"]) == (outcome, reason)
    assert add_windows(nothing, [WINDOW | {"bytes": 7, "files": 1}])["freed_bytes"] == 7
    assert add_windows(nothing, []) == nothing
