"""The component `token_ner`: training, saving, streaming, other components, any text."""

import itertools
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from common.machine import peak_memory_mb
from token_ner import ScoredMention, TokenNER
from token_ner.component import span_score
from token_ner.lattice import log_softmax

PERSON = {"entities": [(0, 13, "PER"), (19, 27, "LOC")]}
TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("Ada Lindqvist left Varnholm.", PERSON),
    ("The Norden Bank fell.", {"entities": [(4, 15, "ORG")]}),
    ("Nothing happened here at all.", {"entities": []}),
]
Found = list[tuple[int, int, str, float]]


def add_backbone(nlp: Language, backbone: Path, **settings: Any) -> None:
    model = {"@architectures": "conll_ner.WindowedTransformer.v1", "name": str(backbone)}
    nlp.add_pipe("transformer", config={"model": model | {"precision": "float32"} | settings})


def make_examples(nlp: Language) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in TEXTS]


def train(nlp: Language, examples: list[Example], updates: int) -> list[dict[str, float]]:
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.005, use_averages=False, L2=0.0)
    history = []
    for _ in range(updates):
        losses: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        history.append(losses)
    return history


def make_trained(backbone: Path, **config: Any) -> tuple[Language, list[dict[str, float]]]:
    nlp = spacy.blank("en")
    add_backbone(nlp, backbone, window=64)
    nlp.add_pipe("token_ner", config=config)
    return nlp, train(nlp, make_examples(nlp), updates=60)


@pytest.fixture(scope="module")
def trained(tiny_backbone: Path) -> Language:
    return make_trained(tiny_backbone)[0]


def mentions(doc: Doc) -> Found:
    return [(ent.start, ent.end, ent.label_, ent._.score) for ent in doc.ents]


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


@pytest.fixture
def head(vocab: spacy.vocab.Vocab) -> TokenNER:
    """A component on a tok2vec of spaCy's own, for what doesn't need a transformer."""
    nlp = spacy.blank("en", vocab=vocab)
    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 8,
        "depth": 1,
        "embed_size": 20,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
    }
    model = {"@architectures": "conll_ner.TokenClassifier.v1", "tok2vec": tok2vec}
    ner = nlp.add_pipe("token_ner", config={"model": model})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    assert isinstance(ner, TokenNER)
    return ner


def test_loss_gradient_equals_torchs(head: TokenNER) -> None:
    nlp = spacy.blank("en", vocab=head.vocab)
    examples = make_examples(nlp)
    random = numpy.random.default_rng(0)
    scores = [random.normal(size=(len(eg.x), 7)).astype("float32") for eg in examples]
    loss, gradients = head.get_loss(examples, scores)
    # O, B-LOC, B-ORG, B-PER, I-LOC, I-ORG, I-PER: types in the order of the alphabet.
    assert head.word_labels == ["O", "B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER"]
    gold = torch.tensor([3, 6, 0, 1, 0] + [0, 2, 5, 0, 0] + [0] * 6)
    logits = torch.tensor(numpy.concatenate(scores), requires_grad=True)
    expected = torch.nn.functional.cross_entropy(logits, gold)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad is not None
    numpy.testing.assert_allclose(numpy.concatenate(gradients), logits.grad.numpy(), atol=1e-7)


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
    ids = {label: i for i, label in enumerate(head.word_labels)}
    assert head.gold_ids(eg, ids).tolist() == expected
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
    with pytest.raises(ValueError, match=r"U-ANIMAL is not among LOC, ORG, PER"):
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


# --- Annotations ---


def test_predict_leaves_documents_alone(trained: Language) -> None:
    doc = trained.get_pipe("transformer")(trained.make_doc(TEXTS[0][0]))
    before = doc.to_bytes(exclude=["user_data"])
    trained.get_pipe("token_ner").predict([doc])  # type: ignore[attr-defined]
    assert doc.to_bytes(exclude=["user_data"]) == before


