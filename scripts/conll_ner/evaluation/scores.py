"""Print metrics as a Markdown table, and optionally write it to a file."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import msg
from conll_ner.evaluation.runs import read_run
from conll_ner.evaluation.tables import format_results, format_table, replace_marked_block


@command
def main(
    metrics: Annotated[list[Path], typer.Argument(help="JSON files that evaluate wrote")],
    output: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose marked block is replaced by the table"),
        WRITES,
    ] = None,
) -> None:
    """Print the scores of one or more runs as a Markdown table."""
    runs = list(map(read_run, metrics))
    print(format_table(runs))
    if output is not None:
        replace_marked_block(output, format_results(runs))
        msg.good(f"{output}: results of {', '.join(run['name'] for run in runs)}")
