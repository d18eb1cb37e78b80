"""Convert column files to DocBin, one Doc per document, and back."""

from pathlib import Path
from typing import Annotated

import typer

from common.console import InputError, exit_on_input_error
from corpus.columns import Columns
from corpus.docs import convert_to_columns, convert_to_docs
from corpus.schemes import SCHEMES


def main(
    source: Annotated[Path, typer.Argument(help="Column file, or .spacy to convert back")],
    target: Annotated[Path, typer.Argument(help=".spacy file, or column file to convert back")],
    scheme: Annotated[str, typer.Option(help=f"Label scheme: auto, {', '.join(SCHEMES)}")] = "auto",
    lang: Annotated[str, typer.Option(help="Language code of the vocabulary")] = "en",
    word_column: Annotated[
        int | None, typer.Option(help="Number of the column of words; default: the first")
    ] = None,
    label_column: Annotated[
        int | None, typer.Option(help="Number of the column of labels; default: the last")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Read illegal labels as conlleval does, and list them"),
    ] = False,
) -> None:
    """Convert a column file to DocBin (.spacy), or DocBin to a canonical column file."""
    with exit_on_input_error():
        if scheme not in ("auto", *SCHEMES):
            raise InputError(f"--scheme {scheme} is not one of auto, {', '.join(SCHEMES)}")
        if not source.is_file():
            raise InputError(f"{source}: no such file")
        if (source.suffix == ".spacy") == (target.suffix == ".spacy"):
            raise InputError(f"{source} -> {target}: exactly one of the two must end in .spacy")
        if source.suffix == ".spacy":
            convert_to_columns(source, target)
        else:
            columns = Columns(word_column, label_column)
            convert_to_docs(source, target, scheme, lang, columns, repair=repair)


if __name__ == "__main__":
    typer.run(main)
