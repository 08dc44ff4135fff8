"""``backups``: the entry point. Importing a module of commands registers them, in the order that ``--help`` shows."""

from __future__ import annotations

import gc
import sys

# Importing makes a hundred thousand objects and no garbage: looking for some costs a fifth of the start.
gc.disable()

if sys.argv[1:2] == ["pitr"] and sys.argv[2:3] in (["wal-push"], ["wal-fetch"]):
    # PostgreSQL calls these for each segment and waits: the other commands' imports would take most of the time.
    from services.pitr.wal_commands import main as wal_main

    sys.exit(wal_main(sys.argv[2:]))

# isort: off
from services.cli import (  # noqa: F401
    run_commands,
    inventory_commands,
    contents_commands,
    log_commands,
    trends_commands,
    backup_commands,
    emergency_commands,
    check_commands,
    restore_commands,
    schedule_commands,
    slo_commands,
    storage_report,
    storage_commands,
    archive_commands,
    retention_commands,
    simulate_commands,
    upkeep_commands,
    key_commands,
    keys_group,
    download_commands,
    approval_commands,
    serve_commands,
    health_commands,
    alert_commands,
    review_commands,
    audit_commands,
    people_commands,
    pitr_commands,
    pitr_base_commands,
)

# isort: on
from services.cli.app import app

gc.freeze()  # what the imports made stays until the end
gc.enable()


def main() -> None:
    """Run the command that the arguments name."""
    app()


if __name__ == "__main__":
    main()
