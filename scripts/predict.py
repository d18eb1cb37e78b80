"""Annotate files of any size. Work is saved in parts, so an interrupted run can be resumed."""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from common.console import InputError, exit_on_input_error, msg
from texts.annotating import cut_parts
from texts.outputs import FORMATS as OUTPUT_FORMATS
from texts.parts import identify_run, join_parts, prepare_parts, write_parts
from texts.records import FORMATS as INPUT_FORMATS
from texts.records import SOME_REJECTED, list_files, read_records


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="File, folder, or - for standard input")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=f"File: {', '.join(OUTPUT_FORMATS)}")
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="text (one per line), jsonl, csv, parquet; default: by suffix"
        ),
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column of the text")] = "text",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum score of a mention")
    ] = None,
    labels: Annotated[str, typer.Option(help="Types to keep, comma-separated; default: all")] = "",
    processes: Annotated[int, typer.Option(min=1)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, or the number of a GPU")] = "auto",
    resume: Annotated[bool, typer.Option(help="Resume from OUTPUT.partial")] = False,
) -> None:
    """Find the mentions in any number of texts. Records that can't be read go to
    OUTPUT.rejects.jsonl, and the exit code is then 3. An interrupted run leaves OUTPUT.partial:
    --resume continues from there, and the output is the same."""
    with exit_on_input_error():
        if output.suffix not in OUTPUT_FORMATS:
            raise InputError(f"{output} must end in one of {', '.join(OUTPUT_FORMATS)}")
        known = sorted(set(INPUT_FORMATS.values()))
        if format_ not in (None, *known):
            raise InputError(f"--format {format_} is not one of {', '.join(known)}")
        files = list_files(source, format_)
        if output.resolve() in {path.resolve() for path in files}:
            raise InputError(f"{output} is among the input; write somewhere else")
        types = [label for label in labels.split(",") if label]
        options = {"format": format_, "text_field": text_field, "threshold": threshold}
        folder = output.with_name(f"{output.name}.partial")
        prepare_parts(folder, identify_run(pipeline, files, options | {"labels": types}), resume)
        arguments = (pipeline, device, threshold, types, folder, output.suffix)
        parts = cut_parts(read_records(files, text_field, format_))
        totals: Counter[str] = Counter()
        new_words, n_parts = 0, 0
        start = time.perf_counter()
        try:
            with tqdm(unit=" words", unit_scale=True, disable=None) as progress:
                for counts, is_new in write_parts(parts, folder, arguments, processes):
                    totals.update(counts)
                    n_parts += 1
                    new_words += counts["words"] if is_new else 0
                    progress.update(counts["words"])
        except KeyboardInterrupt:
            print(f"Interrupted. {folder} is kept: continue with --resume", file=sys.stderr)
            sys.exit(130)
        except OSError as error:  # a full disk
            raise InputError(f"{error}; {folder} is kept: continue with --resume") from None
        seconds = time.perf_counter() - start
        rejects = join_parts(folder, output, n_parts, totals["rejected"])
        msg.good(
            f"{output}: {totals['texts']:,} texts, {totals['words']:,} words, "
            f"{totals['mentions']:,} mentions, {new_words / seconds:,.0f} words/s"
        )
        if totals["rejected"]:
            msg.warn(f"{totals['rejected']:,} records rejected, with reasons in {rejects}")
            sys.exit(SOME_REJECTED)


if __name__ == "__main__":
    typer.run(main)
