"""The three roles, each of which may do what the one before it may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """*viewer* sees; *operator* backs up, verifies, tests; *admin* restores, deletes, plans and says who may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Say whether this role is enough for what needs ``needed``."""
        order = list(Role)
        return order.index(self) >= order.index(needed)
