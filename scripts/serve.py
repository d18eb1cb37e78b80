"""Serve a pipeline over HTTP: POST /predict, with a page at / to try it."""

from typing import Annotated

import typer
import uvicorn

from common.console import exit_on_input_error
from serving.app import create_app
from serving.schema import Limits
from texts.annotating import load_for_annotation


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    host: Annotated[
        str, typer.Option(help="Address to bind; 0.0.0.0 for all interfaces")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on")] = 8000,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU number")] = "auto",
    max_characters: Annotated[
        int, typer.Option(min=1, help="Maximum characters per request")
    ] = Limits.max_characters,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request fails with 504")
    ] = Limits.timeout,
) -> None:
    """Serve a pipeline over HTTP. On shutdown, the service finishes accepted requests."""
    with exit_on_input_error():
        nlp = load_for_annotation(pipeline, device, None, ())
        limits = Limits(max_characters=min(max_characters, nlp.max_length), timeout=timeout)
        app = create_app(nlp, limits)
        uvicorn.run(app, host=host, port=port, log_level="info", access_log=False)


if __name__ == "__main__":
    typer.run(main)