def test_scores_are_in_the_group_in_the_order_of_ents(trained: Language) -> None:
    doc = trained(TEXTS[0][0])
    group = doc.spans["token_ner"]
    assert [(s.start, s.end, s.label) for s in group] == [
        (e.start, e.end, e.label) for e in doc.ents
    ]
    assert group.attrs["scores"] == [ent._.score for ent in doc.ents]
    assert all(type(score) is float for score in group.attrs["scores"])


def test_score_is_none_for_other_spans(trained: Language) -> None:
    doc = trained(TEXTS[0][0])
    assert doc[0:1]._.score is None
    assert Span(doc, doc.ents[0].start, doc.ents[0].end, label="OTHER")._.score is None
    assert span_score(trained.make_doc("Ada")[:]) is None


def annotate(head: TokenNER, doc: Doc, found: list[ScoredMention]) -> None:
    head.set_annotations([doc], [found])


def test_annotations_of_others_stay(head: TokenNER) -> None:
    doc = Doc(head.vocab, words=list("abcdef"))
    doc.ents = [Span(doc, 1, 3, label="RULE")]
    annotate(head, doc, [ScoredMention(0, 2, "PER", 0.9), ScoredMention(3, 5, "LOC", 0.8)])
    assert [(e.text, e.label_) for e in doc.ents] == [("b c", "RULE"), ("d e", "LOC")]
    assert doc.spans["token_ner"].attrs["scores"] == [0.8]
    assert [e._.score for e in doc.ents] == [None, 0.8]


def test_annotations_of_blocked_tokens_are_left_out(head: TokenNER) -> None:
    doc = Doc(head.vocab, words=list("abcd"))
    doc.set_ents([], blocked=[doc[1:2]], default="missing")
    annotate(head, doc, [ScoredMention(0, 2, "PER", 0.9), ScoredMention(2, 3, "LOC", 0.8)])
    assert [(e.text, e.label_) for e in doc.ents] == [("c", "LOC")]
    assert doc[1].ent_iob_ == "B"
    assert doc[1].ent_type_ == ""


def test_annotations_again_replace_the_own(head: TokenNER) -> None:
    doc = Doc(head.vocab, words=list("abcd"))
    annotate(head, doc, [ScoredMention(0, 2, "PER", 0.9)])
    annotate(head, doc, [ScoredMention(1, 3, "LOC", 0.8)])
    assert [(e.start, e.end, e.label_, e._.score) for e in doc.ents] == [(1, 3, "LOC", 0.8)]
    annotate(head, doc, [])
    assert doc.ents == ()
    assert doc[0].ent_iob_ == "O"


def test_whitespace_is_never_an_edge(trained: Language) -> None:
    """A mention goes on over whitespace between its words."""
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    doc = Doc(trained.vocab, words=[" ", "Ada", "\n", "Lindqvist", " "])
    logits = numpy.full((5, 7), -9.0)
    labels = ner.word_labels
    for i, label in enumerate(["I-PER", "B-PER", "O", "I-PER", "I-PER"]):
        logits[i, labels.index(label)] = 9.0
    ((mention,),) = ner.decode_docs([doc], [logits])
    assert (mention.start, mention.end, mention.label) == (1, 4, "PER")


def test_decoded_batches_equal_documents(trained: Language) -> None:
    """Each document's mentions come back to it, empty ones between."""
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    random = numpy.random.default_rng(1)
    docs = [Doc(trained.vocab, words=["x"] * n) for n in (3, 0, 20, 1, 0)]
    logits = [random.normal(size=(len(doc), 7), scale=3) for doc in docs]
    together = ner.decode_docs(docs, logits)
    for doc, scores, found in zip(docs, logits, together, strict=True):
        (expected,) = ner.decode_docs([doc], [scores])
        assert [m[:3] for m in found] == [m[:3] for m in expected]
        assert [m.score for m in found] == pytest.approx([m.score for m in expected])


def test_log_probabilities_are_of_the_models_logits(trained: Language) -> None:
    """A word alone: the score is B of the two labels that may be there, I left out."""
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    doc = Doc(trained.vocab, words=["x"])
    logits = numpy.array([[0.0, 0.0, 0.0, 2.0, 5.0, 5.0, 5.0]])
    ((mention,),) = ner.decode_docs([doc], [logits])
    legal = numpy.exp(log_softmax(logits)[0, :4])
    assert mention[:3] == (0, 1, "PER")
    assert mention.score == pytest.approx(legal[3] / legal.sum())


