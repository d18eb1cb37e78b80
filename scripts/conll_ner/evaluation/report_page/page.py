"""Render the report page of a run: scores, charts and mistakes in one self-contained file."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from spacy.vocab import Vocab

import token_ner  # noqa: F401  to register ent._.score
from conll_ner.common.console import InputError
from conll_ner.common.files import sha256
from conll_ner.common.training_log import read_log
from conll_ner.data.docs import read_docs, read_gold
from conll_ner.evaluation.mistakes import KINDS
from conll_ner.evaluation.promises import format_share
from conll_ner.evaluation.report_page.charts import (
    STYLE,
    Curve,
    draw_confusion,
    draw_reliability,
    draw_robustness,
    draw_thresholds,
    draw_training,
    draw_types,
    to_svg,
)
from conll_ner.evaluation.report_page.error_browser import DocumentView, MistakeView

TEMPLATE = "page.html.jinja"
SUSPECT_SCORE = 0.95  # mistakes with at least this score may be errors in the gold annotation


def read_split(name: str, scores: dict[str, Any], predictions: Path) -> tuple[list[Any], list[Any]]:
    """RETURNS (tuple[list[Doc], list[Doc]]): The gold and predicted docs of a split.
    RAISES (InputError): If they are missing or aren't the ones that were scored."""
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
        raise InputError(f"{path} doesn't match {gold_path}; run evaluate again")
    return gold, predicted


def read_curve(path: Path) -> Curve:
    """RETURNS (Curve): Seconds of training, mean loss per step and dev F1 at each evaluation.
    RAISES (InputError): If the file isn't a training log."""
    return [(row.training_seconds, row.loss or 0.0, row.f1) for row in read_log(path)]


def make_charts(
    metrics: dict[str, Any], curve: Curve, robustness: dict[str, Any] | None
) -> dict[str, Figure]:
    """RETURNS (dict[str, Figure]): The charts by name, which is also the name of the PNG file."""
    splits = metrics["splits"]
    with rc_context(STYLE):
        charts = {"types": draw_types(splits)}
        for name, scores in splits.items():
            charts[f"{name}-confusion"] = draw_confusion(
                scores["confusion"], f"{name}: confusion of types"
            )
            calibration = scores["calibration"]
            if calibration is None:
                continue
            error = 100 * calibration["expected_calibration_error"]
            charts[f"{name}-reliability"] = draw_reliability(
                calibration, f"{name}: calibration (ECE {error:.1f} %)"
            )
            charts[f"{name}-thresholds"] = draw_thresholds(
                calibration, f"{name}: precision, recall, F1 by threshold"
            )
        if curve:
            charts["training"] = draw_training(curve)
        if robustness:
            charts["robustness"] = draw_robustness(robustness)
    return charts


def list_variants(robustness: dict[str, dict[str, Any]] | None) -> list[str]:
    """RETURNS (list[str]): The names of the shares that robustness wrote."""
    first = next(iter(robustness.values())) if robustness else {}
    return [name for name, value in first.items() if isinstance(value, float)]


def list_promises(splits: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): A row for each split, form of the text, and promise."""
    return [
        {"split": split, "text": text, "kind": kind, **row, "share": format_share(row["share"])}
        for split, scores in splits.items()
        for text, found in scores.get("promises", {}).items()
        for kind, row in found.items()
    ]


def percent(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def render_page(
    metrics: dict[str, Any],
    charts: dict[str, Figure],
    mistakes: list[MistakeView],
    documents: list[DocumentView],
) -> str:
    """RETURNS (str): The page. Text is escaped, but not HTML of displaCy or SVG of matplotlib."""
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
        promises=list_promises(metrics["splits"]),
        variants=list_variants(metrics["robustness"]),
        types=sorted({type_ for mistake in mistakes for type_ in mistake.types}),
        suspect_score=SUSPECT_SCORE,
    )
