"""The program's frame: how its commands are found, and how what goes wrong is said.

Exit codes: 0 done; 1 failed (a warning, for checks); 2 asked for wrongly (failed, for checks); 3 unknown, for checks;
130 stopped with Ctrl-C; 141 the reader of the output has gone.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from services.cli.output import note, write_error
from services.errors import BackupsError, InputError

DEBUG = "BACKUPS_DEBUG"
"""Set by ``--debug``: errors keep their traceback, in child processes too."""
INTERRUPTED = 130
READER_GONE = 141
"""As the shell says it of programs that SIGPIPE ended: ``backups list | head``."""


_COMMAND_LINE: ContextVar[str] = ContextVar("command_line", default="")


def command_line() -> str:
    """Return which command runs, without the program's name and its options: ``schedule set``."""
    return _COMMAND_LINE.get()


class CommandGroup(TyperGroup):
    """A group of commands whose errors are one line on standard error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that ``args`` name and exit with its code."""
        try:
            code = super().main(
                args=args,
                prog_name=prog_name or "backups",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except BrokenPipeError:  # on the last flush; see ``invoke`` for those before
            _discard_output()
            code = READER_GONE
        except typer.Abort:
            code = INTERRUPTED
        except (BackupsError, TyperException) as error:
            if os.environ.get(DEBUG):
                raise
            if isinstance(error, TyperException) and "\n" in error.format_message():
                typer.echo(error.format_message(), err=True)  # the help of a group that was called without a command
                code = error.exit_code
            else:
                known = error if isinstance(error, BackupsError) else _usage_error(error)
                write_error(known)
                code = known.exit_code
        except UnicodeEncodeError as error:
            # Bytes of the command line that are no UTF-8 come in as halves of characters, which nothing can store.
            if os.environ.get(DEBUG):
                raise
            odd = ascii(error.object[error.start : error.end])[1:-1]
            write_error(InputError(f"This is not UTF-8: {odd[:40]}.", hint="Write names and texts in UTF-8."))
            code = InputError.exit_code
        except Exception as error:  # the outermost edge: said in one line, and the exit code is not 0
            if os.environ.get(DEBUG):
                raise
            first = str(error).partition("\n")[0]
            note(f"Error: {type(error).__name__}: {first}. Run it again as `backups --debug …` for the details.")
            code = 1
        sys.exit(code or 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the words name, and note which one it is."""
        name, command, rest = super().resolve_command(ctx, args)
        _COMMAND_LINE.set(" ".join([*ctx.command_path.split()[1:], name or ""]))
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; that nobody reads its output any more is no fault of it, and nothing to write about."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(READER_GONE) from None


def _usage_error(error: TyperException) -> InputError:
    # pydantic, by which typer converts values, begins its messages with its own words.
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    message = message if message.endswith("?") else f"{message}."
    found = InputError(message, hint="See `backups --help`.")
    found.exit_code = error.exit_code
    return found


def _discard_output() -> None:
    """Whoever read our output has gone (``backups list | head``): say nothing more, also not when Python exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=CommandGroup,
    name="backups",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)


@app.callback()
def root(
    context: typer.Context, debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")
) -> None:
    """PostgreSQL backups that are proven to restore."""
    if debug:
        os.environ[DEBUG] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
