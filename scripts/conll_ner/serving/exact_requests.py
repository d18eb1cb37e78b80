"""Bodies of requests are read by the rules of `predict`: an object has every key once."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from conll_ner.common.exact_json import load_json


class ExactRequest(Request):
    async def json(self) -> Any:
        """RAISES (JSONDecodeError): As FastAPI expects it, for a response with status 422. A
        UnicodeDecodeError, for 400, if the body isn't UTF-8 (RFC 8259)."""
        text = (await self.body()).decode("utf-8-sig")
        try:
            return load_json(text)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class ExactRoute(APIRoute):
    """See https://fastapi.tiangolo.com/how-to/custom-request-and-route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(ExactRequest(request.scope, request.receive))

        return handle
