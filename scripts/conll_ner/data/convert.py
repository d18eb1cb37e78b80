"""Convert annotations of any format to DocBin, one Doc per document, and to other formats."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import Writes, command
from conll_ner.common.console import InputError
from conll_ner.common.languages import blank_pipeline
from conll_ner.common.options import Seed
from conll_ner.data.columns.schemes import SCHEMES
from conll_ner.data.columns.selection import Columns
from conll_ner.data.converting import Conversion, convert
from conll_ner.data.formats.aligning import ALIGNMENTS, OVERLAPS
from conll_ner.data.formats.annotated import Reading
from conll_ner.data.options import Language, SourceFormat, TargetFormat
from conll_ner.data.random_splits import make_folds, parse_shares, split_documents
from conll_ner.data.summary import ISSUES_SUFFIX


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """RAISES (InputError): If an option has another value than its choices."""
    if value not in choices:
        raise InputError(f"{option} {value} is not one of {', '.join(choices)}")


def parse_column(value: str | None) -> int | str | None:
    """RETURNS (int | str | None): The number of a column, or its name."""
    return int(value) if value is not None and value.isdecimal() else value


@command
def main(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders of any format")
    ],
    target: Annotated[
        Path,
        typer.Argument(help="File to write; a folder with --split"),
        Writes("any", (ISSUES_SUFFIX,)),
    ],
    format_: SourceFormat = "auto",
    to: TargetFormat = "auto",
    lang: Language = "en",
    align: Annotated[
        str,
        typer.Option(help="Mentions whose edges are within words: strict, expand or contract"),
    ] = "strict",
    overlaps: Annotated[
        str, typer.Option(help="Which of overlapping mentions to use: longest, shortest or first")
    ] = "longest",
    inclusive_ends: Annotated[
        bool, typer.Option("--inclusive-ends", help="Ends are those of the last character")
    ] = False,
    split: Annotated[
        str, typer.Option(help="Split into train, dev and test by document, such as 80/10/10")
    ] = "",
    folds: Annotated[
        int, typer.Option(min=0, help="Split into folds for cross-validation, each train and dev")
    ] = 0,
    seed: Seed = 0,
    scheme: Annotated[str, typer.Option(help=f"Label scheme: auto, {', '.join(SCHEMES)}")] = "auto",
    to_scheme: Annotated[
        str, typer.Option(help="Label scheme of a column file that is written")
    ] = "iob2",
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of text files, such as cp1252; default: UTF-8")
    ] = None,
    word_column: Annotated[
        str | None, typer.Option(help="Number or name of the column of words; default: the first")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Number or name of the column of labels; default: the last")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Read illegal labels as conlleval does, and list them"),
    ] = False,
    layer: Annotated[str, typer.Option(help="Layer of INCEpTION; default: NamedEntity")] = "",
    feature: Annotated[str, typer.Option(help="Feature of the layer; default: value")] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a source with a record that can't be read")
    ] = False,
) -> None:
    """Convert annotations between formats: column files, DocBin (.spacy), and the formats of
    annotation tools. Mentions that don't fit the words are listed in TARGET.issues.jsonl. A folder
    of splits (train, dev or valid, test) is converted to a folder of .spacy files. If records can't
    be read, the exit code is 3; of a folder of splits still 0, so that a project goes on to train.
    """
    check_choice("--scheme", scheme, ("auto", *SCHEMES))
    check_choice("--to-scheme", to_scheme, SCHEMES)
    check_choice("--align", align, ALIGNMENTS)
    check_choice("--overlaps", overlaps, OVERLAPS)
    nlp = blank_pipeline(lang)
    columns = Columns(parse_column(word_column), parse_column(label_column))
    reading = Reading(
        nlp,
        format_,
        align,
        overlaps,
        inclusive_ends=inclusive_ends,
        encoding=encoding,
        scheme=scheme,
        columns=columns,
        repair=repair,
        layer=layer,
        feature=feature,
    )
    how = Conversion(reading, to, to_scheme, strict=strict)
    if split:
        shares = parse_shares(split)
        how = replace(how, split=lambda docs: split_documents(docs, shares, seed))
    elif folds:
        how = replace(how, split=lambda docs: make_folds(docs, folds, seed))
    convert(sources, target, how)
