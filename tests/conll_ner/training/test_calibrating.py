"""Fits are correct: against the generating function, scikit-learn's optimum and scipy's tests."""

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import log_loss
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.evaluation.calibration_error import ScoredMentions
from conll_ner.training.calibrating import (
    fit_on_documents,
    fit_platt,
    negative_log_likelihood,
)
from tests.conll_ner.evaluation.test_calibration_error import plain, scored
from token_ner import Calibration, log_odds, text_key

VOCAB = spacy.blank("en").vocab
pairs = st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=2, max_size=60).map(
    lambda rows: tuple(numpy.array(column) for column in zip(*rows, strict=True))
)


def mentions(scores: numpy.ndarray, right: numpy.ndarray) -> ScoredMentions:
    return ScoredMentions(scores, right, ["w"] * len(scores))


def sample(n: int, slope: float, intercept: float) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Scores of which calibrated ones are the probabilities of being correct."""
    rng = numpy.random.default_rng(0)
    scores = rng.beta(4, 1, n)
    return scores, rng.random(n) < Calibration(slope, intercept).apply(scores, ())


def test_fit_finds_the_function_that_the_data_come_from() -> None:
    fitted = fit_platt(mentions(*sample(200_000, 0.7, -0.9)))
    assert fitted[:2] == pytest.approx((0.7, -0.9), abs=0.03)


def test_fit_finds_the_offset_of_unseen_mentions() -> None:
    scores, right = sample(100_000, 0.7, -0.2)
    _, wrong = sample(100_000, 0.7, -1.2)
    every = ScoredMentions(
        numpy.tile(scores, 2), numpy.concatenate([right, wrong]), ["A"] * 100_000 + ["B"] * 100_000
    )
    fitted = fit_platt(every, frozenset({text_key("a")}))
    assert fitted[:3] == pytest.approx((0.7, -0.2, -1.0), abs=0.05)
    for seen in (frozenset[int](), frozenset({text_key("a"), text_key("b")})):
        assert fit_platt(every, seen).unseen == 0  # all are alike, so there is nothing to fit


@settings(deadline=None)
@given(pairs)
def test_fit_is_the_maximum_of_the_likelihood(
    data: tuple[numpy.ndarray, numpy.ndarray],
) -> None:
    """Platt's targets; the optimum by scipy's general minimizer."""
    scores, right = data
    n = int(right.sum())
    targets = numpy.where(right, (n + 1) / (n + 2), 1 / (len(right) - n + 2))

    def loss(values: numpy.ndarray) -> float:
        odds = values[0] * log_odds(scores) + values[1]
        return float((numpy.logaddexp(0, odds) - targets * odds).mean())

    best = minimize(loss, [1.0, 0.0], method="BFGS").fun
    assert loss(numpy.array(fit_platt(mentions(scores, right))[:2])) <= best + 1e-4


def test_fit_stays_finite_if_all_mentions_are_correct() -> None:
    scores = numpy.array([0.5, 0.9, 0.99])
    fitted = fit_platt(mentions(scores, numpy.array([True] * 3)))
    assert numpy.isfinite(fitted[:2]).all()
    assert fitted.apply(scores, ()).mean() == pytest.approx(4 / 5, abs=0.01)  # (n + 1) / (n + 2)


@given(pairs)
def test_likelihood_agrees_with_scikit_learn(
    data: tuple[numpy.ndarray, numpy.ndarray],
) -> None:
    scores, right = data
    expected = log_loss(right, scores, labels=[False, True])
    assert negative_log_likelihood(scores, right) == pytest.approx(expected)


def documents(
    scores: numpy.ndarray, right: numpy.ndarray, word: str = "w"
) -> tuple[list[Doc], list[Doc]]:
    gold = [plain("B-A" if is_right else "B-B", word) for is_right in right]
    return gold, [scored("B-A", [float(score)], word) for score in scores]


def test_overconfident_scores_are_calibrated() -> None:
    fit = fit_on_documents(*documents(*sample(3000, 0.7, -0.9)))
    assert fit.calibration is not None
    before, after = fit.likelihoods
    assert after < before


def test_seen_mentions_are_used_where_they_help_on_held_out_documents() -> None:
    gold, predicted = documents(*sample(3000, 0.7, -0.9))
    seen = frozenset({text_key("w")})
    assert fit_on_documents(gold, predicted, seen) == fit_on_documents(gold, predicted)
    scores, right = sample(3000, 0.7, -0.2)
    _, wrong = sample(3000, 0.7, -2.2)
    gold_unseen, predicted_unseen = documents(scores, wrong, word="v")
    gold, predicted = documents(scores, right)
    fit = fit_on_documents(gold + gold_unseen, predicted + predicted_unseen, seen)
    assert fit.calibration is not None
    assert fit.calibration.seen == seen
    assert fit.calibration.unseen == pytest.approx(-2, abs=0.2)


def test_calibrated_scores_stay_as_they_are() -> None:
    """A fit on one half of so few documents is worse on the other half than no fit."""
    scores, right = sample(40, 1.0, 0.0)
    fit = fit_on_documents(*documents(scores, right))
    assert fit.calibration is None
    before, after = fit.likelihoods
    assert before <= after
    assert before == pytest.approx(negative_log_likelihood(scores, right))


def test_fit_needs_mentions_in_both_halves() -> None:
    with pytest.raises(InputError, match="too few predicted mentions"):
        fit_on_documents([plain("B-A"), plain("O")], [scored("B-A", [0.5]), plain("O")])
