"""Annotate files of any size. The work is saved in parts, so an interrupted run can be resumed."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from conll_ner.common.command import Writes, command
from conll_ner.common.console import EXIT_REJECTED, InputError, first_line, msg
from conll_ner.common.files import lock, partial_path
from conll_ner.common.options import Device, Pipeline, TextField, WholeFiles
from conll_ner.prediction.annotating import Part, cut_parts
from conll_ner.prediction.outputs import FORMATS as OUTPUT_FORMATS
from conll_ner.prediction.parts import fingerprint_run, join_parts, prepare_parts, write_parts
from conll_ner.prediction.records import FORMATS as INPUT_FORMATS
from conll_ner.prediction.records import REJECTS_SUFFIX, list_files, read_records


def write_all_parts(
    parts: Iterable[Part], folder: Path, arguments: tuple[Any, ...], processes: int
) -> Counter[str]:
    """Annotate and write all parts, with a progress bar. If interrupted, exit with code 130.

    arguments (tuple): The arguments of `texts.parts.make_annotator`.
    RETURNS (Counter[str]): The numbers of parts, texts, words, mentions and rejected records, and
        under "new words" the words that this run annotated.
    RAISES (InputError): If a part can't be annotated or written.
    """
    totals: Counter[str] = Counter()
    try:
        with tqdm(unit=" words", unit_scale=True, disable=None) as progress:
            for counts, is_new in write_parts(parts, folder, arguments, processes):
                totals.update(counts, parts=1)
                totals["new words"] += counts["words"] if is_new else 0
                progress.update(counts["words"])
    except KeyboardInterrupt:
        print(f"Interrupted. {folder} is kept: continue with --resume", file=sys.stderr)
        sys.exit(130)
    except OSError as error:  # such as a full disk
        reason = first_line(error)
        raise InputError(f"{reason}; {folder} is kept: continue with --resume") from None
    return totals


def report_totals(output: Path, totals: Counter[str], rejects: Path, seconds: float) -> None:
    """Print the totals of a complete run. If records were rejected, exit with code 3."""
    msg.good(
        f"{output}: {totals['texts']:,} texts, {totals['words']:,} words, "
        f"{totals['mentions']:,} mentions, {totals['new words'] / seconds:,.0f} words/s"
    )
    if totals["rejected"]:
        msg.warn(f"{totals['rejected']:,} records rejected; the reasons are in {rejects}")
        sys.exit(EXIT_REJECTED)


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
    labels: Annotated[str, typer.Option(help="Labels to keep, comma-separated; default: all")] = "",
    processes: Annotated[int, typer.Option(min=1, help="Number of worker processes")] = 1,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Resume from OUTPUT.partial")] = False,
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
    options = {"format": format_, "text_field": text_field, "threshold": threshold}
    folder = partial_path(output)
    run = fingerprint_run(pipeline, files, options | {"labels": types, "whole_files": whole_files})
    arguments = (pipeline, device, threshold, tuple(types), folder, output.suffix)
    with lock(output):
        prepare_parts(folder, run, resume)
        parts = cut_parts(read_records(files, text_field, format_, whole_files=whole_files))
        start = time.perf_counter()
        totals = write_all_parts(parts, folder, arguments, processes)
        seconds = time.perf_counter() - start
        rejects = join_parts(folder, output, totals["parts"], totals["rejected"])
    report_totals(output, totals, rejects, seconds)