# --- Saved and streamed ---


def test_disk_and_bytes_keep_mentions_and_scores(
    trained: Language, tiny_backbone: Path, tmp_path: Path
) -> None:
    expected = [mentions(trained(text)) for text, _ in TEXTS]
    trained.to_disk(tmp_path / "pipeline")
    from_disk = spacy.load(tmp_path / "pipeline")
    assert [mentions(from_disk(text)) for text, _ in TEXTS] == expected
    from_bytes = spacy.blank("en")
    add_backbone(from_bytes, tiny_backbone, window=64)
    from_bytes.add_pipe("token_ner")
    from_bytes.from_bytes(trained.to_bytes())
    assert [mentions(from_bytes(text)) for text, _ in TEXTS] == expected


def test_docbin_keeps_scores(trained: Language) -> None:
    doc = trained(TEXTS[0][0])
    (loaded,) = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(trained.vocab)
    assert mentions(loaded) == mentions(doc) != []


def test_pipe_equals_call(trained: Language) -> None:
    texts = [text for text, _ in TEXTS] * 3 + ["", " ", "x"]
    expected = [mentions(trained(text)) for text in texts]
    for batch_size in (1, 4, 100):
        found = [mentions(doc) for doc in trained.pipe(texts, batch_size=batch_size)]
        assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]
        scores = [m[3] for doc in found for m in doc]
        assert scores == pytest.approx([m[3] for doc in expected for m in doc], abs=1e-5)


def test_pipe_in_two_processes(trained: Language) -> None:
    texts = [text for text, _ in TEXTS] * 4
    expected = [mentions(doc) for doc in trained.pipe(texts, batch_size=3)]
    found = [mentions(doc) for doc in trained.pipe(texts, n_process=2, batch_size=3)]
    assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]
    assert [m[3] for doc in found for m in doc] == pytest.approx(
        [m[3] for doc in expected for m in doc], abs=1e-5
    )


# --- Beside other components ---


def test_select_pipes_and_switching_off(trained: Language) -> None:
    with trained.select_pipes(disable=["token_ner"]):
        assert trained(TEXTS[0][0]).ents == ()
    assert trained(TEXTS[0][0]).ents != ()


def test_tagger_on_the_same_transformer(tiny_backbone: Path) -> None:
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    nlp.add_pipe("token_ner")
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    nlp.add_pipe("tagger", config={"model": tagger})
    examples = []
    for text, gold in TEXTS:
        doc = nlp.make_doc(text)
        tags = ["UPPER" if token.text[0].isupper() else "LOWER" for token in doc]
        examples.append(Example.from_dict(doc, gold | {"tags": tags}))
    history = train(nlp, examples, updates=80)
    assert history[-1]["token_ner"] < 0.05
    scores = nlp.evaluate(examples)
    assert (scores["ents_f"], scores["tag_acc"]) == (1.0, 1.0)


