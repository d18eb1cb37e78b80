"""Annotate Parquet of any size on a Ray cluster, partition by partition."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from cluster.driver import annotate_partitions, check_address
from cluster.output import check_rows, finish_output, identify_run, prepare_output, target_of
from cluster.partitions import Job, Partition, first_line, list_partitions
from common.console import InputError, exit_on_input_error, msg
from texts.annotating import load_for_annotation
from texts.records import SOME_REJECTED


def run_job(
    job: Job, partitions: Sequence[Partition], workers: int, gpus: float, address: str
) -> tuple[Counter[str], Counter[str]]:
    """Annotate all partitions, with a progress bar.

    RETURNS (tuple[Counter, Counter]): Rows, words, mentions and rejected rows in total, and the
        words and seconds of the partitions that this run annotated.
    RAISES (RuntimeError): Unless every partition was done exactly once with all its rows.
    """
    totals: Counter[str] = Counter()
    names: Counter[str] = Counter()
    new: Counter[str] = Counter()
    with tqdm(unit=" words", unit_scale=True, disable=None) as progress:
        for counts in annotate_partitions(job, partitions, workers, gpus, address):
            names[counts.pop("name")] += 1
            totals.update(counts)
            new.update({key: counts[key] for key in ("words", "seconds") if counts["new"]})
            progress.update(counts["words"])
    check_rows(partitions, names, totals["rows"])
    return totals, new


def main(
    pipeline: Annotated[
        str, typer.Argument(help="Installed package, or folder; the same on each machine")
    ],
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Parquet file, folder, or URI")],
    output: Annotated[str, typer.Argument(help="Folder or URI; new or empty")],
    text_field: Annotated[str, typer.Option(help="Column of the text")] = "text",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum score of a mention")
    ] = None,
    labels: Annotated[str, typer.Option(help="Types to keep, comma-separated; default: all")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes with one core each")] = 1,
    gpus: Annotated[
        float, typer.Option(min=0, max=1, help="GPUs per worker; fractions share one")
    ] = 0,
    address: Annotated[
        str, typer.Option(help="local starts a cluster; auto or HOST:PORT joins one")
    ] = "local",
    resume: Annotated[bool, typer.Option(help="Resume an interrupted run")] = False,
) -> None:
    """Annotate Parquet of any size on Ray. Adds the columns `mentions` and `rejected` (the reason
    why there are none); if any row is rejected, the exit code is 3. OUTPUT appears when it is
    complete; on an object store it is complete when it contains _SUCCESS."""
    with exit_on_input_error():
        check_address(address)
        partitions = list_partitions(source, text_field)
        pipeline = str(Path(pipeline).resolve()) if Path(pipeline).exists() else pipeline
        source = source if "://" in source else str(Path(source).resolve())
        types = [label for label in labels.split(",") if label]
        # Errors of the pipeline show before the cluster starts.
        load_for_annotation(pipeline, "cpu", threshold, types)
        if gpus and address == "local" and not torch.cuda.is_available():
            raise InputError(f"--gpus {gpus:g}: torch finds no GPU on this machine")
        job = Job(
            pipeline,
            "0" if gpus else "cpu",  # a worker sees its own GPUs only
            threshold,
            types,
            text_field,
            source,
            *target_of(output),
        )
        try:
            prepare_output(output, identify_run(job, partitions), resume)
        except OSError as error:
            raise InputError(f"{output} can't be written: {first_line(error)}") from None
        start = time.perf_counter()
        try:
            totals, new = run_job(job, partitions, workers, gpus, address)
        except KeyboardInterrupt:
            print(f"Interrupted. {job.target} is kept: continue with --resume", file=sys.stderr)
            sys.exit(130)
        seconds = time.perf_counter() - start
        unit = "GPU" if gpus else "core"
        finish_output(output)
        msg.good(
            f"{output}: {totals['rows']:,} rows, {totals['words']:,} words, "
            f"{totals['mentions']:,} mentions, {new['words'] / seconds:,.0f} words/s, "
            f"{new['words'] / max(new['seconds'], 1e-9):,.0f} per second of a {unit}"
        )
        if totals["rejected"]:
            msg.warn(f"{totals['rejected']:,} rows rejected, with reasons in `rejected`")
            sys.exit(SOME_REJECTED)


if __name__ == "__main__":
    typer.run(main)
