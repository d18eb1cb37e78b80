"""The component `token_ner`: mentions and scores on documents, and documents of any text."""

import itertools
from unittest.mock import patch

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, Span

from conll_ner.common.machine import peak_memory_mb
from tests.token_ner.component_helpers import TEXTS, annotate
from token_ner import ScoredMention, TokenNER
from token_ner.lattice import log_softmax
from token_ner.span_scores import span_score

# --- Annotations ---


def test_predict_leaves_documents_alone(trained: Language) -> None:
    doc = trained.get_pipe("transformer")(trained.make_doc(TEXTS[0][0]))
    before = doc.to_bytes(exclude=["user_data"])
    trained.get_pipe("token_ner").predict([doc])  # type: ignore[attr-defined]
    assert doc.to_bytes(exclude=["user_data"]) == before


def test_scores_are_in_the_group_in_the_order_of_ents(trained: Language) -> None:
    with patch.dict(trained.get_pipe("token_ner").cfg, spans_key="sc"):  # type: ignore[attr-defined]
        doc = trained(TEXTS[0][0])
    group = doc.spans["sc"]
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


def test_annotations_of_others_stay(head: TokenNER) -> None:
    doc = Doc(head.vocab, words=list("abcdef"))
    doc.ents = [Span(doc, 1, 3, label="RULE")]
    annotate(head, doc, [ScoredMention(0, 2, "PER", 0.9), ScoredMention(3, 5, "LOC", 0.8)])
    assert [(e.text, e.label_) for e in doc.ents] == [("b c", "RULE"), ("d e", "LOC")]
    assert not doc.spans
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
    (mention,) = ner.decode_docs([doc], [logits])[0].mentions
    assert (mention.start, mention.end, mention.label) == (1, 4, "PER")


def test_decoded_batches_equal_documents(trained: Language) -> None:
    """Each document's mentions come back to it, empty ones between."""
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    random = numpy.random.default_rng(1)
    docs = [Doc(trained.vocab, words=["x"] * n) for n in (3, 0, 20, 1, 0)]
    logits = [random.normal(size=(len(doc), 7), scale=3) for doc in docs]
    with patch.dict(ner.cfg, candidates=0.01):
        together = ner.decode_docs(docs, logits)
        alone = [ner.decode_docs([d], [s])[0] for d, s in zip(docs, logits, strict=True)]
    for both, each in zip(together, alone, strict=True):
        for found, expected in zip(both, each, strict=True):
            assert found is not None and expected is not None
            assert [m[:3] for m in found] == [m[:3] for m in expected]
            assert [m.score for m in found] == pytest.approx([m.score for m in expected])


def test_log_probabilities_are_of_the_models_logits(trained: Language) -> None:
    """A word alone: the score is B of the two labels that may be there, I left out."""
    ner = trained.get_pipe("token_ner")
    assert isinstance(ner, TokenNER)
    doc = Doc(trained.vocab, words=["x"])
    logits = numpy.array([[0.0, 0.0, 0.0, 2.0, 5.0, 5.0, 5.0]])
    (mention,) = ner.decode_docs([doc], [logits])[0].mentions
    legal = numpy.exp(log_softmax(logits)[0, :4])
    assert mention[:3] == (0, 1, "PER")
    assert mention.score == pytest.approx(legal[3] / legal.sum())


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


@pytest.mark.slow
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
