"""Replace the mentions in texts, with all spans that may be mentions."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from conll_ner.common.command import Writes, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import partial_path, read_json
from conll_ner.common.options import Device, Pipeline, Processes, Resume, TextField, WholeFiles
from conll_ner.data.csv_rows import find_delimiter
from conll_ner.data.encodings import text_suffix
from conll_ner.evaluation.promises import read_promises
from conll_ner.prediction.parts import Job, fingerprint_run, pipeline_folder
from conll_ner.prediction.records import (
    FORMATS,
    REJECTS_SUFFIX,
    STDIN,
    decode,
    list_files,
    open_binary,
    read_records,
)
from conll_ner.prediction.redacting import STYLES, TEXT, Target, join_redacted
from conll_ner.prediction.running import run_job

SUFFIXES = (".txt", ".jsonl", ".csv", ".tsv")
DEFAULT_FLOOR = 0.02  # of candidates, for pipelines without a promise (docs/scores.md)


def find_kind(source: Path, output: Path) -> str:
    """RETURNS (str): The format of input and output, a value of FORMATS.
    RAISES (InputError): If they differ, or it isn't text, JSONL or a table."""
    if output.suffix not in SUFFIXES:
        raise InputError(f"{output} must end in one of {', '.join(SUFFIXES)}")
    kind = FORMATS[output.suffix]
    if source.is_dir():
        raise InputError(f"{source} is a folder; redact one file after another")
    if source != STDIN and FORMATS.get(text_suffix(source)) != kind:
        raise InputError(f"{output} must have the format of {source}, which the output keeps")
    return kind


def find_floor(pipeline: str, candidates: float | None) -> float | None:
    """RETURNS (float | None): The least score of a candidate; None for the pipeline's own, with
    which it has promised a recall."""
    if candidates is not None:
        return candidates
    meta = pipeline_folder(pipeline) / "meta.json"
    if meta.is_file() and "recall" in read_promises(read_json(meta, "train it again")):
        return None
    msg.warn(
        f"{pipeline} has promised no recall, so it isn't known how much is missed: all spans with "
        f"a score of at least {DEFAULT_FLOOR:g} are replaced; run spacy ner calibrate --recall"
    )
    return DEFAULT_FLOOR


@command
def main(
    pipeline: Pipeline,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Text, JSONL or CSV file, or -")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File of the same format"),
        Writes(lists=(REJECTS_SUFFIX,)),
    ],
    style: Annotated[
        Literal["label", "number"],
        typer.Option(help="[PER], or [PER 1] for the same name everywhere in a text"),
    ] = "label",
    candidates: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1,
            help="Least score of a span that is replaced",
            show_default="that of the promised recall",
        ),
    ] = None,
    replaced: Annotated[
        Path | None,
        typer.Option(help="JSONL file for what was replaced, with offsets in the old text"),
        Writes(),
    ] = None,
    text_field: TextField = TEXT,
    whole_files: WholeFiles = False,
    labels: Annotated[
        str, typer.Option(help="Labels to replace, comma-separated; default: all")
    ] = "",
    processes: Processes = 1,
    device: Device = "auto",
    resume: Resume = False,
) -> None:
    """Replace all mentions in texts, and all other spans that may be mentions: those from the least
    score on with which the pipeline has promised a recall (spacy ner calibrate --recall). Rejects
    and interruptions are handled as by predict."""
    kind = find_kind(source, output)
    floor = find_floor(pipeline, candidates)
    files = list_files(source, kind)
    types = tuple(label for label in labels.split(",") if label)
    delimiter = "\t" if output.suffix == ".tsv" else ","
    if kind == "csv" and source != STDIN:
        with open_binary(source) as binary, decode(binary) as file:
            delimiter = find_delimiter(file.readline(), delimiter)
    target = Target(text_field if kind != "text" else TEXT, delimiter, replaced, whole_files)
    options = {"style": style, "candidates": floor, "labels": list(types), **target._asdict()}
    run_job(
        Job(pipeline, device, (0.0, floor), types, partial_path(output), STYLES[style]),
        fingerprint_run(pipeline, files, options | {"replaced": str(replaced)}),
        read_records(files, text_field, kind, whole_files=whole_files, keep_text=True),
        output,
        processes=processes,
        resume=resume,
        join=partial(join_redacted, kind, target),
    )
