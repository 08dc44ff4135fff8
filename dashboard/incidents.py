"""An error that nobody foresaw: the page shows an id, the server's log has the traceback under it, and nothing else."""

from __future__ import annotations

import logging

import streamlit as st

from services.clock import utc_now
from services.ids import new_id

logger = logging.getLogger(__name__)

UNFORESEEN = "An unforeseen error"


def report_incident(error: Exception) -> bool:
    """Log an error of a page and show its id; return True, so that Streamlit shows nothing of its own.

    Streamlit calls it for a page, a fragment and a widget's callback alike (``on_script_error``).
    """
    incident = new_id(utc_now())
    logger.error("incident %s: a page failed", incident, exc_info=error, extra={"incident": incident})
    st.error(
        f"Something went wrong here that should not. The server's log has the details under **{incident}**.",
        icon=":material/cancel:",
        title=UNFORESEEN,
    )
    return True
