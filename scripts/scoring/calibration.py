"""Calibration of confidence scores, and precision and recall by threshold."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.tokens import Doc

from common.console import InputError
from scoring.mistakes import mention_key

BINS = 10  # of equal width, as in Guo et al. 2017
THRESHOLDS = [round(0.01 * i, 2) for i in range(100)]


def scored_mentions(
    gold: Sequence[Doc], predicted: Sequence[Doc]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """RETURNS (tuple[Array, Array]): The confidence scores of the predicted mentions that have one,
    and whether each mention is correct (exact span and type): (n_scored,) each.
    RAISES (InputError): If a score isn't a probability."""
    scores, right = [], []
    for gold_doc, doc in zip(gold, predicted, strict=True):
        expected = {mention_key(ent) for ent in gold_doc.ents}
        for ent in doc.ents:
            score = ent._.score if ent.has_extension("score") else None
            if score is not None:
                if not 0 <= score <= 1:  # also catches NaN
                    raise InputError(
                        f'the score of "{ent.text}" ({ent.label_}) is {score}: '
                        "ent._.score must be a probability from 0 to 1"
                    )
                scores.append(score)
                right.append(mention_key(ent) in expected)
    return numpy.array(scores, dtype=float), numpy.array(right, dtype=bool)


def reliability(scores: numpy.ndarray, right: numpy.ndarray) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): For each bin of scores: the number of `mentions`, their mean
    `score` and `right`, the share of correct ones. Both are None for an empty bin."""
    bins = numpy.minimum((scores * BINS).astype(int), BINS - 1)
    counts = numpy.bincount(bins, minlength=BINS)
    means = numpy.bincount(bins, weights=scores, minlength=BINS) / numpy.maximum(counts, 1)
    shares = numpy.bincount(bins, weights=right, minlength=BINS) / numpy.maximum(counts, 1)
    return [
        {
            "mentions": int(counts[i]),
            "score": float(means[i]) if counts[i] else None,
            "right": float(shares[i]) if counts[i] else None,
        }
        for i in range(BINS)
    ]


def calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """RETURNS (float): The expected calibration error: the mean gap between the score and the share
    of correct mentions over bins, weighted by number of mentions; 0 is best (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, equation 3)."""
    filled = [row for row in bins if row["mentions"]]
    total = sum(row["mentions"] for row in filled)
    return sum(row["mentions"] * abs(row["score"] - row["right"]) for row in filled) / total  # type: ignore[no-any-return]


def threshold_curve(
    scores: numpy.ndarray, right: numpy.ndarray, n_gold: int
) -> list[dict[str, float]]:
    """RETURNS (list[dict[str, float]]): For each threshold: `precision` (1 if no mention is left),
    `recall` and `f1` of the mentions with at least this score."""
    rows = []
    for threshold in THRESHOLDS:
        kept = scores >= threshold
        n_right, n_kept = int(right[kept].sum()), int(kept.sum())
        rows.append(
            {
                "threshold": threshold,
                "precision": n_right / n_kept if n_kept else 1.0,
                "recall": n_right / max(1, n_gold),
                "f1": 2 * n_right / max(1, n_kept + n_gold),
            }
        )
    return rows


def assess_calibration(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, Any] | None:
    """RETURNS (dict[str, Any] | None): `expected_calibration_error`, `reliability` by bin, and
    `thresholds`; None if no predicted mention has a score."""
    scores, right = scored_mentions(gold, predicted)
    if not len(scores):
        return None
    bins = reliability(scores, right)
    return {
        "expected_calibration_error": calibration_error(bins),
        "reliability": bins,
        "thresholds": threshold_curve(scores, right, sum(len(doc.ents) for doc in gold)),
    }
