"""Write a complete config for a project of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import READS, Writes, command
from conll_ner.common.console import msg
from conll_ner.common.files import atomic_write
from conll_ner.common.languages import blank_pipeline
from conll_ner.training.config_template import EPOCHS, render_config


@command
def main(
    output: Annotated[Path, typer.Argument(help="Config file"), Writes()],
    lang: Annotated[str, typer.Option(help="spaCy's code of the language")] = "en",
    backbone: Annotated[str, typer.Option(help="Folder or hub id of the backbone"), READS] = "",
    train: Annotated[
        Path | None, typer.Option(help="Training documents (.spacy)", exists=True)
    ] = None,
    dev: Annotated[
        Path | None, typer.Option(help="Documents to evaluate on (.spacy)", exists=True)
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training")] = EPOCHS,
    gpu: Annotated[bool, typer.Option("--gpu", help="Larger batches, for a GPU")] = False,
) -> None:
    """Write a complete config of `token_ner`, as `spacy init config` does for spaCy's components.
    Learning rate and window follow the backbone's size. With --train, the schedule of the learning
    rate and the evaluations are planned for these documents, so that plain `spacy train` trains as
    spacy ner train does."""
    blank_pipeline(lang)
    text = render_config(lang, backbone, train, dev, epochs, gpu=gpu)
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    given = {"train": train, "dev": dev, "backbone": backbone}
    missing = "".join(f" --paths.{name} …" for name, value in given.items() if not value)
    msg.good(f"{output}: train with python -m spacy train {output} --output OUTPUT{missing}")
