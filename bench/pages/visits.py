"""A browser's part of Streamlit's protocol: open a session, ask for a page, take every message until its script ended.

What is timed is what a person waits for beyond the drawing in the browser: from the request sent to the last message of
the script received, over a real connection. It is an upper bound on the script's own time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from bench.by_hand import ContestantFailed
from dashboard.incidents import UNFORESEEN

PATIENCE = 60.0
"""Seconds that a page may take before the measurement is given up."""


@dataclass(frozen=True)
class Seen:
    """What one run of a page's script cost."""

    seconds: float
    messages: int
    bytes: int


class Session:
    """One open browser session."""

    def __init__(self, connection: ClientConnection, address: str) -> None:
        self._connection = connection
        self._address = address

    def visit(self, page: str, query: str = "") -> Seen:
        """Run a page's script and return what it cost. Raise ContestantFailed when it raised, or shows an exception."""
        request = BackMsg()
        request.rerun_script.page_name = page
        request.rerun_script.query_string = query
        request.rerun_script.context_info.url = f"http://{self._address}/{page}"
        request.rerun_script.context_info.timezone = "Europe/Berlin"
        request.rerun_script.context_info.locale = "en-GB"
        request.rerun_script.context_info.color_scheme = "light"
        sent = request.SerializeToString()
        begun = time.perf_counter()
        self._connection.send(sent)
        count = size = 0
        while True:
            data = self._connection.recv(timeout=PATIENCE)
            assert isinstance(data, bytes)
            count, size = count + 1, size + len(data)
            message = ForwardMsg()
            message.ParseFromString(data)
            if message.WhichOneof("type") == "script_finished":
                if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue  # the page asked for another run, which is part of what the person waits for
                return Seen(time.perf_counter() - begun, count, size)
            _refuse_exception(page, message)


def _refuse_exception(page: str, message: ForwardMsg) -> None:
    """Raise ContestantFailed for a page that does not exist or whose script broke: its time would say nothing."""
    kind = message.WhichOneof("type")
    if kind == "page_not_found":
        raise ContestantFailed(f"The dashboard knows no page called {page!r}.")
    if kind == "session_event" and message.session_event.WhichOneof("type") == "script_compilation_exception":
        raise ContestantFailed(f"Page {page!r} does not compile.")
    if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
        found = message.delta.new_element.exception
        raise ContestantFailed(f"Page {page or 'overview'!r} raised {found.type}: {found.message}")
    if kind == "delta" and message.delta.new_element.alert.title == UNFORESEEN:
        raise ContestantFailed(f"Page {page or 'overview'!r} failed: {message.delta.new_element.alert.body}")


@contextmanager
def open_session(address: str) -> Iterator[Session]:
    """Open a session of the server at ``host:port``, as a browser tab does."""
    with connect(
        f"ws://{address}/_stcore/stream", subprotocols=["streamlit"], origin=f"http://{address}", max_size=None,
        open_timeout=PATIENCE,
    ) as connection:  # fmt: skip
        yield Session(connection, address)
