"""Load test of the service, in alternation with `predict` on the same texts."""

import statistics
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from conll_ner.benchmarking.service_load import LoadResult, alternate_with_predict
from conll_ner.common.command import command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device, Pipeline, TextField
from conll_ner.data.formats.annotated import Issue
from conll_ner.prediction.records import list_files, read_records

MAX_TEXTS = 10_000  # texts that are read from the input, and sent repeatedly
COLUMNS = ("serve words/s", "predict words/s", "ratio", "requests", "p50 ms", "p99 ms")


def format_round(result: LoadResult, predict_speed: float) -> tuple[str, ...]:
    """Format a row of the table.

    predict_speed (float): Words per second of `predict`.
    RETURNS (tuple[str, ...]): The values of COLUMNS.
    """
    # The last one is repeated because quantiles() needs two values.
    quantiles = statistics.quantiles([*result.latencies, result.latencies[-1]], n=100)
    return (
        f"{result.words_per_second:,.0f}",
        f"{predict_speed:,.0f}",
        f"{result.words_per_second / predict_speed:.2f}",
        f"{len(result.latencies):,}",
        f"{1000 * quantiles[49]:,.0f}",
        f"{1000 * quantiles[98]:,.0f}",
    )


@command
def main(
    pipeline: Pipeline,
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="File or folder of texts, in any format of predict"),
    ],
    clients: Annotated[
        int, typer.Option(min=1, help="Number of concurrent clients; requests have one text")
    ] = 64,
    seconds: Annotated[
        float, typer.Option(min=1, help="Seconds per turn, for the service and for predict")
    ] = 20.0,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of turns, for the service and for predict")
    ] = 3,
    text_field: TextField = "text",
    device: Device = "auto",
) -> None:
    """Start a service, send it texts from many clients, and alternate with predict on the same
    texts. The exit code is 1 if any response isn't 200."""
    items = read_records(list_files(source, None), text_field)
    texts = [item.text for item in islice(items, MAX_TEXTS) if not isinstance(item, Issue)]
    if not texts:
        raise InputError(f"{source} contains no texts")
    results = list(alternate_with_predict(pipeline, texts, clients, seconds, rounds, device))
    msg.table(
        [format_round(*result) for result in results],
        header=COLUMNS,
        divider=True,
        aligns=["r"] * len(COLUMNS),
    )
    responses = sum((result.responses for result, _ in results), Counter())
    if set(responses) != {"200"}:
        raise InputError(f"not all responses were 200: {dict(responses)}")
    ratio = statistics.median(result.words_per_second / speed for result, speed in results)
    msg.good(
        f"{clients} clients, {responses['200']:,} requests, no error; the service reaches "
        f"{ratio:.2f} of predict's words/s (median of {rounds} rounds)"
    )