def test_replaced_listeners_give_the_same(trained: Language, tmp_path: Path) -> None:
    expected = [mentions(trained(text)) for text, _ in TEXTS]
    trained.to_disk(tmp_path / "shared")
    nlp = spacy.load(tmp_path / "shared")
    nlp.replace_listeners("transformer", "token_ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    assert [mentions(nlp(text)) for text, _ in TEXTS] == expected
    nlp.to_disk(tmp_path / "own")
    loaded = spacy.load(tmp_path / "own")
    assert loaded.pipe_names == ["token_ner"]
    assert [mentions(loaded(text)) for text, _ in TEXTS] == expected
    # It goes on learning.
    before = mentions(loaded(TEXTS[0][0]))
    loaded.update(make_examples(loaded), sgd=Adam(0.001, use_averages=False))
    assert mentions(loaded(TEXTS[0][0])) != before


def test_sourced_into_another_pipeline_and_frozen(trained: Language) -> None:
    expected = mentions(trained(TEXTS[0][0]))
    nlp = spacy.blank("en", vocab=trained.vocab)
    nlp.add_pipe("transformer", source=trained)
    nlp.add_pipe("token_ner", source=trained)
    nlp.add_pipe("sentencizer", first=True)
    assert mentions(nlp(TEXTS[0][0])) == expected
    nlp.update(make_examples(nlp), exclude=["transformer", "token_ner"], sgd=Adam(0.1))
    assert mentions(nlp(TEXTS[0][0])) == expected


def test_head_on_a_frozen_transformer(trained: Language, tmp_path: Path) -> None:
    """As `spacy train` does it: frozen and annotating."""
    trained.to_disk(tmp_path / "pipeline")
    nlp = spacy.load(tmp_path / "pipeline")
    text = TEXTS[0][0]
    before = nlp(text)._.trf_data.model_output.last_hidden_state.copy()
    nlp.update(
        make_examples(nlp),
        exclude=["transformer"],
        annotates=["transformer"],
        sgd=Adam(0.1, use_averages=False),
    )
    doc = nlp(text)
    numpy.testing.assert_array_equal(doc._.trf_data.model_output.last_hidden_state, before)
    assert [m[3] for m in mentions(doc)] != [m[3] for m in mentions(trained(text))]


def test_any_language_and_label(tiny_backbone: Path) -> None:
    nlp = spacy.blank("xx")
    add_backbone(nlp, tiny_backbone)
    nlp.add_pipe("token_ner", name="erkenner")
    text = "Kyiv grüßt Żółć !"
    gold = {"entities": [(0, 4, "地名-L-U-X"), (11, 15, "B-PER")]}
    train(nlp, [Example.from_dict(nlp.make_doc(text), gold)], updates=60)
    doc = nlp(text)
    assert [(e.text, e.label_) for e in doc.ents] == [("Kyiv", "地名-L-U-X"), ("Żółć", "B-PER")]
    assert doc.spans["erkenner"].attrs["scores"] == [e._.score for e in doc.ents]


# --- Anything ---


def check_doc(doc: Doc) -> None:
    spans = [(ent.start, ent.end) for ent in doc.ents]
    assert all(0 <= start < end <= len(doc) for start, end in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert all(0 <= ent._.score <= 1 for ent in doc.ents)
    assert all(not doc[start].is_space and not doc[end - 1].is_space for start, end in spans)
    assert all(token.ent_iob_ for token in doc)  # every word has a label


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_any_text(trained: Language, texts: list[str]) -> None:
    alone = [trained(text) for text in texts]
    streamed = list(trained.pipe(texts))
    for one, other in zip(alone, streamed, strict=True):
        check_doc(one)
        assert [(e.start, e.end, e.label_) for e in one.ents] == [
            (e.start, e.end, e.label_) for e in other.ents
        ]


@pytest.mark.parametrize(
    "words",
    [[], ["x"], ["\n"], ["x" * 10_000], ["\u200b", "\ufeff", "\x00", "é" * 600, "\U0001f600"]],
    ids=["empty", "one", "blank", "long word", "odd"],
)
def test_edge_documents(trained: Language, words: list[str]) -> None:
    (doc,) = trained.pipe([Doc(trained.vocab, words=words)])
    check_doc(doc)


def test_document_of_100_000_words(trained: Language) -> None:
    words = [token.text for token in trained.make_doc(TEXTS[0][0])] * 20_000
    doc = trained(Doc(trained.vocab, words=words))
    check_doc(doc)
    assert doc._.trf_data.align.lengths.min() >= 1  # each word was read
    assert len(doc.ents) > 20_000
    assert doc.ents[-1].end > 99_990


@pytest.mark.slow
def test_memory_is_bounded_on_a_stream(trained: Language) -> None:
    """40,000 documents need no more memory than the first 10,000: a leak of 0.7 kB per document,
    less than one of these documents, would show."""
    stream = (TEXTS[i % len(TEXTS)][0] for i in range(40_000))
    early = 0.0
    for i, doc in enumerate(trained.pipe(stream, batch_size=256)):
        assert len(doc)
        if i == 10_000:
            early = peak_memory_mb()
    assert peak_memory_mb() < early + 20
