"""What can be set of the dashboard's server: the names that it answers to, and how much it takes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z|[0-9a-f:]{2,45}\Z")


class WebSettings(BaseModel):
    """The dashboard's server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: tuple[str, ...] = ()
    """Names by which people reach it, without a port; ``*.example.com`` stands for every name below. This machine's own
    loopback names and the host of ``alerts.dashboard_url`` are always allowed."""
    commands_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Commands that one person may give within a minute, from pages and command line together, a process each."""

    @field_validator("hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        # The environment has one text: commas or spaces separate.
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.strip().lower().strip("[]").rstrip(".") for host in value)
        wrong = [host for host in hosts if not _HOST.match(host)]
        if wrong:
            raise ValueError("write host names such as backups.example.com, without scheme, port or path")
        return hosts
