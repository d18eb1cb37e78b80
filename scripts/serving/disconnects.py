"""Clients that close the connection before the response."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import HTTPException, Request

T = TypeVar("T")


class ClientGone(HTTPException):
    """Nobody gets this response; it is for the metrics and the access log. nginx's number."""

    def __init__(self) -> None:
        super().__init__(499, "the client has closed the connection")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work`, and cancel it when the client closes the connection.

    request (Request): A request whose body has been read.
    RETURNS (T): What `work` returns.
    RAISES (ClientGone): If the client has closed the connection.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # after the body, only the end can come
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
