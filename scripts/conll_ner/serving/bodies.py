"""Limits of request bodies: size, time, and the memory of all bodies together."""

import asyncio

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conll_ner.serving.metrics import Metrics
from conll_ner.serving.schema import Limits


class ClientGone(HTTPException):
    """The client has closed the connection. Nobody gets this response: it is for the metrics and
    the access log, with nginx's number."""

    def __init__(self) -> None:
        super().__init__(499, "the client has closed the connection")


class BodyLimits:
    """Middleware that rejects a body that is too large, too slow, or more than memory has room for,
    while it is read. A body counts until the response, because the request keeps it."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.total = 0  # bytes of all bodies in memory

    def change_total(self, size: int) -> None:
        self.total += size
        self.metrics.bodies.set(self.total)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = int(Headers(scope=scope).get("content-length", 0))
        deadline = asyncio.get_running_loop().time() + self.limits.timeout
        received = 0
        complete = False

        async def receive_limited() -> Message:
            nonlocal received, complete
            if complete:  # the application waits for the end of the connection
                return await receive()
            self.check_size(declared)
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408,
                    f"the body did not arrive within {self.limits.timeout:g} seconds",
                    {"Connection": "close"},
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            size = len(message.get("body", b""))
            received += size
            self.change_total(size)
            self.check_size(received)
            self.check_total()
            complete = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, receive_limited, send)
        finally:
            self.change_total(-received)

    def check_size(self, size: int) -> None:
        """RAISES (HTTPException): 413 if a body has too many bytes."""
        if size > self.limits.max_body:
            raise HTTPException(413, f"the body exceeds {self.limits.max_body:,} bytes")

    def check_total(self) -> None:
        """RAISES (HTTPException): 503 if all bodies have too many bytes together."""
        if self.total > self.limits.max_bodies:
            raise HTTPException(
                503, "too many requests are waiting; retry later", {"Retry-After": "1"}
            )
