"""Fit the calibration of a pipeline's confidence scores, and a threshold for a wanted precision."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from spacy.tokens import Doc

from common.console import InputError
from scoring.calibration import THRESHOLDS, scored_mentions
from token_ner import Calibration, log_odds

CONFIDENCE = 0.9  # that the precision at the threshold is reached
LEAST_MENTIONS = 100  # above the first threshold that is tested; fewer give wide intervals


class Fit(NamedTuple):
    """A calibration, and how much it helps on documents that it wasn't fitted on.

    calibration (Calibration | None): Fitted on all documents; None if it doesn't help.
    likelihoods (tuple[float, float]): Mean negative log-likelihood of a mention being correct or
        not, by the scores as they are and by calibrated ones, each half of the documents by the
        calibration fitted on the other half.
    """

    calibration: Calibration | None
    likelihoods: tuple[float, float]


def fit_platt(scores: numpy.ndarray, right: numpy.ndarray) -> Calibration:
    """Fit by maximum likelihood, with Platt's targets: (n + 1) / (n + 2) for the n correct mentions
    and 1 / (n + 2) for the others. They keep the fit finite if all mentions are correct.

    scores (Array): Scores before calibration, (n_mentions,).
    right (Array): Whether each mention is correct, (n_mentions,).
    """
    n_right = int(right.sum())
    n_wrong = len(right) - n_right
    targets = numpy.where(right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    # A soft target is a positive example with this weight, and a negative one with the rest.
    features = numpy.tile(log_odds(scores), 2)[:, None]
    labels = numpy.repeat([1, 0], len(scores))
    weights = numpy.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=numpy.inf).fit(features, labels, sample_weight=weights)
    return Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


def negative_log_likelihood(scores: numpy.ndarray, right: numpy.ndarray) -> float:
    """RETURNS (float): The mean over mentions: (n_mentions,) scores, and which are correct."""
    odds = log_odds(scores)
    return float(numpy.logaddexp(0, numpy.where(right, -odds, odds)).mean())


def fit_on_documents(gold: Sequence[Doc], predicted: Sequence[Doc]) -> Fit:
    """Fit on all documents, if a fit on one half of the documents raises the likelihood of the
    other half.

    predicted (Sequence[Doc]): Annotated with scores that aren't calibrated.
    RAISES (InputError): If one half has no mention with a score.
    """
    halves = [scored_mentions(gold[i::2], predicted[i::2]) for i in (0, 1)]
    if not all(len(scores) for scores, _ in halves):
        raise InputError("too few predicted mentions with a score to calibrate; use more documents")
    before = after = 0.0
    total = sum(len(scores) for scores, _ in halves)
    fits = [fit_platt(*half) for half in halves]
    for (scores, right), other in zip(halves, reversed(fits), strict=True):
        share = len(scores) / total
        before += share * negative_log_likelihood(scores, right)
        after += share * negative_log_likelihood(other.apply(scores), right)
    fitted = fit_platt(*(numpy.concatenate(column) for column in zip(*halves, strict=True)))
    helps = after < before and fitted.slope > 0
    return Fit(fitted if helps else None, (before, after))


def find_threshold(scores: numpy.ndarray, right: numpy.ndarray, precision: float) -> float:
    """Find the lowest threshold that reaches a precision with 90 % confidence.

    Thresholds are tested from a high one down until the first failure, so that testing many of them
    doesn't weaken the confidence (fixed-sequence testing, https://arxiv.org/abs/2110.01052, section
    3.1). A test compares the exact lower bound (Clopper and Pearson 1934), which assumes
    independent mentions.

    RAISES (InputError): If the first threshold doesn't reach the precision.
    """
    best = None
    enough = numpy.sort(scores)[-min(LEAST_MENTIONS, len(scores))]
    for threshold in [t for t in reversed(THRESHOLDS) if t <= enough]:
        kept = right[scores >= threshold]
        n_right = int(kept.sum())
        # Clopper-Pearson: the precision at which so many correct mentions have 10 % probability.
        bound = beta.ppf(1 - CONFIDENCE, n_right, len(kept) - n_right + 1) if n_right else 0.0
        if bound < precision:
            break
        best = threshold
    if best is None:
        raise InputError(
            f"precision {precision:g} is not reached with {100 * CONFIDENCE:.0f} % confidence, "
            f"even by the {min(LEAST_MENTIONS, len(scores))} mentions with the highest scores; "
            "ask for less or use more documents"
        )
    return best
