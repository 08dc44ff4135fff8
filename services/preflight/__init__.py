"""The checks before a backup: what the runbook has a person look at, each with a severity and what to do."""

from services.preflight.model import Check, Preflight
from services.preflight.run import exclusions_of, preflight

__all__ = ["Check", "Preflight", "exclusions_of", "preflight"]
