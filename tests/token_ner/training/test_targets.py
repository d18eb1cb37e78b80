"""Gold labels of words: with and without an alignment of characters."""

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from token_ner.training.targets import (
    aligned,
    columns_of_words,
    gold_columns,
    list_labels,
    make_targets,
)

NLP = spacy.blank("en")
TYPES = ("A", "B")


@st.composite
def annotated(draw: st.DrawFn) -> Doc:
    """Documents with mentions, missing labels, blocked tokens and whitespace anywhere."""
    words = draw(st.lists(st.sampled_from(["Ada", "left", " ", "\n", "x"]), max_size=12))
    doc = Doc(NLP.vocab, words=words)
    kinds = [draw(st.sampled_from(["A", "B", "outside", "missing", "blocked"])) for _ in words]
    groups: dict[str, list[Span]] = {kind: [] for kind in ("outside", "missing", "blocked")}
    ents, i = [], 0
    while i < len(words):
        end = min(len(words), i + draw(st.integers(1, 3)))
        if kinds[i] in TYPES:
            # spaCy strips whitespace from gold mentions when it aligns them.
            if not (words[i].isspace() or words[end - 1].isspace()):
                ents.append(Span(doc, i, end, label=kinds[i]))
        elif not any(word.isspace() for word in words[i:end]):
            groups[kinds[i]].append(doc[i:end])
        i = end
    default = draw(st.sampled_from(["outside", "missing"]))
    doc.set_ents(ents, default=default, **groups)
    return doc


@given(doc=annotated(), bilou=st.booleans())
def test_gold_of_the_same_words_equals_the_alignment(doc: Doc, bilou: bool) -> None:
    predicted = Doc(NLP.vocab, words=[token.text for token in doc])
    eg = Example(predicted, doc)
    expected = aligned(eg, TYPES, bilou).tolist()
    assert columns_of_words(doc, TYPES, bilou).tolist() == expected
    assert gold_columns(eg, TYPES, bilou).tolist() == expected
    targets = make_targets(eg, TYPES, bilou)
    assert [row.argmax() if row.any() else -1 for row in targets] == expected


def test_gold_of_other_words_is_aligned() -> None:
    gold = Doc(NLP.vocab, words=["Ada", "Lind", "left"], ents=["B-A", "I-A", "O"])
    predicted = Doc(NLP.vocab, words=["Ada", "Li", "nd", "left"], spaces=[True, False, True, True])
    labels = list_labels(TYPES, True)
    assert [labels[i] for i in gold_columns(Example(predicted, gold), TYPES, True)] == [
        "B-A",
        "I-A",
        "L-A",
        "O",
    ]


@pytest.mark.parametrize("words", [["Adaleft"], ["Ada", "left"]])
def test_gold_of_an_unknown_type_is_an_error(words: list[str]) -> None:
    gold = Doc(NLP.vocab, words=["Ada", "left"], spaces=[False, False], ents=["B-C", "I-C"])
    predicted = Doc(NLP.vocab, words=words, spaces=[False] * len(words))
    with pytest.raises(ValueError, match="the type C is not among A, B"):
        gold_columns(Example(predicted, gold), TYPES, False)
