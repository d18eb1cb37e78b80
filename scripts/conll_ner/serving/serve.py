"""Serve a pipeline over HTTP: POST /predict, with a page at / to try it."""

import gc
import re
import signal
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import InputError
from conll_ner.common.files import append_lines
from conll_ner.common.options import Device, Pipeline
from conll_ner.prediction.annotating import load_for_annotation
from conll_ner.serving.access_log import log_to_stdout
from conll_ner.serving.app import create_app
from conll_ner.serving.auth import read_token
from conll_ner.serving.heads import TimedHeads
from conll_ner.serving.hosts import list_allowed_hosts
from conll_ner.serving.origins import check_origins
from conll_ner.serving.schema import Limits


def check_root_path(root_path: str) -> str:
    """RETURNS (str): The path without a slash at the end.
    RAISES (InputError): If it isn't the path of a URL."""
    if root_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", root_path):
        raise InputError(
            f"--root-path {root_path} must start with / and have letters, digits and ._~- between "
            "slashes, e.g. /ner"
        )
    return root_path.rstrip("/")


def finish_on_hangup() -> None:
    """End on SIGHUP as on SIGTERM: there is no configuration to read again. Under nohup, which
    ignores SIGHUP, it stays ignored."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def run_server(app: FastAPI, **options: Any) -> None:
    """Serve an app of `create_app` until a signal.

    options (Any): Of uvicorn.Config.
    RAISES (SystemExit): With code 1 once texts aren't annotated any more, so that Docker, systemd
        or Kubernetes restart the service.
    """
    config = uvicorn.Config(app, http=TimedHeads, log_level="info", access_log=False, **options)
    server = uvicorn.Server(config)
    failed = False

    def end() -> None:
        nonlocal failed
        failed = server.should_exit = True

    app.state.batcher.on_failure = end
    with suppress(KeyboardInterrupt):  # uvicorn has ended on SIGINT, and raises it again
        server.run()
    if failed:
        sys.exit(1)


@command
def main(
    pipeline: Pipeline,
    host: Annotated[
        str, typer.Option(help="Address to bind; 0.0.0.0 for all interfaces")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on")] = 8000,
    device: Device = "auto",
    max_characters: Annotated[
        int, typer.Option(min=1, help="Maximum characters per request")
    ] = Limits.max_characters,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, help="Seconds for the body to arrive, and then until a request fails with 504"
        ),
    ] = Limits.timeout,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that requests may be for, beside this machine's own and --host; "
            "repeat for several; * for any, which is the default with --host 0.0.0.0"
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin of web pages that may use the service (CORS), e.g. "
            "https://app.example.org; repeat for several; * for any"
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="JSONL file that annotations from Label Studio are appended to"),
        WRITES,
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Path under which a reverse proxy offers the service, e.g. /ner")
    ] = "",
    access_log: Annotated[
        bool, typer.Option(help="Print one line of JSON per request, without texts, to stdout")
    ] = True,
) -> None:
    """Serve a pipeline over HTTP. On shutdown, the service finishes accepted requests. If the
    environment has NER_TOKEN, requests must send it: Authorization: Bearer TOKEN."""
    token = read_token()
    hosts = list_allowed_hosts(host, allow_host or ())
    origins = check_origins(allow_origin or ())
    root_path = check_root_path(root_path)
    with redirect_stdout(sys.stderr):  # stdout is the access log's
        nlp = load_for_annotation(pipeline, device, None, ())
    if annotations is not None:
        append_lines(annotations, ())  # that it can be written is known before the first one comes
    limits = Limits(max_characters=min(max_characters, nlp.max_length), timeout=timeout)
    app = create_app(nlp, limits, hosts, token, origins, annotations)
    if access_log:
        log_to_stdout()
    finish_on_hangup()
    gc.freeze()  # so that garbage collection doesn't walk the pipeline: 0.2 ms per request
    run_server(app, host=host, port=port, root_path=root_path)
