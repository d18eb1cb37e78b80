"""The access log: one JSON object per request, without texts."""

import json
import logging
import sys
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import Scope

MAX_LENGTH = 200  # characters of a path or a request id; a client may send any
log = logging.getLogger("ner.access")


def log_to_stdout() -> None:
    """Switch the access log on. Everything else that the service logs goes to stderr."""
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.setLevel(logging.INFO)
    log.propagate = False


def log_request(scope: Scope, status: int, seconds: float, size: int) -> None:
    """Log a request after its response.

    size (int): Bytes of the response's body.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "path": scope["path"][:MAX_LENGTH],  # without the query, which might hold a text
        "status": status,
        "seconds": round(seconds, 4),
        "bytes": size,
    }
    request_id = Headers(scope=scope).get("x-request-id")
    if request_id is not None:
        entry["request_id"] = request_id[:MAX_LENGTH]
    log.info(json.dumps(entry))
