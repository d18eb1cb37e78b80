"""One page on one run: scores, charts, and every mistake. A single file, without network."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from spacy.vocab import Vocab

import token_ner  # noqa: F401  for ent._.score
from charts import (
    STYLE,
    Curve,
    draw_confusion,
    draw_reliability,
    draw_robustness,
    draw_thresholds,
    draw_training,
    draw_types,
    to_png,
    to_svg,
)
from compare import read_metrics
from console import InputError, clear_errors, msg
from convert import read_docs, read_gold
from error_browser import Document, Mistake, browse, by_confidence
from errors import KINDS
from files import sha256, written_aside

TEMPLATE = "report_page.html.jinja"
DOUBTFUL = 0.95  # from this score a mistake is shown as one that may be gold's


def read_split(name: str, scores: dict[str, Any], predictions: Path) -> tuple[list[Any], list[Any]]:
    """RETURNS (tuple[list[Doc], list[Doc]]): A split's gold and predicted docs.
    RAISES (InputError): If they aren't those that were scored."""
    gold_path, path = Path(scores["file"]), predictions / f"{name}.spacy"
    for needed in (gold_path, path):
        if not needed.is_file():
            raise InputError(f"{needed}: no such file; run evaluate again, with --predictions")
    if sha256(gold_path) != scores["sha256"]:
        raise InputError(f"{gold_path} is not the file that was scored; run evaluate again")
    vocab = Vocab()
    gold = read_gold(gold_path, vocab)
    predicted = list(read_docs(path, vocab))
    if [len(doc) for doc in gold] != [len(doc) for doc in predicted]:
        raise InputError(f"{path} is not of {gold_path}; run evaluate again")
    return gold, predicted


def read_curve(path: Path) -> Curve:
    """RETURNS (Curve): Seconds, mean loss of a step and dev F1 at each evaluation, of train.py's
    log or of hf_train.py's.
    RAISES (InputError): If it is neither."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; train writes it")
    curve: list[tuple[float, float, float]] = []
    done = 0  # steps
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "training_seconds" in row:  # of the epoch
                seconds = row["training_seconds"] + (curve[-1][0] if curve else 0.0)
                curve.append((seconds, row["loss"], row["word_f1"]))
            else:
                summed = sum(v for name, v in row["losses"].items() if name != "transformer")
                steps = row["step"] + 1 - done
                curve.append((row["seconds"], summed / steps, row["scores"]["ents_f"]))
                done += steps
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{path}: no log of a training ({error!r})") from None
    return curve


def make_charts(
    metrics: dict[str, Any], curve: Curve, robustness: dict[str, Any] | None
) -> dict[str, Figure]:
    """RETURNS (dict[str, Figure]): By name, which is the PNG's too."""
    splits = metrics["splits"]
    with rc_context(STYLE):
        charts = {"types": draw_types(splits)}
        for name, scores in splits.items():
            charts[f"{name}-confusion"] = draw_confusion(
                scores["confusion"], f"{name}: types taken for each other"
            )
            calibration = scores["calibration"]
            if calibration is None:
                continue
            error = 100 * calibration["expected_calibration_error"]
            charts[f"{name}-reliability"] = draw_reliability(
                calibration, f"{name}: are scores right? ECE {error:.1f} %"
            )
            charts[f"{name}-thresholds"] = draw_thresholds(
                calibration, f"{name}: what a threshold gives"
            )
        if curve:
            charts["training"] = draw_training(curve)
        if robustness:
            charts["robustness"] = draw_robustness(robustness)
    return charts


def list_forms(robustness: dict[str, dict[str, Any]] | None) -> list[str]:
    """RETURNS (list[str]): What robustness.py has a share for."""
    first = next(iter(robustness.values())) if robustness else {}
    return [name for name, value in first.items() if isinstance(value, float)]


def percent(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def render_page(
    metrics: dict[str, Any],
    charts: dict[str, Figure],
    mistakes: list[Mistake],
    documents: list[Document],
) -> str:
    """RETURNS (str): The page. Text is escaped but for what displaCy and matplotlib escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {"percent": percent, "markup": Markup}
    environment.filters.update(filters)
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        charts={name: to_svg(figure) for name, figure in charts.items()},
        mistakes=mistakes,
        documents=documents,
        kinds=KINDS,
        forms=list_forms(metrics["robustness"]),
        types=sorted({type_ for mistake in mistakes for type_ in mistake.types}),
        doubtful=DOUBTFUL,
    )


def main(
    metrics: Annotated[Path, typer.Argument(help="JSON file that evaluate.py wrote")],
    output: Annotated[Path, typer.Argument(help="The page, .html")],
    predictions: Annotated[Path, typer.Option(help="Folder that evaluate.py wrote documents to")],
    log: Annotated[Path | None, typer.Option(help="The training's log.jsonl")] = None,
    robustness: Annotated[Path | None, typer.Option(help="JSON file of robustness.py")] = None,
    charts: Annotated[Path | None, typer.Option(help="Folder for the charts as PNG")] = None,
) -> None:
    """Write a page on a run: scores with intervals, charts, and a browser of its mistakes."""
    with clear_errors():
        run = read_metrics(metrics)
        curve = read_curve(log) if log else []
        if robustness and not robustness.is_file():
            raise InputError(f"{robustness}: no such file; run robustness first")
        forms = json.loads(robustness.read_text(encoding="utf-8")) if robustness else None
        mistakes: list[Mistake] = []
        documents: list[Document] = []
        for name, scores in run["splits"].items():
            found, whole = browse(name, *read_split(name, scores, predictions))
            mistakes += found
            documents += whole
        figures = make_charts(run, curve, forms)
        page = render_page(run | {"robustness": forms}, figures, by_confidence(mistakes), documents)
        with written_aside(output) as aside:
            aside.write_text(page, encoding="utf-8")
        if charts:
            for name, figure in figures.items():
                with written_aside(charts / f"{name}.png") as aside:
                    aside.write_bytes(to_png(figure))
        size = output.stat().st_size / 1024**2
        msg.good(f"{output}: {len(mistakes):,} mistakes, {size:.1f} MiB")


if __name__ == "__main__":
    typer.run(main)
