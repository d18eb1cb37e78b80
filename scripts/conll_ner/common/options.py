"""Options and arguments that many commands have."""

from typing import Annotated

import typer

Pipeline = Annotated[str, typer.Argument(help="Folder or installed package")]
Device = Annotated[str, typer.Option(help="auto, cpu, or a GPU number")]
TextField = Annotated[str, typer.Option(help="Field or column of the text")]
