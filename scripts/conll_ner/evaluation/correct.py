"""Apply the corrections that the report page saved to a gold file."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.tokens import Doc

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import sha256
from conll_ner.common.languages import blank_pipeline
from conll_ner.data.formats.aligning import make_docs
from conll_ner.data.formats.annotated import Reading, strictly
from conll_ner.data.formats.reading import open_sources
from conll_ner.data.formats.writing import find_target, write_target
from conll_ner.data.mentions import check_labels
from conll_ner.data.options import Language, SourceFormat, TargetFormat
from conll_ner.evaluation.corrections import apply_corrections, read_corrections


@command
def main(
    source: Annotated[Path, typer.Argument(help="Gold file that was evaluated")],
    corrections: Annotated[Path, typer.Argument(help="Corrections that the report page saved")],
    target: Annotated[Path, typer.Argument(help="File to write"), WRITES],
    format_: SourceFormat = "auto",
    to: TargetFormat = "auto",
    lang: Language = "en",
) -> None:
    """Write a corrected copy of a gold file, in any format of convert. The corrections must be of
    this file as it is."""
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    to = find_target(target, to)
    reading = Reading(blank_pipeline(lang), format_)
    found = read_corrections(corrections, sha256(source))
    with open_sources([source], reading) as (_, records):
        items = check_labels(strictly(make_docs(records, reading)), source)
        docs = (doc for doc in items if isinstance(doc, Doc))
        write_target(apply_corrections(docs, found, source), target, to, "iob2")
    msg.good(f"{target}: {len(found):,} corrections applied")
