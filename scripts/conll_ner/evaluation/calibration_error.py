"""Calibration of confidence scores, and precision and recall by threshold."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.mentions import to_mention, word_mentions
from token_ner import Calibration

BINS = 10  # of equal width, as in Guo et al. 2017
THRESHOLDS = [round(0.01 * i, 2) for i in range(100)]


class ScoredMentions(NamedTuple):
    """The predicted mentions of some documents that have a score.

    scores (Array): Their confidence scores, (n_mentions,).
    right (Array): Whether each is correct (exact span and type), (n_mentions,).
    texts (list[str]): Their texts.
    """

    scores: numpy.ndarray
    right: numpy.ndarray
    texts: list[str]


def scored_mentions(
    gold: Sequence[Doc], predicted: Sequence[Doc], label: str | None = None
) -> ScoredMentions:
    """Collect predicted mentions with scores.

    label (str | None): The predicted type to select; None for all.
    RAISES (InputError): If a score isn't a probability."""
    scores, right, texts = [], [], []
    for gold_doc, doc in zip(gold, predicted, strict=True):
        expected = word_mentions(gold_doc)
        for ent in doc.ents:
            if label is not None and ent.label_ != label:
                continue
            score = ent._.score if ent.has_extension("score") else None
            if score is not None:
                if not 0 <= score <= 1:  # also catches NaN
                    raise InputError(
                        f'the score of "{ent.text}" ({ent.label_}) is {score}: '
                        "ent._.score must be a probability from 0 to 1"
                    )
                scores.append(score)
                right.append(to_mention(ent) in expected)
                texts.append(ent.text)
    return ScoredMentions(numpy.array(scores, dtype=float), numpy.array(right, dtype=bool), texts)


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


def adaptive_calibration_error(scores: numpy.ndarray, right: numpy.ndarray) -> float:
    """RETURNS (float): As `calibration_error`, with bins of equally many mentions. Most scores are
    close to 1, where bins of equal width don't distinguish them (Nixon et al. 2019,
    https://arxiv.org/abs/1904.01685, section 4)."""
    order = numpy.argsort(scores, kind="stable")
    gaps = [
        len(part) * abs(scores[part].mean() - right[part].mean())
        for part in numpy.array_split(order, min(BINS, len(order)))
    ]
    return float(sum(gaps) / len(order))


def measure_calibration(scores: numpy.ndarray, right: numpy.ndarray) -> dict[str, float]:
    """RETURNS (dict[str, float]): Both errors, by bins of equal width and of equal size."""
    return {
        "expected_calibration_error": calibration_error(reliability(scores, right)),
        "adaptive_calibration_error": adaptive_calibration_error(scores, right),
    }


def error_by_type(
    gold: Sequence[Doc], predicted: Sequence[Doc]
) -> dict[str, dict[str, float | int]]:
    """RETURNS (dict[str, dict[str, float | int]]): For each predicted type, both errors and the
    number of `mentions`."""
    found = {ent.label_ for doc in predicted for ent in doc.ents}
    rows: dict[str, dict[str, float | int]] = {}
    for label in sorted(found):
        scores, right, _ = scored_mentions(gold, predicted, label)
        if len(scores):
            rows[label] = {**measure_calibration(scores, right), "mentions": len(scores)}
    return rows


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


def assess_calibration(
    gold: Sequence[Doc], predicted: Sequence[Doc], calibration: Calibration | None = None
) -> dict[str, Any] | None:
    """Assess the confidence scores.

    calibration (Calibration | None): What the scores were calibrated with.
    RETURNS (dict[str, Any] | None): `expected_calibration_error` and `adaptive_calibration_error`;
        `uncalibrated`, the same two before calibration, None if there was none; `types`, the same
        two by type; `reliability` by bin, and `thresholds`. None if no predicted mention has a
        score.
    """
    scores, right, texts = scored_mentions(gold, predicted)
    if not len(scores):
        return None
    before = None
    if calibration is not None:
        before = measure_calibration(calibration.undo(scores, texts), right)
    return {
        **measure_calibration(scores, right),
        "uncalibrated": before,
        "types": error_by_type(gold, predicted),
        "reliability": reliability(scores, right),
        "thresholds": threshold_curve(scores, right, sum(len(doc.ents) for doc in gold)),
    }
