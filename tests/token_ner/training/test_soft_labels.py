"""A teacher's distributions are stored, aligned with other tokens, and learnt from."""

from pathlib import Path

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Model

from token_ner import SoftLabels, TokenNER, copy_gold, set_soft_labels
from token_ner.training.augmentation import create_text_augmenter
from token_ner.training.shuffled_corpus import create_shuffled_corpus
from token_ner.training.soft_labels import get_soft_labels, soft_targets

NLP = spacy.blank("en")
LABELS = ["O", "B-A", "B-B", "I-A", "I-B"]
WORDS = ["Ada", "left", "1997-02-11", "."]
RNG = numpy.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(numpy.ones(5), len(WORDS)).astype("float16")


def taught(labels: list[str] = LABELS) -> Doc:
    doc = Doc(NLP.vocab, words=WORDS, ents=["B-A", "O", "O", "O"])
    set_soft_labels(doc, SoftLabels(labels, PROBABILITIES))
    return doc


def example(words: list[str], doc: Doc) -> Example:
    return Example(Doc(NLP.vocab, words=words), doc)


def aligned(eg: Example, labels: list[str]) -> numpy.ndarray:
    targets = soft_targets(eg, labels)
    assert targets is not None
    return targets


def head() -> TokenNER:
    component = TokenNER(NLP.vocab, Model("unused", lambda *_: ([], lambda _: [])))
    component.cfg["labels"] = ["A", "B"]
    return component


def test_soft_labels_survive_a_file_and_the_corpus_reader(tmp_path: Path) -> None:
    gold = Doc(NLP.vocab, words=["plain"], ents=["O"])
    DocBin(docs=[gold]).to_disk(tmp_path / "gold.spacy")
    DocBin(docs=[taught()], store_user_data=True).to_disk(tmp_path / "taught.spacy")
    corpus = create_shuffled_corpus(tmp_path / "gold.spacy", tmp_path / "taught.spacy")
    found = {len(eg.reference): get_soft_labels(eg.reference) for eg in corpus(NLP)}
    assert found[1] is None
    assert found[4] is not None
    assert list(found[4].labels) == LABELS
    numpy.testing.assert_array_equal(found[4].probabilities, PROBABILITIES)


def test_targets_are_the_teachers_distributions_of_shared_words() -> None:
    targets = aligned(example(WORDS, taught()), LABELS)
    numpy.testing.assert_allclose(targets, PROBABILITIES, atol=2e-3)
    numpy.testing.assert_allclose(targets.sum(axis=1), 1.0)
    # The student splits the date: its parts have no distribution.
    split = ["Ada", "left", "1997", "-", "02", "-", "11", "."]
    targets = aligned(example(split, taught()), LABELS)
    numpy.testing.assert_allclose(targets[[0, 1, 7]], PROBABILITIES[[0, 1, 3]], atol=2e-3)
    assert not targets[2:7].any()
    # The student joins words.
    targets = aligned(example(["Ada", "left", "1997-02-11."], taught()), LABELS)
    assert targets.any(axis=1).tolist() == [True, True, False]


def test_targets_of_labels_in_another_order_and_of_unknown_ones() -> None:
    order = [3, 0, 4, 2, 1]
    targets = aligned(example(WORDS, taught()), [LABELS[i] for i in order])
    numpy.testing.assert_allclose(targets, PROBABILITIES[:, order], atol=2e-3)
    with pytest.raises(ValueError, match="the teacher's labels B-X, I-X are not among O"):
        soft_targets(example(WORDS, taught(["O", "B-A", "B-X", "I-A", "I-X"])), LABELS)


def test_targets_leave_out_whitespace_and_empty_documents() -> None:
    doc = Doc(NLP.vocab, words=["a", "\n"], ents=["O", "O"])
    set_soft_labels(doc, SoftLabels(LABELS, PROBABILITIES[:2]))
    targets = aligned(example(["a", "\n"], doc), LABELS)
    assert targets.any(axis=1).tolist() == [True, False]
    assert soft_targets(example(["a"], Doc(NLP.vocab, words=["a"])), LABELS) is None


def test_loss_agrees_with_torch() -> None:
    """Gold and a teacher's distributions in one batch, with a word without gold."""
    gold = Doc(NLP.vocab, words=["In", "Varnholm", "it"], ents=["O", "B-B", ""])
    examples = [example(WORDS, taught()), example(["In", "Varnholm", "it"], gold)]
    logits = [RNG.normal(size=(n, 5)).astype("float32") for n in (4, 3)]
    loss, gradients = head().get_loss(examples, logits)
    tensor = torch.tensor(numpy.concatenate(logits), dtype=torch.float64, requires_grad=True)
    hard = torch.zeros((2, 5), dtype=torch.float64)
    hard[0, 0] = hard[1, 2] = 1.0
    soft = torch.tensor(PROBABILITIES.astype("float64"))
    targets = torch.cat([soft / soft.sum(dim=1, keepdim=True), hard])
    expected = torch.nn.functional.cross_entropy(tensor[:6], targets)
    expected.backward()
    assert loss == pytest.approx(expected.item())
    assert tensor.grad is not None
    numpy.testing.assert_allclose(numpy.concatenate(gradients), tensor.grad, atol=1e-6)


def test_augmentation_keeps_the_distributions_of_the_words() -> None:
    augmenter = create_text_augmenter(lower=1.0, no_final_punctuation=1.0)
    (eg,) = augmenter(NLP, example(WORDS, taught()))
    assert [token.text for token in eg.predicted] == ["ada", "left", "1997-02-11"]
    numpy.testing.assert_allclose(aligned(eg, LABELS), PROBABILITIES[:3], atol=2e-3)
    (eg,) = create_text_augmenter(raw=1.0)(NLP, example(WORDS, taught()))
    targets = aligned(eg, LABELS)
    assert targets.any(axis=1).tolist() == [True, True, *[False] * 5, True]
    assert get_soft_labels(copy_gold(Doc(NLP.vocab, words=["a"]), ["b"])) is None
