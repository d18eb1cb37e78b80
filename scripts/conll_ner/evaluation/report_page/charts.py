"""The charts of the report page: lines in a plane, which the template draws as SVG with the page's
fonts and colours."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from conll_ner.common.training_log import LogRow

# The plane within the SVG, in its units; about as wide as a phone, so that text stays legible.
LEFT, RIGHT, TOP, BOTTOM = 44.0, 350.0, 8.0, 190.0
STEPS = (1, 2, 5)  # ticks are at multiples of these, times a power of ten
MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1"}


class Tick(NamedTuple):
    """A line of the grid: its place in the SVG, and its label."""

    at: float
    text: str


class Line(NamedTuple):
    """A line: its name in the legend, points in the SVG, and their dots' radii, if it has any."""

    name: str
    points: list[tuple[float, float]]
    radii: list[float]


class Chart(NamedTuple):
    name: str
    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    diagonal: bool
    note: str


class Axis(NamedTuple):
    """Places numbers from `low` to `high` between two ends of the plane."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, value = (
            map(math.log10, (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self) -> list[Tick]:
        found = decades(self.low, self.high) if self.log else steps(self.low, self.high)
        return [Tick(self.place(value), f"{value:,.6g}") for value in found]


def steps(low: float, high: float) -> list[float]:
    """RETURNS (list[float]): Four to eight round numbers within a range."""
    unit = 10.0 ** math.floor(math.log10(high - low)) / 10
    step = next(
        step * scale
        for scale in (unit, 10 * unit)
        for step in STEPS
        if (high - low) / (step * scale) <= 8
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """RETURNS (list[float]): Powers of ten within a range; with fewer than two, also others."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), STEPS):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) > 1:
            break
    return found


def draw(
    name: str,
    title: str,
    labels: tuple[str, str],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    lines: dict[str, Sequence[tuple[float, float]]],
    *,
    radii: Sequence[float] = (),
    log: bool = False,
    diagonal: bool = False,
    note: str = "",
) -> Chart:
    """RETURNS (Chart): Of lines, by name.

    labels, ranges: Of the horizontal and the vertical axis.
    radii (Sequence[float]): Of the dots, if the points have any.
    log (bool): Whether the vertical axis is logarithmic.
    diagonal (bool): Also draw a line from the lower left to the upper right corner.
    note (str): Below the title.
    """
    x, y = Axis(*ranges[0], LEFT, RIGHT), Axis(*ranges[1], BOTTOM, TOP, log)
    placed = [
        Line(line, [(x.place(a), y.place(b)) for a, b in points], list(radii))
        for line, points in lines.items()
    ]
    return Chart(name, title, *labels, x.ticks(), y.ticks(), placed, diagonal, note)


def draw_reliability(split: str, calibration: dict[str, Any]) -> Chart:
    """Draw the share of correct mentions by score; dot area is proportional to their number."""
    rows = [row for row in calibration["reliability"] if row["mentions"]]
    most = max(row["mentions"] for row in rows)
    error = 100 * calibration["expected_calibration_error"]
    return draw(
        f"{split}-reliability",
        f"{split}: calibration of the scores",
        ("mean score of the mentions in a bin", "correct"),
        ((0, 1), (0, 1)),
        {"mentions": [(row["score"], row["right"]) for row in rows]},
        radii=[round(2 + 6 * math.sqrt(row["mentions"] / most), 1) for row in rows],
        diagonal=True,
        note=f"calibration error {error:.2f} %; the dashed line has none",
    )


def draw_thresholds(split: str, calibration: dict[str, Any]) -> Chart:
    """Draw precision, recall and F1 by score threshold."""
    rows = calibration["thresholds"]
    least = min(100 * row[measure] for row in rows for measure in MEASURES)
    return draw(
        f"{split}-thresholds",
        f"{split}: scores with a threshold",
        ("least score of a mention", "%"),
        ((0, 1), (min(90, 10 * math.floor(least / 10)), 100)),
        {
            name: [(row["threshold"], 100 * row[measure]) for row in rows]
            for measure, name in MEASURES.items()
        },
    )


def draw_training(log: Sequence[LogRow]) -> list[Chart]:
    """Draw F1 on dev and the loss by training time."""
    end = max(row.training_seconds for row in log) or 1.0
    f1 = [(row.training_seconds, 100 * row.f1) for row in log]
    lowest = min(value for _, value in f1)
    charts = [
        draw(
            "training-f1",
            "training: F1 on dev",
            ("seconds", "%"),
            ((0, end), (min(90, 10 * math.floor(lowest / 10)), 100)),
            {"F1": f1},
            radii=[2.5] * len(f1),
        )
    ]
    known = [row for row in log if row.loss and math.isfinite(row.loss)]
    loss = [(row.training_seconds, row.loss) for row in known if row.loss]
    if loss:
        values = [value for _, value in loss]
        charts.append(
            draw(
                "training-loss",
                "training: mean loss per step",
                ("seconds", "loss"),
                ((0, end), (min(values) / 1.5, max(values) * 1.5)),
                {"loss": loss},
                radii=[2.5] * len(loss),
                log=True,
            )
        )
    return charts


def draw_all(splits: dict[str, dict[str, Any]], log: Sequence[LogRow]) -> list[Chart]:
    """RETURNS (list[Chart]): Of each split whose mentions have scores, and of the training."""
    charts = []
    for split, scores in splits.items():
        if scores["calibration"] is not None:
            charts.append(draw_reliability(split, scores["calibration"]))
            charts.append(draw_thresholds(split, scores["calibration"]))
    return charts + (draw_training(log) if log else [])
