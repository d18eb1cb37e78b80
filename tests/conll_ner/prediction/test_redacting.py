"""What is replaced in a text, and how."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from conll_ner.prediction.redacting import find_replaced, name_by_label, name_by_number, redact
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

VOCAB = Vocab()
Row = tuple[int, int, str, float]  # first word, the one after the last, label, score


def make(text: str, mentions: list[Row], candidates: list[Row]) -> Doc:
    words = text.split(" ")
    doc = Doc(VOCAB, words=words, spaces=[True] * (len(words) - 1) + [False])
    doc.set_ents(keep_scores(doc, "token_ner", [ScoredMention(*row) for row in mentions]))
    spans = [Span(doc, *row[:3]) for row in candidates]
    scores = [row[3] for row in candidates]
    doc.spans["token_ner_candidates"] = SpanGroup(doc, spans=spans, attrs={"scores": scores})
    return doc


TEXT = "Ada Lindqvist met Ada in the Norden Bank"


@pytest.mark.parametrize(
    ("mentions", "candidates", "expected"),
    [
        ([], [], TEXT),
        ([(0, 2, "PER", 0.9)], [], "[PER] met Ada in the Norden Bank"),
        ([(0, 2, "PER", 0.9)], [(3, 4, "PER", 0.1)], "[PER] met [PER] in the Norden Bank"),
        # Overlapping spans are joined, under the label of the most probable one.
        ([], [(5, 7, "LOC", 0.2), (6, 8, "ORG", 0.3)], "Ada Lindqvist met Ada in [ORG]"),
        ([(6, 8, "ORG", 0.6)], [(6, 7, "LOC", 0.2), (6, 8, "ORG", 0.6)], f"{TEXT[:29]}[ORG]"),
        ([], [(0, 1, "PER", 0.2), (1, 2, "PER", 0.3)], "[PER] [PER] met Ada in the Norden Bank"),
    ],
)
def test_mentions_and_candidates_are_replaced(
    mentions: list[Row], candidates: list[Row], expected: str
) -> None:
    text, _ = redact(make(TEXT, mentions, candidates), name_by_label())
    assert text == expected


def test_a_name_keeps_its_number_in_a_document() -> None:
    text = "Ada met ADA and Kaya met Ada in Ada"
    rows = [(i, i + 1, "PER", 0.9) for i in (0, 2, 4, 6)] + [(8, 9, "LOC", 0.9)]
    redacted, _ = redact(make(text, rows, []), name_by_number())
    assert redacted == "[PER 1] met [PER 1] and [PER 2] met [PER 1] in [LOC 1]"


rows = st.builds(
    lambda start, length, label, score: (start, min(8, start + length), label, score),
    st.integers(0, 7),
    st.integers(1, 4),
    st.sampled_from(["PER", "ORG"]),
    st.floats(0, 1),
)


@given(st.lists(rows, max_size=6, unique_by=lambda row: row[:3]))
def test_replacements_tell_how_to_undo_them(candidates: list[Row]) -> None:
    doc = make(TEXT, [], candidates)
    text, replaced = redact(doc, name_by_label())
    restored, at = "", 0
    for row in replaced:
        place = text.index(row["replacement"], at)
        restored += text[at:place] + row["text"]
        at = place + len(row["replacement"])
        assert TEXT[row["start"] : row["end"]] == row["text"]
    assert restored + text[at:] == TEXT
    found = find_replaced(doc)
    assert all(a.end <= b.start for a, b in pairwise(found))
    covered = {i for row in found for i in range(row.start, row.end)}
    spans = [doc[start:end] for start, end, *_ in candidates]
    assert covered == {i for span in spans for i in range(span.start_char, span.end_char)}
