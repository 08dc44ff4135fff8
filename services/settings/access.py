"""What can be set about who gets in: ``[access]``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class AccessSettings(BaseModel):
    """How people sign in, and who is an admin from the start. See docs/access.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["none", "oidc", "proxy"] = "none"
    """``none``: nobody signs in, and the page is served to this machine alone; ``oidc``: OpenID Connect; ``proxy``: a
    proxy that signs people in says who they are in a header."""
    admins: tuple[str, ...] = ()
    """Identities that are admins whatever the table says, unless they are disabled: ``mara@example.com``,
    ``cli:root@*``."""
