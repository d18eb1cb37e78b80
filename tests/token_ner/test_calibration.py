"""The calibration of scores, and its use in the component."""

import json
from collections.abc import Callable

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from token_ner import Calibration, TokenNER
from token_ner.calibration import LEAST, log_odds, sigmoid, text_key

PLATT = Calibration(slope=0.75, intercept=-0.86)
ONE_TWO = frozenset({text_key("one two")})
WITH_SEEN = Calibration(slope=0.75, intercept=-0.86, unseen=-0.5, seen=ONE_TWO)
scores = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(numpy.array)
# Logits of B-A, I-A for "one two three four": two mentions, [0, 2) and [3, 4).
LOGITS = numpy.array(
    [[0.0, 8.0, -3.0], [0.0, -1.0, 6.0], [3.0, 0.0, 0.0], [0.0, 1.0, -2.0]], dtype="float32"
)


@given(scores)
def test_calibration_agrees_with_scipy(values: numpy.ndarray) -> None:
    clipped = numpy.clip(values, LEAST, 1 - LEAST)
    numpy.testing.assert_allclose(log_odds(values), logit(clipped), atol=1e-9)
    numpy.testing.assert_allclose(sigmoid(values * 20 - 10), expit(values * 20 - 10))
    expected = expit(0.75 * logit(clipped) - 0.86)
    numpy.testing.assert_allclose(PLATT.apply(values, ()), expected)


def test_mentions_with_other_texts_than_those_of_training_get_an_offset() -> None:
    values = numpy.array([0.8, 0.8, 0.8])
    texts = ["One  Two", "onetwo", "three"]
    calibrated = WITH_SEEN.apply(values, texts)
    seen, unseen = (expit(0.75 * logit(0.8) + offset) for offset in (-0.86, -0.86 - 0.5))
    numpy.testing.assert_allclose(calibrated, [seen, seen, unseen])
    numpy.testing.assert_allclose(WITH_SEEN.undo(calibrated, texts), values)


@given(st.frozensets(st.integers(0, 2**64 - 1)), st.floats(-2, 2))
def test_settings_are_json_and_give_the_same_function(seen: frozenset[int], unseen: float) -> None:
    calibration = Calibration(0.5, 1.0, unseen, seen)
    settings = json.loads(json.dumps(calibration.to_settings()))
    assert Calibration.from_settings(settings) == calibration


def test_text_keys_are_the_same_on_every_machine() -> None:
    """They are saved in pipelines."""
    assert text_key("New York") == text_key("NEW  YORK") == 9459479283509638577


@given(scores, st.floats(0.2, 3), st.floats(-2, 2))
def test_calibration_keeps_the_order_and_can_be_undone(
    values: numpy.ndarray, slope: float, intercept: float
) -> None:
    calibration = Calibration(slope, intercept)
    calibrated = calibration.apply(values, ())
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert (numpy.diff(calibrated[numpy.argsort(values)]) >= -1e-12).all()
    middle = (calibrated > 1e-5) & (calibrated < 1 - 1e-5) & (values > 1e-5) & (values < 1 - 1e-5)
    undone = calibration.undo(calibrated, ())
    numpy.testing.assert_allclose(undone[middle], values[middle], atol=1e-6)


def forward(
    _: object,
    docs: list[Doc],
    is_train: bool,  # noqa: ARG001
) -> tuple[list[numpy.ndarray], Callable[[object], object]]:
    return [LOGITS for _ in docs], lambda gradient: gradient


@pytest.fixture
def nlp() -> Language:
    """A pipeline whose model gives LOGITS for any four words."""
    nlp = spacy.blank("en")
    model: Model[list[Doc], list[numpy.ndarray]] = Model("fixed", forward)
    model.set_ref("output", model)
    component = TokenNER(nlp.vocab, model)  # type: ignore[arg-type]
    component.cfg["labels"] = ["A"]
    nlp.add_pipe("token_ner")
    nlp._components = [("token_ner", component)]
    return nlp


def mention_scores(nlp: Language) -> dict[str, float]:
    return {ent.text: ent._.score for ent in nlp("one two three four").ents}


def test_calibration_changes_scores_and_not_mentions(nlp: Language) -> None:
    component: TokenNER = nlp.get_pipe("token_ner")  # type: ignore[assignment]
    assert component.calibration is None
    before = mention_scores(nlp)
    assert before.keys() == {"one two", "four"}
    component.cfg["calibration"] = WITH_SEEN.to_settings()
    after = mention_scores(nlp)
    assert after.keys() == before.keys()
    for text, offset in (("one two", -0.86), ("four", -0.86 - 0.5)):
        assert after[text] == pytest.approx(float(expit(0.75 * logit(before[text]) + offset)))
        assert after[text] < before[text]


def test_threshold_applies_to_calibrated_scores(nlp: Language) -> None:
    component: TokenNER = nlp.get_pipe("token_ner")  # type: ignore[assignment]
    before = mention_scores(nlp)
    component.cfg["calibration"] = PLATT.to_settings()
    after = mention_scores(nlp)
    component.cfg["threshold"] = (before["four"] + after["four"]) / 2
    assert mention_scores(nlp).keys() == {"one two"}


def test_calibration_is_saved_with_the_component(nlp: Language) -> None:
    component: TokenNER = nlp.get_pipe("token_ner")  # type: ignore[assignment]
    component.cfg["calibration"] = WITH_SEEN.to_settings()
    other = TokenNER(nlp.vocab, component.model)
    other.from_bytes(component.to_bytes())
    assert other.calibration == WITH_SEEN
