"""The charts: places, ticks, and labels that don't collide."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.training_log import LogRow
from conll_ner.evaluation.report_page.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Chart,
    draw_reliability,
    draw_training,
)

LOG = [LogRow(1, 4, 2.0, 1.5, 0.125, 0.25, {}), LogRow(1, 6, 4.0, 3.0, 0.25, 0.5, {})]
LEAST_GAP = 14  # the height of a label


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis(0, 1, 0, 100), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Axis(90, 100, 0, 100), ["90", "92", "94", "96", "98", "100"]),
        (Axis(0, 12_000, 0, 100), ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]),
        (Axis(0.03, 3, 0, 100, log=True), ["0.1", "1"]),
        (Axis(0.2, 0.9, 0, 100, log=True), ["0.2", "0.5"]),
    ],
)
def test_charts_have_round_ticks(axis: Axis, labels: list[str]) -> None:
    assert [tick.text for tick in axis.ticks()] == labels


@given(st.floats(0, 1e6), st.floats(0.01, 1e7))
def test_charts_have_ticks_that_are_apart(low: float, length: float) -> None:
    ticks = Axis(low, low + length, BOTTOM, TOP).ticks()
    places = [tick.at for tick in ticks]
    assert 3 <= len(ticks) <= 9
    assert all(a - b >= LEAST_GAP for a, b in pairwise(places))
    assert all(TOP <= place <= BOTTOM for place in places)


def points(chart: Chart) -> list[tuple[float, float]]:
    (line,) = chart.lines
    return line.points


def test_charts_of_training_have_seconds_f1_and_loss() -> None:
    f1, loss = draw_training(LOG)
    middle = (LEFT + RIGHT) / 2
    assert [x for x, _ in points(f1)] == [middle, RIGHT]
    height = BOTTOM - TOP  # from 20 to 100 %
    assert [y for _, y in points(f1)] == pytest.approx(
        [BOTTOM - height / 16, BOTTOM - height * 3 / 8], abs=0.1
    )
    (_, lower), (_, upper) = points(loss)
    assert BOTTOM > lower > upper > TOP


@pytest.mark.parametrize("loss", [None, 0.0, math.nan, math.inf])
def test_charts_of_training_leave_out_a_loss_that_is_no_number(loss: float | None) -> None:
    rows = [LogRow(1, 1, 0.0, 0.0, loss, 0.0, {})]
    (f1,) = draw_training(rows)
    assert points(f1) == [(LEFT, BOTTOM)]


def test_charts_of_calibration_have_dots_by_the_number_of_mentions() -> None:
    bins = [(0, None, None), (1, 0.5, 0.0), (4, 1.0, 1.0)]
    rows = [dict(zip(("mentions", "score", "right"), row, strict=True)) for row in bins]
    chart = draw_reliability("dev", {"reliability": rows, "expected_calibration_error": 0.1})
    assert points(chart) == [((LEFT + RIGHT) / 2, BOTTOM), (RIGHT, TOP)]
    assert chart.lines[0].radii == [5, 8]
    assert "10.00 %" in chart.note
