"""The same labs as for restores."""

from __future__ import annotations

from tests.restores.conftest import lab, new_lab

__all__ = ["lab", "new_lab"]
