"""The component `token_ner`: training, the loss, labels and settings."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

from tests.token_ner.component_helpers import (
    TEXTS,
    add_backbone,
    make_examples,
    make_trained,
    mentions,
)
from token_ner import TokenNER
from token_ner.training.targets import gold_columns

# --- Learning ---


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
def test_token_ner_learns_a_handful_of_documents(tiny_backbone: Path, scheme: str) -> None:
    nlp, history = make_trained(tiny_backbone, scheme=scheme, learn_rate_factor=2.0)
    assert history[-1]["token_ner"] < 0.01 < history[0]["token_ner"]
    for text, gold in TEXTS:
        doc = nlp(text)
        found = [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
        assert found == gold["entities"]
        assert all(score > 0.9 for *_, score in mentions(doc))
    scores = nlp.evaluate(make_examples(nlp))
    assert scores["ents_f"] == 1.0
    assert scores["ents_per_type"].keys() == {"PER", "LOC", "ORG"}


def test_token_ner_learns_in_spacys_own_batches(tiny_backbone: Path) -> None:
    """A batch of empty documents alone, and among others."""
    nlp, _ = make_trained(tiny_backbone)
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    optimizer = Adam(0.001, use_averages=False)
    for batch in ([empty], [empty, *make_examples(nlp), empty]):
        losses: dict[str, float] = {}
        nlp.update(batch, sgd=optimizer, losses=losses)
        assert numpy.isfinite(losses.get("token_ner", 0.0))


def test_token_ner_same_seed_same_weights(tiny_backbone: Path) -> None:
    logits = []
    for _ in range(2):
        nlp, _ = make_trained(tiny_backbone)
        ner = nlp.get_pipe("token_ner")
        doc = nlp(TEXTS[0][0])
        logits.append(ner.model.predict([doc])[0])  # type: ignore[attr-defined]
    numpy.testing.assert_array_equal(*logits)


def test_token_ner_head_has_a_rate_of_its_own_and_no_decay(tiny_backbone: Path) -> None:
    """With a factor of 0 the head stays; the optimizer's decay is back afterwards."""
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    ner = nlp.add_pipe("token_ner", config={"learn_rate_factor": 0.0})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    output = ner.model.get_ref("output")  # type: ignore[attr-defined]
    before = output.get_param("W").copy()
    optimizer = Adam(0.1, L2=0.5, use_averages=False)
    nlp.update(examples, sgd=optimizer)
    numpy.testing.assert_array_equal(output.get_param("W"), before)
    assert optimizer.L2 == 0.5
    ner.cfg["learn_rate_factor"] = 1.0  # type: ignore[attr-defined]
    nlp.update(examples, sgd=optimizer)
    assert not numpy.array_equal(output.get_param("W"), before)


# --- The loss ---


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # predicted words over the gold "Ada Lindqvist left Varnholm ."; -1: no gradient
        (["Ada", "Lindqvist", "left", "Varnholm", "."], [3, 6, 0, 1, 0]),
        (["Ada Lindqvist", "left", "Varnholm", "."], [3, 0, 1, 0]),
        (["Ada", "Lind", "qvist", "left", "Varnholm", "."], [3, 6, 6, 0, 1, 0]),
        (["Ada", "Lindqvist left", "Varnholm", "."], [-1, -1, 1, 0]),
        (["Ada", "Lindqvist", "left Varnholm", "."], [3, 6, -1, 0]),
    ],
)
def test_loss_of_words_that_do_not_align_is_zero(
    head: TokenNER, words: list[str], expected: list[int]
) -> None:
    gold = Doc(
        head.vocab,
        words=["Ada", "Lindqvist", "left", "Varnholm", "."],
        spaces=[True, True, True, False, False],
        ents=["B-PER", "I-PER", "O", "B-LOC", "O"],
    )
    spaces = [word not in ("Lind", "Varnholm", "left Varnholm", ".") for word in words]
    eg = Example(Doc(head.vocab, words=words, spaces=spaces), gold)
    assert gold_columns(eg, head.labels, bilou=False).tolist() == expected
    _, (gradient,) = head.get_loss([eg], [numpy.zeros((len(words), 7), dtype="float32")])
    assert gradient.any(axis=1).tolist() == [i >= 0 for i in expected]


def test_loss_of_missing_gold_is_zero(head: TokenNER) -> None:
    nlp = spacy.blank("en", vocab=head.vocab)
    eg = Example(nlp.make_doc("Ada left"), nlp.make_doc("Ada left"))  # nothing annotated
    loss, (gradient,) = head.get_loss([eg], [numpy.ones((2, 7), dtype="float32")])
    assert loss == 0
    assert not gradient.any()
    partly = nlp.make_doc("Ada left Varnholm")
    partly.set_ents([Span(partly, 0, 1, label="PER")], missing=[partly[2:3]], default="outside")
    _, (gradient,) = head.get_loss(
        [Example(nlp.make_doc("Ada left Varnholm"), partly)],
        [numpy.zeros((3, 7), dtype="float32")],
    )
    assert gradient.any(axis=1).tolist() == [True, True, False]


