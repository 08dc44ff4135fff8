"""The route that streams a backup to a browser: ``/download/LINK``. Whoever has the link is whom it was made for.

Streamlit's own download button holds the whole file in memory, and its ``/media`` asks nobody who they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from services.audit.address import client_address
from services.downloads.deliver import Delivery, begin
from services.downloads.links import LinkRefused
from services.downloads.model import disposition
from services.errors import BackupsError, NotPermitted
from services.installation import Installation, open_installation

logger = logging.getLogger(__name__)

PATH = "/download/{link}"
AT_ONCE = 8
"""So many downloads are read at the same moment; the others wait between two pieces."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Robots-Tag": "noindex"}


@lru_cache(maxsize=1)
def opened() -> Installation:
    """Return the installation, opened when the first download begins."""
    return open_installation()


async def download(request: Request) -> Response:
    """Stream what the link names, or say in a line why not: 403, 404 for what cannot be read."""
    if request.method != "GET":  # a look ahead at what is behind a link must not use it up
        return PlainTextResponse("Use GET.\n", 405, headers=_HEADERS | {"Allow": "GET"})
    try:
        inst = await anyio.to_thread.run_sync(opened)
        peer = request.client.host if request.client else ""
        trusted = inst.settings.access.proxy_addresses
        origin = client_address(peer, request.headers.getlist("x-forwarded-for"), trusted)
        link = request.path_params["link"]
        delivery = await anyio.to_thread.run_sync(lambda: begin(inst, link, origin=origin))
    except (LinkRefused, NotPermitted) as error:
        return PlainTextResponse(f"{error}\n", 403, headers=_HEADERS)
    except BackupsError as error:
        logger.warning("a download could not begin: %s", error)
        return PlainTextResponse(f"{error}\n", 404, headers=_HEADERS)
    return Streamed(delivery)


class Streamed(Response):
    """An answer whose pieces are read as the browser takes them; how it ended is recorded."""

    def __init__(self, delivery: Delivery) -> None:
        headers = _HEADERS | {"Content-Disposition": disposition(delivery.file_name)}
        if delivery.bytes is not None:
            headers["Content-Length"] = str(delivery.bytes)
        super().__init__(status_code=200, headers=headers, media_type="application/octet-stream")
        if delivery.bytes is None:
            del self.headers["content-length"]  # that of the empty body
        self._delivery = delivery
        self._sent = 0
        self._error = "broken off by the browser"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, receive, group.cancel_scope)
                await self._stream(send)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._delivery.ended, self._sent, self._error)

    async def _stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pieces = iter(self._delivery.pieces)
        try:
            while (piece := await anyio.to_thread.run_sync(_next, pieces, limiter=_limiter())) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self._sent += len(piece)
        except BackupsError as error:
            # The answer has begun: only a connection that breaks can still say that it is not whole.
            self._error = str(error)
            logger.warning("the download of %s is broken off: %s", self._delivery.file_name, error)
            raise
        self._error = ""
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


@lru_cache(maxsize=1)
def _limiter() -> Any:
    return anyio.CapacityLimiter(AT_ONCE)
