"""Calibrated scores: a logistic function of a mention's log-odds, fitted on dev (Platt 1999,
"Probabilistic outputs for support vector machines"). Needs numpy only."""

from typing import NamedTuple, cast

import numpy

from .lattice import Array

LEAST = 1e-6  # scores are clipped to [LEAST, 1 - LEAST], so that log-odds are finite


class Calibration(NamedTuple):
    """The fitted function: log-odds of the calibrated score = slope * log-odds + intercept.

    It is increasing, so the order of the mentions stays the same, and it can be inverted.
    """

    slope: float  # above 0
    intercept: float

    def apply(self, scores: Array) -> Array:
        """RETURNS (Array): Calibrated scores, in the shape of the scores."""
        return sigmoid(self.slope * log_odds(scores) + self.intercept)

    def undo(self, scores: Array) -> Array:
        """RETURNS (Array): The scores before calibration, clipped."""
        return sigmoid((log_odds(scores) - self.intercept) / self.slope)


def log_odds(scores: Array) -> Array:
    """RETURNS (Array): log(p / (1 - p)) of the clipped scores."""
    clipped = numpy.clip(scores, LEAST, 1 - LEAST)
    return cast(Array, numpy.log(clipped) - numpy.log1p(-clipped))


def sigmoid(values: Array) -> Array:
    """RETURNS (Array): 1 / (1 + exp(-values))."""
    return cast(Array, 0.5 * (1 + numpy.tanh(0.5 * numpy.asarray(values))))
