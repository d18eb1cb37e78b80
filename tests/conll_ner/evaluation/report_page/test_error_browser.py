"""The error browser: each kind of mistake, its context, and escaping."""

import pytest
import spacy
from spacy.tokens import Doc

from conll_ner.evaluation.mistakes import find_mistakes
from conll_ner.evaluation.report_page.error_browser import (
    context_range,
    make_views,
    sort_by_confidence,
)
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

VOCAB = spacy.blank("en").vocab


def doc(labels: str, starts: set[int] | None = None, words: list[str] | None = None) -> Doc:
    ents = labels.split()
    words = words or [f"w{i}" for i in range(len(ents))]
    flags = None if starts is None else [i in starts for i in range(len(ents))]
    return Doc(VOCAB, words=words, ents=ents, sent_starts=flags)  # type: ignore[arg-type]


def scored(doc: Doc, scores: list[float]) -> Doc:
    rows = zip(doc.ents, scores, strict=False)
    found = [ScoredMention(ent.start, ent.end, ent.label_, score) for ent, score in rows]
    keep_scores(doc, "token_ner", found)
    return doc


@pytest.mark.parametrize(
    ("gold", "predicted", "kind", "types", "score", "marks"),
    [
        ("B-A O", "B-B O", "type", ["A", "B"], 0.7, (1, 1)),
        ("B-A I-A", "B-A O", "boundary", ["A"], 0.7, (1, 1)),
        ("B-A I-A", "B-B O", "type and boundary", ["A", "B"], 0.7, (1, 1)),
        ("B-A O", "O O", "missed", ["A"], None, (1, 0)),
        ("O O", "O B-A", "spurious", ["A"], 0.7, (0, 1)),
    ],
)
def test_browser_shows_each_kind(
    gold: str,
    predicted: str,
    kind: str,
    types: list[str],
    score: float | None,
    marks: tuple[int, int],
) -> None:
    (mistake,), (document,) = make_views("dev", [doc(gold)], [scored(doc(predicted), [0.7])], "0")
    assert (mistake.split, mistake.document, mistake.kind) == ("dev", 1, kind)
    assert (mistake.types, mistake.score) == (types, score)
    for shown in (mistake, document):
        assert shown.gold.count('class="wrong"') == marks[0]
        assert shown.predicted.count('class="wrong"') == marks[1]


def test_browser_marks_the_mistake_among_other_mentions() -> None:
    gold = doc("B-A O B-B")
    (mistake,), _ = make_views("dev", [gold], [doc("B-A O O")], "0")
    assert '<mark class="">w0<b>A</b></mark>' in mistake.gold
    assert '<mark class="wrong">w2<b>B</b></mark>' in mistake.gold
    assert "wrong" not in mistake.predicted
    assert mistake.score is None


def test_browser_omits_documents_without_mistakes() -> None:
    docs = [doc("B-A O"), doc("O B-A"), doc("O")]
    mistakes, documents = make_views("dev", docs, [doc("B-A O"), doc("O O"), doc("O")], "0")
    assert [mistake.document for mistake in mistakes] == [2]
    assert [document.number for document in documents] == [2]


def test_browser_sorts_by_confidence_with_missed_last() -> None:
    gold = doc("B-A O B-A O O")
    predicted = scored(doc("B-B O O B-A B-A"), [0.5, 0.99, 0.9])
    mistakes = sort_by_confidence(make_views("dev", [gold], [predicted], "0")[0])
    assert [mistake.score for mistake in mistakes] == [0.99, 0.9, 0.5, None]
    assert mistakes[-1].kind == "missed"


@pytest.mark.parametrize(
    ("gold", "predicted", "starts", "expected"),
    [
        ("O O B-A O O", "O O O O O", {0, 2, 4}, (2, 4)),
        ("B-A O O O O", "O O O O O", {0, 2, 4}, (0, 2)),
        ("O O O O B-A", "O O O O O", {0, 2, 4}, (4, 5)),
        ("O B-A O O O", "O B-A I-A O O", {0, 2, 4}, (0, 4)),  # across a sentence boundary
        ("O O B-A O O", "O O O O O", None, (0, 5)),  # sentences unknown
    ],
)
def test_context_is_whole_sentences(
    gold: str, predicted: str, starts: set[int] | None, expected: tuple[int, int]
) -> None:
    gold_doc = doc(gold, starts)
    (error,) = find_mistakes(gold_doc, doc(predicted))
    assert context_range(gold_doc, error) == expected


def test_context_without_sentences_is_a_number_of_words() -> None:
    gold = doc(" ".join(["O"] * 50 + ["B-A"] + ["O"] * 50))
    (error,) = find_mistakes(gold, doc(" ".join(["O"] * 101)))
    assert context_range(gold, error) == (35, 66)


def test_browser_escapes_words_and_types() -> None:
    words = ["<script>alert(1)</script>", "<b>", "&", '"']
    gold = doc("B-<i> O O B-{text}", words=words)
    (first, second), (document,) = make_views("dev", [gold], [doc("O O O O", words=words)], "0")
    for html in (first.gold, second.gold, document.gold, document.predicted):
        assert "<script>" not in html
        assert "<i>" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        assert "&lt;b&gt; &amp;" in html
    assert "<b>&lt;i&gt;</b>" in first.gold
    assert "<b>{text}</b>" in second.gold
