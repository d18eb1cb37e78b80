"""Calibration of confidence scores, by hand and against scikit-learn."""

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.evaluation.calibration_error import (
    BINS,
    adaptive_calibration_error,
    assess_calibration,
    calibration_error,
    reliability,
    scored_mentions,
    threshold_curve,
)
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

VOCAB = spacy.blank("en").vocab


def scored(labels: str, scores: list[float], word: str = "w") -> Doc:
    doc = Doc(VOCAB, words=[word] * len(labels.split()), ents=labels.split())
    rows = zip(doc.ents, scores, strict=True)
    found = [ScoredMention(ent.start, ent.end, ent.label_, score) for ent, score in rows]
    keep_scores(doc, "token_ner", found)
    return doc


def plain(labels: str, word: str = "w") -> Doc:
    return Doc(VOCAB, words=[word] * len(labels.split()), ents=labels.split())


def test_calibration_by_hand() -> None:
    """Two bins: 0.9 to 1 has three mentions, two of them correct, and 0.4 to 0.5 has one correct
    mention. The mention in the second document has the wrong type."""
    gold = [plain("B-A O B-A B-B"), plain("B-A O")]
    predicted = [scored("B-A O B-A B-B", [0.95, 0.92, 0.45]), scored("B-B O", [1.0])]
    found = assess_calibration(gold, predicted)
    assert found is not None
    expected = abs((0.95 + 0.92 + 1.0) - 2) / 4 + abs(0.45 - 1) / 4
    assert found["expected_calibration_error"] == pytest.approx(expected)
    filled = {i: row for i, row in enumerate(found["reliability"]) if row["mentions"]}
    assert filled == {
        4: {"mentions": 1, "score": 0.45, "right": 1.0},
        9: {"mentions": 3, "score": pytest.approx(2.87 / 3), "right": pytest.approx(2 / 3)},
    }
    rows = {row["threshold"]: row for row in found["thresholds"]}
    # Four gold mentions. At a threshold of 0.93, two mentions are left, one of them correct.
    assert rows[0.0] | {"threshold": 0} == {
        "threshold": 0,
        "precision": 0.75,
        "recall": 0.75,
        "f1": 0.75,
    }
    assert rows[0.93]["precision"] == 0.5
    assert rows[0.93]["recall"] == 0.25
    assert rows[0.93]["f1"] == pytest.approx(1 / 3)


def test_calibration_without_scores_is_none() -> None:
    gold = [plain("B-A O")]
    assert assess_calibration(gold, [plain("B-A O")]) is None
    assert assess_calibration(gold, [scored("O O", [])]) is None


mentions = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.booleans()), min_size=1, max_size=50
)


@given(mentions)
def test_calibration_error_is_at_most_the_mean_gap(pairs: list[tuple[float, bool]]) -> None:
    """Gaps cancel within a bin, so the error is at most the mean distance from 0 or 1."""
    scores, right = (numpy.array(column) for column in zip(*pairs, strict=True))
    error = calibration_error(reliability(scores, right))
    assert 0 <= error <= numpy.abs(scores - right).mean() + 1e-9


@given(mentions)
def test_reliability_agrees_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, right = (numpy.array(column) for column in zip(*pairs, strict=True))
    # Move scores to the centers of bins, so that rounding can't change the bin.
    scores = (numpy.floor(scores * BINS) + 0.5) / BINS
    shares, means = calibration_curve(right, scores, n_bins=BINS)
    filled = [row for row in reliability(scores, right) if row["mentions"]]
    assert [row["right"] for row in filled] == pytest.approx(shares.tolist())
    assert [row["score"] for row in filled] == pytest.approx(means.tolist())
    assert sum(row["mentions"] for row in filled) == len(pairs)


@given(mentions)
def test_threshold_curve_agrees_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    """scikit-learn's recall counts only predicted mentions, so the test has no missed ones."""
    pairs = [*pairs, (0.5, True)]  # scikit-learn warns if no mention is correct
    scores, right = (numpy.array(column) for column in zip(*pairs, strict=True))
    scores = numpy.round(scores, 2)
    n_right = int(right.sum())
    rows = {row["threshold"]: row for row in threshold_curve(scores, right, n_right)}
    for precision, recall, threshold in zip(*precision_recall_curve(right, scores), strict=False):
        if threshold in rows:
            assert rows[threshold]["precision"] == pytest.approx(precision)
            assert rows[threshold]["recall"] == pytest.approx(recall)


distinct = st.lists(
    st.tuples(st.floats(0, 1), st.booleans()), min_size=BINS, max_size=60, unique_by=lambda p: p[0]
)


@given(distinct)
def test_adaptive_error_agrees_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    """scikit-learn's bins of equal size hold the same mentions if scores are distinct and their
    number is a multiple of the number of bins."""
    rows = pairs[: len(pairs) // BINS * BINS]
    scores, right = (numpy.array(column) for column in zip(*rows, strict=True))
    order = numpy.argsort(scores)
    ranked = (numpy.arange(len(order)) + 0.5) / len(order)  # quantiles at the same places
    shares, _ = calibration_curve(right[order], ranked, n_bins=BINS, strategy="quantile")
    means = scores[order].reshape(BINS, -1).mean(axis=1)
    expected = numpy.abs(means - shares).mean()
    assert adaptive_calibration_error(scores, right) == pytest.approx(expected)


def test_calibration_error_by_type() -> None:
    gold = [plain("B-A O B-B")]
    found = assess_calibration(gold, [scored("B-A B-B O", [0.9, 0.6])])
    assert found is not None
    assert found["types"] == {
        "A": {
            "expected_calibration_error": pytest.approx(0.1),
            "adaptive_calibration_error": pytest.approx(0.1),
            "mentions": 1,
        },
        "B": {
            "expected_calibration_error": pytest.approx(0.6),
            "adaptive_calibration_error": pytest.approx(0.6),
            "mentions": 1,
        },
    }
    assert found["uncalibrated"] is None


def test_mentions_without_scores_are_ignored() -> None:
    gold = [plain("B-A O"), plain("B-A O")]
    scores, right, texts = scored_mentions(gold, [scored("B-A O", [0.7]), plain("B-A O")])
    assert (scores.tolist(), right.tolist(), texts) == ([0.7], [True], ["w"])


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1])
def test_scores_outside_0_to_1_are_an_error(score: float) -> None:
    with pytest.raises(
        InputError,
        match=r'the score of "w" \(A\) is .*: ent._.score must be a probability from 0 to 1',
    ):
        assess_calibration([plain("B-A")], [scored("B-A", [score])])
