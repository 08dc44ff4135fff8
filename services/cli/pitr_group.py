"""The group ``backups pitr``, to which several modules add their commands."""

from __future__ import annotations

import typer

from services.cli.app import CommandGroup, app

pitr = typer.Typer(
    cls=CommandGroup,
    help="Point in time: the write-ahead log in the storage, base backups, and restores to an instant.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(pitr, name="pitr")
