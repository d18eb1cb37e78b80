"""Draw the charts of the report page from the metrics of evaluate."""

import io
from collections.abc import Sequence
from typing import Any

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# About the width of a phone, so that labels stay legible there.
SIZE = (4.2, 3.2)  # inches
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "svg.fonttype": "none",  # keep text as text: smaller, searchable, accessible
    "svg.hashsalt": "report",  # same input, same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # labels with "$" are text
}
NONE = "none"  # row of spurious and column of missed mentions
Curve = Sequence[tuple[float, float, float]]  # seconds, loss, F1


def new_axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    return figure, axes


def draw_types(splits: dict[str, dict[str, Any]]) -> Figure:
    """Draw F1 by type and overall F1 with its 95 % confidence interval, for each split."""
    figure, axes = new_axes("F1 by type (all: with 95 % confidence interval)")
    types = sorted({t for scores in splits.values() for t in scores["conlleval"]["types"]})
    places = numpy.arange(len(types) + 1)
    width = 0.8 / len(splits)
    for i, (name, scores) in enumerate(splits.items()):
        by_type = scores["conlleval"]["types"]
        overall = scores["conlleval"]["overall"]["f1"]
        values = [*(by_type.get(t, {"f1": 0.0})["f1"] for t in types), overall]
        offsets = places + (i - (len(splits) - 1) / 2) * width
        axes.bar(offsets, 100 * numpy.array(values), width, label=name)
        if scores["f1_interval"]:
            low, high = scores["f1_interval"]
            # With few documents, the bootstrap interval may not contain the observed F1.
            ends = [[max(0.0, 100 * (overall - low))], [max(0.0, 100 * (high - overall))]]
            axes.errorbar(offsets[-1:], [100 * overall], ends, color="black", capsize=3)
    axes.set_xticks(places, [*types, "all"])
    axes.set_ylim(0, 118)  # room for the legend
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("F1, %")
    axes.legend(loc="upper left", ncols=len(splits))
    return figure


def draw_confusion(confusion: dict[str, Any], title: str) -> Figure:
    """Draw the confusion matrix of types; the shade is the share of the row."""
    figure, axes = new_axes(title)
    counts = numpy.array(confusion["counts"])
    shares = counts / numpy.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in numpy.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color)
    names = [*confusion["types"], NONE]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"predicted ({NONE}: missed)")
    axes.set_ylabel(f"gold ({NONE}: spurious)")
    return figure


def draw_reliability(calibration: dict[str, Any], title: str) -> Figure:
    """Draw the share of correct mentions by score; dot area is proportional to their number."""
    figure, axes = new_axes(title)
    rows = [row for row in calibration["reliability"] if row["mentions"]]
    most = max(row["mentions"] for row in rows)
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot([row["score"] for row in rows], [row["right"] for row in rows], linewidth=1)
    axes.scatter(
        [row["score"] for row in rows],
        [row["right"] for row in rows],
        [10 + 150 * row["mentions"] / most for row in rows],
        alpha=0.7,
    )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("mean score in the bin")
    axes.set_ylabel("share of correct mentions")
    return figure


def draw_thresholds(calibration: dict[str, Any], title: str) -> Figure:
    """Draw precision, recall and F1 by score threshold."""
    figure, axes = new_axes(title)
    rows = calibration["thresholds"]
    for measure in ("precision", "recall", "f1"):
        label = "F1" if measure == "f1" else measure
        values = [100 * row[measure] for row in rows]
        axes.plot([row["threshold"] for row in rows], values, label=label)
    axes.set_xlabel("score threshold")
    axes.set_ylabel("%")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def draw_training(curve: Curve) -> Figure:
    """Draw the loss and dev F1 over training time."""
    figure, axes = new_axes("Training")
    seconds, loss, f1 = zip(*curve, strict=True)
    axes.plot(seconds, loss, color="tab:orange", marker="o", markersize=3)
    axes.set_yscale("log")
    axes.set_xlabel("training time, s")
    axes.set_ylabel("mean loss per step", color="tab:orange")
    right = axes.twinx()
    right.plot(seconds, [100 * value for value in f1], color="tab:blue", marker="o", markersize=3)
    right.set_ylabel("dev F1, %", color="tab:blue")
    right.spines["right"].set_visible(True)
    return figure


def draw_robustness(robustness: dict[str, dict[str, float]]) -> Figure:
    """Draw F1 on raw and perturbed text for each split."""
    figure, axes = new_axes("F1 on raw and perturbed text")
    names = [
        name
        for name, value in next(iter(robustness.values())).items()
        if isinstance(value, float) and name != "unreachable"
    ]
    places = numpy.arange(len(names))
    height = 0.8 / len(robustness)
    for i, (split, scores) in enumerate(robustness.items()):
        offsets = places + (i - (len(robustness) - 1) / 2) * height
        axes.barh(offsets, [100 * scores[name] for name in names], height, label=split)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 130)  # room for the legend
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("F1, %")
    axes.legend(loc="upper right")
    return figure


def to_svg(figure: Figure) -> str:
    """RETURNS (str): An <svg> element to embed in a page."""
    text = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    data = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(data, format="png", dpi=150)
    return data.getvalue()
