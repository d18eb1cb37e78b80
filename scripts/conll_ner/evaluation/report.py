"""Write the report page of a run: scores, charts and mistakes in one self-contained file."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import WRITES, WRITES_FOLDER, command
from conll_ner.common.console import msg
from conll_ner.common.files import atomic_write, read_json
from conll_ner.evaluation.report_page.charts import to_png
from conll_ner.evaluation.report_page.error_browser import (
    DocumentView,
    MistakeView,
    make_views,
    sort_by_confidence,
)
from conll_ner.evaluation.report_page.page import make_charts, read_curve, read_split, render_page
from conll_ner.evaluation.runs import read_metrics


@command
def main(
    metrics: Annotated[Path, typer.Argument(help="JSON file that evaluate wrote")],
    output: Annotated[Path, typer.Argument(help="HTML file to write"), WRITES],
    predictions: Annotated[Path, typer.Option(help="Folder that evaluate --predictions wrote")],
    log: Annotated[Path | None, typer.Option(help="log.jsonl of the training")] = None,
    robustness: Annotated[Path | None, typer.Option(help="JSON file that robustness wrote")] = None,
    charts: Annotated[
        Path | None, typer.Option(help="Folder to write the charts to, as PNG"), WRITES_FOLDER
    ] = None,
) -> None:
    """Write the report page of a run: scores with confidence intervals, charts, mistakes."""
    run = read_metrics(metrics)
    curve = read_curve(log) if log else []
    variants = read_json(robustness, "run robustness first") if robustness else None
    mistakes: list[MistakeView] = []
    documents: list[DocumentView] = []
    for name, scores in run["splits"].items():
        views = make_views(name, *read_split(name, scores, predictions), scores["sha256"])
        mistakes += views[0]
        documents += views[1]
    figures = make_charts(run, curve, variants)
    page = render_page(
        run | {"robustness": variants}, figures, sort_by_confidence(mistakes), documents
    )
    with atomic_write(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if charts:
        with atomic_write(charts) as folder:
            folder.mkdir()
            for name, figure in figures.items():
                (folder / f"{name}.png").write_bytes(to_png(figure))
    size = output.stat().st_size / 1024**2
    msg.good(f"{output}: {len(mistakes):,} mistakes, {size:.1f} MiB")
