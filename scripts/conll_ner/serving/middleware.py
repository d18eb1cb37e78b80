"""Middleware around all others: security headers, errors, metrics, access log."""

import time

from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conll_ner.serving.access_log import log_request
from conll_ner.serving.metrics import Metrics

# The page may load nothing from other origins, and no page may frame it.
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


class ServiceMiddleware:
    """Adds security headers, answers unexpected errors, and counts and logs responses."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = size = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            if not status:  # FastAPI's own response would lack the headers
                error = JSONResponse({"detail": "internal error; see the service's log"}, 500)
                await error(scope, receive, send_with_headers)
            raise  # the server logs it
        finally:
            seconds = time.perf_counter() - start
            route = scope.get("route")
            path = route.path if route is not None else "other"
            self.metrics.requests.labels(path, status or 500).inc()
            if path == "/predict":
                self.metrics.seconds.observe(seconds)
            log_request(scope, status or 500, seconds, size)
