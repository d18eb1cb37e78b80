"""Write the report page of a run: a summary, mistakes, scores and charts in one self-contained
file; and an index of all runs."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import msg
from conll_ner.common.files import atomic_write, read_json
from conll_ner.common.training_log import read_log
from conll_ner.evaluation.report_page.error_browser import (
    DocumentView,
    MistakeView,
    make_views,
    sort_by_confidence,
)
from conll_ner.evaluation.report_page.index import find_runs, render_index
from conll_ner.evaluation.report_page.page import read_split, render_page
from conll_ner.evaluation.runs import read_metrics


@command
def main(
    metrics: Annotated[Path, typer.Argument(help="JSON file that evaluate wrote")],
    output: Annotated[Path, typer.Argument(help="HTML file to write"), WRITES],
    predictions: Annotated[Path, typer.Option(help="Folder that evaluate --predictions wrote")],
    log: Annotated[Path | None, typer.Option(help="log.jsonl of the training")] = None,
    robustness: Annotated[Path | None, typer.Option(help="JSON file that robustness wrote")] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Also write this HTML file: it compares the runs whose metrics are in its folder"
        ),
        WRITES,
    ] = None,
) -> None:
    """Write the report page of a run: a summary, mistakes, scores with confidence intervals,
    charts."""
    run = read_metrics(metrics)
    rows = read_log(log) if log else []
    variants = read_json(robustness, "run robustness first") if robustness else None
    mistakes: list[MistakeView] = []
    documents: list[DocumentView] = []
    for name, scores in run["splits"].items():
        views = make_views(name, *read_split(name, scores, predictions), scores["sha256"])
        mistakes += views[0]
        documents += views[1]
    page = render_page(run, rows, variants, sort_by_confidence(mistakes), documents)
    with atomic_write(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    size = output.stat().st_size / 1024**2
    msg.good(f"{output}: {len(mistakes):,} mistakes, {size:.1f} MiB")
    if index:
        runs = find_runs(index.parent)
        with atomic_write(index) as temporary:
            temporary.write_text(render_index(runs, index.parent), encoding="utf-8")
        msg.good(f"{index}: {len(runs)} runs")
