"""Mentions by characters become mentions by words, or are listed."""

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.formats.aligning import ALIGNMENTS, GOLD, align
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.mentions import CharMention
from tests.conll_ner.data.formats.support import NLP, labels, mentions

TEXT = "Ada left Oslo ."


def check(
    mention: CharMention, alignment: str = "strict"
) -> tuple[list[tuple[str, str]], list[str], str]:
    record = Annotated("line 1", TEXT, [mention])
    doc, issues = align(record, NLP.tokenizer, alignment)
    return mentions(doc), labels(doc), ", ".join(issue.reason for issue in issues)


def test_a_mention_of_whole_words_is_kept() -> None:
    assert check(CharMention(0, 3, "PER")) == ([("Ada", "PER")], ["B", "O", "O", "O"], "")


@pytest.mark.parametrize(
    ("mention", "reason", "unlabelled", "expanded", "contracted"),
    [
        (CharMention(1, 8, "X"), "its edges are within words", "??OO", "Ada left", "left"),
        (CharMention(0, 2, "X"), "its edges are within words", "?OOO", "Ada", ""),
        (CharMention(8, 12, "X"), "its edges are within words", "OO?O", "Oslo", ""),
        (CharMention(5, 5, "X"), "empty", "OOOO", "", ""),
        (CharMention(3, 4, "X"), "only whitespace", "OOOO", "", ""),
        (CharMention(9, 99, "X"), "outside of the text, which has 15 characters", "OO??", "", ""),
        (CharMention(5, 2, "X"), "outside of the text, which has 15 characters", "OOOO", "", ""),
        (CharMention(-3, 2, "X"), "outside of the text, which has 15 characters", "?OOO", "", ""),
        (CharMention(0, 3, " "), "without a label", "?OOO", "", ""),
    ],
)
def test_other_mentions_are_listed_and_their_words_have_no_label(
    mention: CharMention, reason: str, unlabelled: str, expanded: str, contracted: str
) -> None:
    assert check(mention) == ([], list(unlabelled), reason)
    for alignment, text in (("expand", expanded), ("contract", contracted)):
        found, _, listed = check(mention, alignment)
        assert found == ([(text, "X")] if text else [])
        assert listed == reason


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("start", [8, 9])
def test_whitespace_at_the_edges_is_trimmed(start: int, alignment: str) -> None:
    found, labelled, reason = check(CharMention(start, 14, "LOC"), alignment)
    assert (found, labelled) == ([("Oslo", "LOC")], ["O", "O", "B", "O"])
    assert reason == "whitespace at its edges"


def test_an_issue_says_what_is_used_instead() -> None:
    record = Annotated("line 1", TEXT, [CharMention(1, 8, "PER")])
    _, issues = align(record, NLP.tokenizer, "expand")
    assert issues == [
        Issue("line 1", "its edges are within words", "da left", "PER", 1, 8, used="Ada left")
    ]


def test_of_overlapping_mentions_the_longest_is_kept() -> None:
    nested = [
        CharMention(0, 3, "PER"),
        CharMention(0, 8, "EVENT"),
        CharMention(4, 8, "ACT"),
        CharMention(0, 8, "EVENT"),
    ]
    doc, issues = align(Annotated("line 1", TEXT, nested), NLP.tokenizer)
    assert mentions(doc) == [("Ada left", "EVENT")]
    assert [(issue.label, issue.reason) for issue in issues] == [
        ("EVENT", "annotated twice: Ada left"),
        ("PER", "overlaps with EVENT: Ada left"),
        ("ACT", "overlaps with EVENT: Ada left"),
    ]


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ("longest", [("Ada left", "EVENT")]),
        ("shortest", [("Ada", "PER"), ("left", "ACT")]),
        ("first", [("Ada", "PER"), ("left", "ACT")]),
    ],
)
def test_all_mentions_are_kept_beside_the_chosen_ones(
    overlaps: str, expected: list[tuple[str, str]]
) -> None:
    nested = [CharMention(0, 3, "PER"), CharMention(0, 8, "EVENT"), CharMention(4, 8, "ACT")]
    doc, issues = align(Annotated("line 1", TEXT, nested), NLP.tokenizer, overlaps=overlaps)
    assert mentions(doc) == expected
    gold = [(span.text, span.label_) for span in doc.spans[GOLD]]
    assert sorted(gold) == [("Ada", "PER"), ("Ada left", "EVENT"), ("left", "ACT")]
    assert len(issues) == len(nested) - len(expected)
    found = Doc(doc.vocab).from_bytes(doc.to_bytes())  # as a DocBin keeps them
    assert len(found.spans[GOLD]) == 3


def test_partial_annotation_leaves_other_words_without_a_label() -> None:
    record = Annotated("line 1", TEXT, [CharMention(0, 3, "PER")], is_complete=False)
    assert labels(align(record, NLP.tokenizer)[0]) == ["B", "?", "?", "?"]


def test_words_and_sentences_of_the_format_are_kept() -> None:
    record = Annotated(
        "line 1",
        "Ada-Lin left.  Oslo",
        [CharMention(0, 3, "PER")],
        words=["Ada", "-Lin", "left", ".", "Oslo"],
        sentence_starts=[0, 15],
    )
    doc, issues = align(record, NLP.tokenizer)
    assert [token.text for token in doc] == ["Ada", "-Lin", "left", ".", " ", "Oslo"]
    assert doc.text == "Ada-Lin left.  Oslo"
    assert mentions(doc) == [("Ada", "PER")]
    assert not issues
    assert [token.text for token in doc if token.is_sent_start] == ["Ada", "Oslo"]


def test_words_that_are_not_those_of_the_text_are_an_error() -> None:
    with pytest.raises(InputError, match="line 1: the words don't make up the text 'Ada'"):
        align(Annotated("line 1", "Ada", [], words=["Bob"]), NLP.tokenizer)


def strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start : start + 1].isspace():
        start += 1
    while start < end and text[end - 1 : end].isspace():
        end -= 1
    return start, end


@given(
    text=st.text(st.sampled_from("aB .\n\t-é😀中")),
    spans=st.lists(st.tuples(st.integers(-2, 12), st.integers(-2, 12), st.sampled_from("XY"))),
    alignment=st.sampled_from(ALIGNMENTS),
)
def test_every_mention_is_kept_or_listed(
    text: str, spans: list[tuple[int, int, str]], alignment: str
) -> None:
    record = Annotated("line 1", text, [CharMention(*span) for span in spans])
    doc, issues = align(record, spacy.blank("xx").tokenizer, alignment)
    assert doc.text == text
    kept = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
    listed = {(issue.start, issue.end, issue.label) for issue in issues}
    assert set(spans) <= kept | listed
    if alignment == "strict":
        trimmed = {(a, b, c) for a, b, c in spans for a, b in [strip(text, a, b)]}
        assert kept <= trimmed
    assert all(ent.text.strip() == ent.text != "" for ent in doc.ents)
