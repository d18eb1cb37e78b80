"""Annotate Parquet files of any size on a Ray cluster, partition by partition."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from thinc.util import gpu_is_available

from conll_ner.common.command import READS, Writes, command
from conll_ner.common.console import EXIT_REJECTED, InputError, first_line, msg
from conll_ner.common.progress import show_progress
from conll_ner.prediction.annotating import load_for_annotation
from conll_ner.prediction.cluster.driver import annotate_partitions, check_address
from conll_ner.prediction.cluster.output import (
    check_rows,
    fingerprint_job,
    finish_output,
    prepare_output,
    resolve_target,
)
from conll_ner.prediction.cluster.partitions import Job, Partition, list_partitions


def make_job(
    pipeline: str,
    source: str,
    output: str,
    text_field: str,
    threshold: float | None,
    labels: Sequence[str],
    gpus: float,
) -> Job:
    """RETURNS (Job): The settings of the workers, with absolute paths.
    RAISES (InputError): If a worker couldn't load the pipeline, before a cluster starts."""
    if Path(pipeline).exists():
        pipeline = str(Path(pipeline).resolve())
    load_for_annotation(pipeline, "cpu", threshold, labels)
    target, atomic = resolve_target(output)
    return Job(
        pipeline=pipeline,
        device="0" if gpus else "cpu",  # Ray shows a worker only its own GPUs
        threshold=threshold,
        labels=list(labels),
        text_field=text_field,
        source=source if "://" in source else str(Path(source).resolve()),
        target=target,
        atomic=atomic,
    )


def run_job(
    job: Job, partitions: Sequence[Partition], workers: int, gpus: float, address: str
) -> tuple[Counter[str], Counter[str]]:
    """Annotate all partitions, with a progress bar. If interrupted, exit with code 130.

    RETURNS (tuple[Counter[str], Counter[str]]): The numbers of rows, words, mentions and rejected
        rows, and the words and seconds of the partitions that this run annotated.
    RAISES (RuntimeError): Unless every partition was annotated exactly once with all its rows.
    """
    totals: Counter[str] = Counter()
    names: Counter[str] = Counter()
    new: Counter[str] = Counter()
    try:
        with show_progress("words") as progress:
            for counts in annotate_partitions(job, partitions, workers, gpus, address):
                names[counts.pop("name")] += 1
                totals.update(counts)
                new.update({key: counts[key] for key in ("words", "seconds") if counts["new"]})
                progress.update(counts["words"])
    except KeyboardInterrupt:
        print(f"Interrupted. {job.target} is kept: continue with --resume", file=sys.stderr)
        sys.exit(130)
    check_rows(partitions, names, totals["rows"])
    return totals, new


def report_totals(
    output: str, totals: Counter[str], new: Counter[str], seconds: float, unit: str
) -> None:
    """Print the totals of a complete run. If rows were rejected, exit with code 3.

    seconds (float): Wall-clock seconds of this run.
    unit (str): "core" or "GPU".
    """
    msg.good(
        f"{output}: {totals['rows']:,} rows, {totals['words']:,} words, "
        f"{totals['mentions']:,} mentions, {new['words'] / seconds:,.0f} words/s, "
        f"{new['words'] / max(new['seconds'], 1e-9):,.0f} per second of a {unit}"
    )
    if totals["rejected"]:
        msg.warn(f"{totals['rejected']:,} rows rejected; the reasons are in the column `rejected`")
        sys.exit(EXIT_REJECTED)


@command
def main(
    pipeline: Annotated[
        str,
        typer.Argument(help="Installed package, or folder at the same path on every machine"),
        READS,
    ],
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Parquet file or folder; path or URI"), READS
    ],
    output: Annotated[str, typer.Argument(help="New or empty folder; path or URI"), Writes("any")],
    text_field: Annotated[str, typer.Option(help="Column of the text")] = "text",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum confidence score of a mention")
    ] = None,
    labels: Annotated[str, typer.Option(help="Labels to keep, comma-separated; default: all")] = "",
    workers: Annotated[
        int, typer.Option(min=1, help="Maximum number of processes, one core each")
    ] = 1,
    gpus: Annotated[
        float, typer.Option(min=0, max=1, help="GPUs per worker; 0.5 for two workers per GPU")
    ] = 0,
    address: Annotated[
        str, typer.Option(help="local: start a cluster here; auto or HOST:PORT: join one")
    ] = "local",
    resume: Annotated[bool, typer.Option(help="Resume an interrupted run")] = False,
) -> None:
    """Annotate Parquet files of any size on Ray. Adds the columns `mentions` and `rejected` (the
    reason if a row can't be annotated; the exit code is then 3). OUTPUT appears when it is
    complete; on an object store, _SUCCESS is written to it last."""
    check_address(address)
    partitions = list_partitions(source, text_field)
    types = [label for label in labels.split(",") if label]
    job = make_job(pipeline, source, output, text_field, threshold, types, gpus)
    if gpus and address == "local" and not gpu_is_available():
        raise InputError(f"--gpus {gpus:g}: torch finds no GPU on this machine")
    try:
        prepare_output(output, fingerprint_job(job, partitions), resume)
    except OSError as error:
        raise InputError(f"{output} can't be written: {first_line(error)}") from None
    start = time.perf_counter()
    totals, new = run_job(job, partitions, workers, gpus, address)
    seconds = time.perf_counter() - start
    finish_output(output)
    report_totals(output, totals, new, seconds, "GPU" if gpus else "core")
