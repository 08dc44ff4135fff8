"""What can be asked of a cleanup."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CleanupRequest:
    """A cleanup by policy, or a deletion by hand."""

    database: str | None = None
    """None: every configured database."""
    apply: bool = False
    """False: only say what would go."""
    only: tuple[str, ...] | None = None
    """Ids that the person saw and confirmed: nothing else is deleted. None: whatever the plan says."""
    by_hand: bool = False
    """Delete those of ``only`` whatever the policy says of them."""
    force_reason: str = ""
    """By hand: why the newest good ones and the newest proven one may go, too."""

    def to_params(self) -> dict[str, Any]:
        """Return the form that a run's row holds."""
        return asdict(self) | {"only": None if self.only is None else list(self.only)}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> CleanupRequest:
        """Return what ``to_params`` wrote."""
        only = params.get("only")
        return cls(
            database=params.get("database"),
            apply=bool(params.get("apply")),
            only=None if only is None else tuple(only),
            by_hand=bool(params.get("by_hand")),
            force_reason=params.get("force_reason", ""),
        )
