"""Options that `convert` and `correct` share."""

from typing import Annotated

import typer

from conll_ner.data.formats.reading import FORMATS
from conll_ner.data.formats.writing import TARGET_NAMES

SourceFormat = Annotated[
    str, typer.Option("--format", help=f"Format of SOURCE: auto, {', '.join(FORMATS)}")
]
TargetFormat = Annotated[
    str, typer.Option(help=f"Format of TARGET: auto (by suffix), {', '.join(TARGET_NAMES)}")
]
Language = Annotated[str, typer.Option(help="Language code, for words and vocabulary")]
