"""Authentication by one token."""

import base64
import os
import re
import secrets

from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.requests import HTTPConnection

from conll_ner.common.console import InputError
from conll_ner.serving.label_studio import PREFIX

VARIABLE = "NER_TOKEN"
OPEN_PATHS = {"/", "/health", "/ready"}  # the page, where the token is entered, and the probes
bearer = HTTPBearer(auto_error=False)


def read_token() -> str | None:
    """RETURNS (str | None): The token in the environment; None if the variable isn't set.
    RAISES (InputError): If it can't be sent in a header. The message doesn't show it."""
    token = os.environ.get(VARIABLE)
    if token is not None and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):  # RFC 6750
        raise InputError(
            f"{VARIABLE} must be letters, digits and -._~+/, with = at the end only, and not "
            "empty; unset it to serve without authentication"
        )
    return token


class TokenBackend(AuthenticationBackend):
    """For Starlette's AuthenticationMiddleware, which runs before the body is read."""

    def __init__(self, token: str) -> None:
        self.token = token.encode()

    async def authenticate(self, conn: HTTPConnection) -> None:
        """RAISES (AuthenticationError): If the path isn't open and the token isn't sent."""
        path = conn.scope["path"].removeprefix(conn.scope.get("root_path", ""))
        if path in OPEN_PATHS:
            return
        sent = await bearer(conn)
        token = sent.credentials.encode() if sent else b""
        if path.startswith(f"{PREFIX}/"):
            token = token or find_password(conn.headers.get("authorization", ""))
        if not token:
            raise AuthenticationError("a token is required: Authorization: Bearer TOKEN")
        if not secrets.compare_digest(token, self.token):
            raise AuthenticationError("wrong token")


def find_password(header: str) -> bytes:
    """RETURNS (bytes): The password in a header of basic authentication, the only kind that Label
    Studio sends; empty if there is none."""
    scheme, _, credentials = header.partition(" ")
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except ValueError:
        return b""
    return decoded.partition(b":")[2] if scheme.lower() == "basic" else b""


def refuse(_: HTTPConnection, error: AuthenticationError) -> JSONResponse:
    """RETURNS (JSONResponse): 401 with the reason."""
    return JSONResponse({"detail": str(error)}, 401, {"WWW-Authenticate": "Bearer"})
