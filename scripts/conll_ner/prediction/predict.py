"""Annotate files of any size. The work is saved in parts, so an interrupted run can be resumed."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import Writes, command
from conll_ner.common.console import InputError
from conll_ner.common.files import partial_path
from conll_ner.common.options import Device, Pipeline, Processes, Resume, TextField, WholeFiles
from conll_ner.prediction.outputs import FORMATS as OUTPUT_FORMATS
from conll_ner.prediction.parts import Job, fingerprint_run
from conll_ner.prediction.records import FORMATS as INPUT_FORMATS
from conll_ner.prediction.records import REJECTS_SUFFIX, list_files, read_records
from conll_ner.prediction.running import run_job


@command
def main(
    pipeline: Pipeline,
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="File, folder, or - for standard input")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=f"File: {', '.join(OUTPUT_FORMATS)}"),
        Writes(lists=(REJECTS_SUFFIX,)),
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="text (one per line), jsonl, csv or parquet; default: by suffix"
        ),
    ] = None,
    text_field: TextField = "text",
    whole_files: WholeFiles = False,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum confidence score of a mention")
    ] = None,
    candidates: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1,
            help="Also write all spans with at least this score to .jsonl, .parquet or .spacy",
        ),
    ] = None,
    labels: Annotated[str, typer.Option(help="Labels to keep, comma-separated; default: all")] = "",
    processes: Processes = 1,
    device: Device = "auto",
    resume: Resume = False,
) -> None:
    """Annotate any number of texts. Invalid records are written to OUTPUT.rejects.jsonl, and the
    exit code is then 3. An interrupted run keeps its work in OUTPUT.partial; --resume continues it,
    with the same output as an uninterrupted run."""
    if output.suffix not in OUTPUT_FORMATS:
        raise InputError(f"{output} must end in one of {', '.join(OUTPUT_FORMATS)}")
    known = sorted(set(INPUT_FORMATS.values()))
    if format_ not in (None, *known):
        raise InputError(f"--format {format_} is not one of {', '.join(known)}")
    files = list_files(source, format_)
    types = [label for label in labels.split(",") if label]
    options = {
        "format": format_,
        "text_field": text_field,
        "whole_files": whole_files,
        "threshold": threshold,
        "candidates": candidates,
        "labels": types,
    }
    least, written = (threshold, candidates), OUTPUT_FORMATS[output.suffix]
    job = Job(pipeline, device, least, tuple(types), partial_path(output), written)
    run_job(
        job,
        fingerprint_run(pipeline, files, options),
        read_records(files, text_field, format_, whole_files=whole_files),
        output,
        processes=processes,
        resume=resume,
    )
