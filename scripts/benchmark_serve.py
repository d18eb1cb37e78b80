"""Load test of the service, alternating with `predict` on the same texts."""

import statistics
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from benchmarking.service_load import Load, take_turns
from common.console import InputError, exit_on_input_error, msg
from texts.records import Record, list_files, read_records

MAX_TEXTS = 10_000  # that are read of the input; they are sent again and again
COLUMNS = ("serve words/s", "predict words/s", "ratio", "requests", "p50 ms", "p99 ms")


def format_turn(seen: Load, alone: float) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): A row of COLUMNS."""
    # Two at least are wanted.
    quantiles = statistics.quantiles([*seen.latencies, seen.latencies[-1]], n=100)
    return (
        f"{seen.words_per_second:,.0f}",
        f"{alone:,.0f}",
        f"{seen.words_per_second / alone:.2f}",
        f"{len(seen.latencies):,}",
        f"{1000 * quantiles[49]:,.0f}",
        f"{1000 * quantiles[98]:,.0f}",
    )


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Texts, in any format of predict")
    ],
    clients: Annotated[
        int, typer.Option(min=1, help="Concurrent clients, one text per request")
    ] = 64,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a turn")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of both")] = 3,
    text_field: Annotated[str, typer.Option(help="Field or column of the text")] = "text",
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU number")] = "auto",
) -> None:
    """Start a service and send it texts from many clients, alternating with predict on the same
    texts. The exit code is 1 if any response isn't 200."""
    with exit_on_input_error():
        items = read_records(list_files(source, None), text_field)
        texts = [item.text for item in islice(items, MAX_TEXTS) if isinstance(item, Record)]
        if not texts:
            raise InputError(f"{source} contains no texts")
        turns = list(take_turns(pipeline, texts, clients, seconds, rounds, device))
        msg.table(
            [format_turn(*turn) for turn in turns],
            header=COLUMNS,
            divider=True,
            aligns=["r"] * len(COLUMNS),
        )
        answers = sum((seen.answers for seen, _ in turns), Counter())
        if set(answers) != {"200"}:
            raise InputError(f"not all answers were 200: {dict(answers)}")
        ratio = statistics.median(seen.words_per_second / alone for seen, alone in turns)
        msg.good(
            f"{clients} clients, {answers['200']:,} requests, no error; the service has "
            f"{ratio:.2f} of predict's words/s (median of {rounds})"
        )


if __name__ == "__main__":
    typer.run(main)
