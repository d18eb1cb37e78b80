"""Texts longer than a pipeline's max_length: annotated in pieces, and one document again."""

from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.data.mentions import describe_candidates, list_mentions
from conll_ner.prediction.annotating import annotate_texts
from conll_ner.prediction.long_texts import split_text

PARAGRAPH = "Ada Lindqvist left Varnholm for the Norden Bank.\nIt fell.\n\n"


@given(st.text(alphabet="ab .\n", max_size=80), st.integers(1, 20))
def test_pieces_are_the_text_and_short_enough(text: str, limit: int) -> None:
    pieces = list(split_text(text, limit))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= limit for piece in pieces) or pieces == [""]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One two.\n\nThree.\nFour.", ["One two.\n\n", "Three.\nFour."]),
        ("One two.\nThree.", ["One two.\n", "Three."]),
        ("One two three four", ["One two three ", "four"]),
        ("x" * 30, ["x" * 14, "x" * 14, "xx"]),
    ],
)
def test_pieces_end_with_a_paragraph_a_line_or_a_word(text: str, pieces: list[str]) -> None:
    assert list(split_text(text, 14)) == pieces


def test_a_long_text_is_one_document_with_all_scores(pipeline: Path) -> None:
    nlp = spacy.load(pipeline, config={"components": {"token_ner": {"candidates": 0.01}}})
    (alone,) = annotate_texts(nlp, [PARAGRAPH], ())
    mentions, candidates = list_mentions(alone), describe_candidates(alone)
    assert len(candidates) > len(mentions) > 0
    nlp.max_length = len(PARAGRAPH) + 5  # one paragraph, and a bit
    short, long = annotate_texts(nlp, ["Ada", PARAGRAPH * 3], ())
    assert short.text == "Ada"
    assert long.text == PARAGRAPH * 3
    for rows, found in (
        (mentions, list_mentions(long)),
        (candidates, describe_candidates(long)),
    ):
        n = len(PARAGRAPH)
        expected = [
            row | {"start": row["start"] + i * n, "end": row["end"] + i * n}
            for i in range(3)
            for row in rows
        ]
        assert found == [row | {"score": pytest.approx(row["score"])} for row in expected]
