"""The loss, against torch's, and warnings of a training that learns nothing."""

import warnings

import numpy
import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.token_ner.component_helpers import make_examples
from token_ner import TokenNER
from token_ner.training.loss import (
    HOT,
    PRETRAINED,
    SILENT,
    Watch,
    cross_entropy,
    weigh_columns,
)

COLUMNS = ["O", "B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER"]
MENTION = numpy.eye(7)[[0, 1]]  # targets: O, B-LOC
QUIET, LOUD = numpy.eye(7)[[0, 0]], numpy.eye(7)[[0, 3]]  # logits: O O, O B-PER


@pytest.mark.parametrize("weights", [None, {"LOC": 3.0, "O": 0.5}])
def test_loss_and_gradient_equal_torchs(head: TokenNER, weights: dict[str, float] | None) -> None:
    examples = make_examples(spacy.blank("en", vocab=head.vocab))
    random = numpy.random.default_rng(0)
    scores = [random.normal(size=(len(eg.x), 7)).astype("float32") for eg in examples]
    head.label_weights = weights
    loss, gradients = head.get_loss(examples, scores)
    assert head.word_labels == COLUMNS
    gold = torch.tensor([3, 6, 0, 1, 0] + [0, 2, 5, 0, 0] + [0] * 6)
    logits = torch.tensor(numpy.concatenate(scores), requires_grad=True)
    by_column = torch.tensor([0.5, 3, 1, 1, 3, 1, 1]) if weights else None
    expected = torch.nn.functional.cross_entropy(logits, gold, weight=by_column)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad is not None
    numpy.testing.assert_allclose(numpy.concatenate(gradients), logits.grad.numpy(), atol=1e-7)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_loss_of_a_teachers_distributions_equals_torchs(seed: int, n: int) -> None:
    random = numpy.random.default_rng(seed)
    logits = random.normal(size=(n + 1, 7))
    targets = random.dirichlet(numpy.ones(7), size=n + 1)
    targets[n] = 0.0  # a word without a target
    weights = random.uniform(0.1, 5.0, size=7)
    loss, gradient = cross_entropy(logits, targets, weights)
    tensor = torch.tensor(logits, requires_grad=True)
    gold, by_column = torch.tensor(targets), torch.tensor(weights)
    total = torch.nn.functional.cross_entropy(tensor, gold, by_column, reduction="sum")
    expected = total / (gold * by_column).sum()
    expected.backward()
    assert loss == pytest.approx(expected.item())
    assert tensor.grad is not None
    numpy.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-6)


def test_loss_without_targets_is_zero() -> None:
    loss, gradient = cross_entropy(numpy.ones((3, 7)), numpy.zeros((3, 7)), numpy.ones(7))
    assert loss == 0
    assert not gradient.any()


def test_weights_of_columns_are_those_of_their_type() -> None:
    assert weigh_columns({"PER": 2.0, "O": 0.5}, COLUMNS).tolist() == [0.5, 1, 1, 2, 1, 1, 2]
    assert weigh_columns(None, COLUMNS).tolist() == [1] * 7


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"PER": 0}, "label_weights must be above 0, not 0"),
        ({"PER": -1.0}, "label_weights must be above 0, not -1"),
        ({"PRE": 2.0}, "label_weights has PRE, which isn't a type of it"),
    ],
)
def test_wrong_weights_are_named(weights: dict[str, float], reason: str) -> None:
    nlp = spacy.blank("en")
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None}
    tok2vec |= {"width": 8, "depth": 1, "embed_size": 20, "window_size": 1, "maxout_pieces": 2}  # type: ignore[dict-item]
    tok2vec |= {"subword_features": True}  # type: ignore[dict-item]
    model = {"@architectures": "conll_ner.TokenClassifier.v1", "tok2vec": tok2vec}
    with pytest.raises(ValueError, match=reason):
        nlp.add_pipe("token_ner", config={"model": model, "label_weights": weights})
        nlp.initialize(lambda: make_examples(nlp))


def test_a_training_without_mentions_warns_once() -> None:
    watch = Watch()
    for update in range(2 * SILENT):
        watch.see(QUIET, MENTION)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watch.warn("token_ner", 5e-5, 768)
        assert len(caught) == (update == SILENT - 1)
    assert watch.silent == 2 * SILENT


@pytest.mark.parametrize(("logits", "targets"), [(LOUD, MENTION), (QUIET, QUIET)])
def test_a_training_with_mentions_or_without_gold_does_not_warn(
    logits: numpy.ndarray, targets: numpy.ndarray
) -> None:
    """Neither where a mention was predicted, nor where the documents have none."""
    watch = Watch()
    watch.silent = SILENT - 1
    watch.see(logits, targets)
    watch.warn("token_ner", 5e-5, 768)


def test_a_hot_rate_is_named_for_pretrained_widths() -> None:
    with pytest.warns(UserWarning, match=r"token_ner: the learning rate is 0\.001; pretrained"):
        Watch().warn("token_ner", HOT, PRETRAINED)
    Watch().warn("token_ner", HOT, PRETRAINED - 1)
    Watch().warn("token_ner", 5e-4, PRETRAINED)
