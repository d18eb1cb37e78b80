"""The web pages of other origins that may read the service's responses (CORS)."""

import re
from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from conll_ner.common.console import InputError

ORIGIN = r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?"


def check_origins(origins: Sequence[str]) -> list[str]:
    """RETURNS (list[str]): The values of the option `--allow-origin`, as browsers send them.
    RAISES (InputError): If one isn't an origin."""
    checked = [origin.lower() for origin in origins]
    for origin in checked:
        if origin != "*" and not re.fullmatch(ORIGIN, origin):
            raise InputError(
                f"--allow-origin {origin} is not an origin: pass scheme, host and, if it has one, "
                "port of a page's address, without a path, e.g. https://app.example.org; or * for "
                "any"
            )
    return checked


def allow_origins(origins: Sequence[str]) -> list[Middleware]:
    """RETURNS (list[Middleware]): Lets pages of these origins send texts and the token, and read
    responses; none without origins, as browsers then refuse it."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["Retry-After"],
        )
    ]
