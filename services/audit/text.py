"""What may stand in the audit log: text that every engine takes, of a bounded length, without a secret."""

from __future__ import annotations

import json
import re
from typing import Any

from services.audit.model import MAX_DETAIL, MAX_NAME, MAX_REASON
from services.settings.model import Settings
from services.settings.secret_texts import mask_command, secrets_of

_URL_SECRET = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"]+", re.IGNORECASE)

_SHORT = 60
"""A member of so many characters is not worth leaving out."""


class Cleaner:
    """Makes texts fit for the log. One for a row: it reads the settings' secrets once."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = sorted(secrets_of(settings), key=len, reverse=True)

    def text(self, value: object, limit: int = MAX_NAME) -> str:
        """Return a text without secrets, control characters that an engine refuses, or what is beyond the limit."""
        found = str(value)
        for secret in self._secrets:
            found = found.replace(secret, "***")
        # Cut before the patterns, whose time grows with the square of a hostile text.
        found = mask_command(found[: limit + 500])
        found = _URL_SECRET.sub(r"\1***", found)
        found = found.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        return found if len(found) <= limit else f"{found[: limit - 1]}…"

    def detail(self, values: dict[str, Any]) -> str:
        """Return the detail as JSON. Where it is too long its longest members say how long they were instead."""
        clean: dict[str, Any] = self._clean(values)
        text = _json(clean)
        while len(text) > MAX_DETAIL:
            length, name = max((len(_json(value)), name) for name, value in clean.items())
            if length <= _SHORT:
                return _json({"left_out": f"{len(text)} characters"})
            clean[name] = {"left_out": f"{length} characters"}
            text = _json(clean)
        return text

    def _clean(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(name): self._clean(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(value, MAX_REASON)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
