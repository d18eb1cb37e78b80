"""Middleware of the service: size limit, security headers, metrics."""

import time

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.batcher import Metrics

# The page may load nothing from other origins.
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
}


class ServiceMiddleware:
    """Rejects request bodies that are too large, before or while they are read, adds security
    headers, and counts responses."""

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
        too_large = f"the body exceeds {self.max_bytes:,} bytes"

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, too_large)
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if int(length) > self.max_bytes:
                await JSONResponse({"detail": too_large}, 413)(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive_limited, send_with_headers)
        finally:
            route = scope.get("route")
            path = route.path if route is not None else "other"
            self.metrics.requests.labels(path, status).inc()
            if path == "/predict":
                self.metrics.seconds.observe(time.perf_counter() - start)