def test_loss_of_whitespace_is_zero(head: TokenNER) -> None:
    nlp = spacy.blank("en", vocab=head.vocab)
    eg = Example.from_dict(nlp.make_doc("Ada  left"), {"entities": [(0, 3, "PER")]})
    _, (gradient,) = head.get_loss([eg], [numpy.zeros((3, 7), dtype="float32")])
    assert gradient.any(axis=1).tolist() == [True, False, True]


def test_loss_refuses_an_unknown_type(head: TokenNER) -> None:
    nlp = spacy.blank("en", vocab=head.vocab)
    eg = Example.from_dict(nlp.make_doc("Ada left"), {"entities": [(0, 3, "ANIMAL")]})
    with pytest.raises(ValueError, match=r"the type ANIMAL is not among LOC, ORG, PER"):
        head.get_loss([eg], [numpy.zeros((2, 7), dtype="float32")])


# --- Labels and settings ---


def test_labels_are_collected_or_given(tiny_backbone: Path) -> None:
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    ner = nlp.add_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    assert ner.add_label("Ört/größe") == 1
    assert ner.add_label("Ört/größe") == 0
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    assert ner.labels == ("Ört/größe", "LOC", "ORG", "PER")
    assert ner.add_label("LOC") == 0
    with pytest.raises(ValueError, match="cannot add any more labels"):
        ner.add_label("NEW")
    with pytest.raises(ValueError, match="Only unicode strings"):
        ner.add_label("")


def test_labels_given_to_initialize_are_all(tiny_backbone: Path) -> None:
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    ner = nlp.add_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    examples = make_examples(nlp)
    nlp.get_pipe("transformer").initialize(lambda: examples, nlp=nlp)  # type: ignore[attr-defined]
    ner.initialize(lambda: examples, nlp=nlp, labels=["PER", "DATE"])
    assert ner.label_data == ["PER", "DATE"]


def test_no_labels_is_an_error(tiny_backbone: Path) -> None:
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    nlp.add_pipe("token_ner")
    doc = nlp.make_doc("Nothing here")
    with pytest.raises(ValueError, match="not initialized"):
        nlp.initialize(lambda: [Example(doc, doc)])


@pytest.mark.parametrize(
    ("config", "message"),
    [({"scheme": "iob1"}, "bio"), ({"threshold": 1.5}, "threshold must be from 0 to 1")],
)
def test_settings_that_cannot_be(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spacy.blank("en").add_pipe("token_ner", config=config)


def test_threshold_of_the_config_wins_over_the_saved_one(trained: Language, tmp_path: Path) -> None:
    """As in spacy.load(PIPELINE, config={"components.token_ner.threshold": 0.9})."""
    ner: TokenNER = trained.get_pipe("token_ner")  # type: ignore[assignment]
    ner.threshold = 0.5
    trained.to_disk(tmp_path / "saved")
    ner.threshold = None

    def load(threshold: float | None) -> TokenNER:
        settings = {"components.token_ner.threshold": threshold}
        nlp = spacy.load(tmp_path / "saved", config=settings if threshold is not None else {})
        return nlp.get_pipe("token_ner")  # type: ignore[return-value]

    assert load(None).threshold == 0.5
    assert load(0.9).threshold == 0.9
    with pytest.raises(ValueError, match="threshold must be from 0 to 1, not 9"):
        load(9.0)


@pytest.mark.parametrize("value", [9.0, -0.1, float("nan"), "0.5"])
def test_threshold_is_checked_however_it_is_set(head: TokenNER, value: Any) -> None:
    with pytest.raises(ValueError, match="threshold must be from 0 to 1"):
        head.threshold = value
    head.cfg["threshold"] = value
    with pytest.raises(ValueError, match="threshold must be from 0 to 1"):
        head.predict([Doc(head.vocab, words=["Ada"])])


@pytest.mark.parametrize("how", ["disable", "exclude"])
def test_a_missing_transformer_is_a_warning(trained: Language, tmp_path: Path, how: str) -> None:
    trained.to_disk(tmp_path / "saved")
    nlp = spacy.load(tmp_path / "saved", **{how: ["transformer"]})  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="no output of a transformer"):
        nlp("Ada Lindqvist left Varnholm.")


def test_threshold_leaves_out_what_is_less_likely(trained: Language) -> None:
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    text = "Ada Norden fell Varnholm left Bank Lindqvist here."
    every = mentions(trained(text))
    scores = sorted(score for *_, score in every)
    middle = scores[len(scores) // 2]
    ner.cfg["threshold"] = middle
    try:
        kept = mentions(trained(text))
    finally:
        ner.cfg["threshold"] = None
    assert kept == [mention for mention in every if mention[3] >= middle]
    assert 0 < len(kept) <= len(every)
