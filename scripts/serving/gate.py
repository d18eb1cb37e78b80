"""Middleware: size limit, security headers, counters."""

import time

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.batcher import Metrics

# Nothing is loaded from elsewhere, and the text of a mention is never markup.
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Middleware for all requests: rejects bodies that are too large, before or while they are
    read; adds security headers; counts responses."""

    def __init__(self, app: ASGIApp, max_bytes: int, metrics: Metrics) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500
        received = 0
        too_long = f"the body is over {self.max_bytes:,} bytes"

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, too_long)
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if int(length) > self.max_bytes:
                await JSONResponse({"detail": too_long}, 413)(scope, receive, noted)
            else:
                await self.app(scope, counted, noted)
        finally:
            route = scope.get("route")
            path = route.path if route is not None else "other"
            self.metrics.requests.labels(path, status).inc()
            if path == "/predict":
                self.metrics.seconds.observe(time.perf_counter() - start)
