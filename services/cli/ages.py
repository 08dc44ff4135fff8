"""Ages on the command line: ``--older-than 30d``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, cast

import typer

from services.errors import InputError
from services.settings.lengths import parse_duration

RequiredAge = Annotated[str, typer.Option("--older-than", metavar="AGE", help="Older than 12h, 30d, 8w.")]


def age_of(text: str) -> timedelta:
    """Given ``12h``, ``30d`` or ``8w``, return the age. Raise InputError for anything else, a number alone included."""
    try:
        return cast(timedelta, parse_duration(text))
    except ValueError as error:
        raise InputError(f"{text!r} is no age.", hint="Write a number and a unit: 12h, 30d, 8w.") from error
