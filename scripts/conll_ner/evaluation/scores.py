"""Print metrics as a Markdown table, and optionally write it to a file."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.console import exit_on_input_error, msg
from conll_ner.evaluation.runs import read_run
from conll_ner.evaluation.tables import format_results, format_table, replace_marked_block


def main(
    metrics: Annotated[list[Path], typer.Argument(help="JSON files that evaluate wrote")],
    output: Annotated[
        Path | None, typer.Option(help="Markdown file whose marked block is replaced by the table")
    ] = None,
) -> None:
    """Print the scores of one or more runs as a Markdown table."""
    with exit_on_input_error():
        runs = list(map(read_run, metrics))
        print(format_table(runs))
        if output is not None:
            replace_marked_block(output, format_results(runs))
            msg.good(f"{output}: results of {', '.join(run['name'] for run in runs)}")
