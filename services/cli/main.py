"""``backups``: the entry point. Importing a module of commands registers them, in the order that ``--help`` shows."""

from __future__ import annotations

# isort: off
from services.cli import (  # noqa: F401
    run_commands,
    inventory_commands,
    log_commands,
    trends_commands,
    backup_commands,
    check_commands,
    restore_commands,
    upkeep_commands,
    key_commands,
    serve_commands,
)

# isort: on
from services.cli.app import app


def main() -> None:
    """Run the command that the arguments name."""
    app()


if __name__ == "__main__":
    main()
