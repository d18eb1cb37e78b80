"""Options and arguments that many commands have."""

from typing import Annotated

import typer

from conll_ner.common.command import READS

Pipeline = Annotated[str, typer.Argument(help="Folder, installed package or hub id"), READS]
Device = Annotated[str, typer.Option(help="auto, cpu, or a GPU number")]
WholeFiles = Annotated[
    bool, typer.Option("--whole-files", help="A text file is one text, not one per line")
]
Processes = Annotated[int, typer.Option(min=1, help="Number of worker processes")]
Resume = Annotated[bool, typer.Option(help="Resume from OUTPUT.partial")]
MAX_SEED = 2**32 - 1  # as NumPy has it
Seed = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Random seed")]
TextField = Annotated[str, typer.Option(help="Field or column of the text")]
# Not a Path, which an empty variable of a project would make the working directory.
Texts = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="File or folder of texts, in any format of predict"),
    READS,
]
