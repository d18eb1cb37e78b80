"""A limit on the time that the head of a request may take. uvicorn has none: its timeout_keep_alive
begins after a response, and limit_concurrency counts slow clients, and refuses others for them."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT = 10.0  # seconds; a head is one packet, or a few


class TimedHeads(H11Protocol):
    """Closes a connection whose client hasn't sent a whole head in time: since it was opened, or
    since the first byte after a response."""

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.timer = self.loop.call_later(HEAD_TIMEOUT, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head is complete, or wrong
            self.stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        super().connection_lost(exc)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
