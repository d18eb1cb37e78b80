"""The unit of offsets is the one that fits the stated texts."""

from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conll_ner.data.formats.stated import (
    check_stated,
    count_both,
    count_crlf,
    count_utf16,
    find_offset,
    unit_offsets,
)
from conll_ner.data.mentions import CharMention

TEXTS = st.text(st.sampled_from("aB \r\n😀é"), max_size=20)


Form = Literal["NFC", "NFD"]
UNITS = {(True, False): count_utf16, (False, True): count_crlf, (True, True): count_both}


def in_unit(text: str, utf16: bool, crlf: bool) -> int:
    """An independent measure: the length of a text that was really converted."""
    text = text.replace("\r\n", "\n") if crlf else text
    return len(text.encode("utf-16-le")) // 2 if utf16 else len(text)


@pytest.mark.parametrize("utf16", [False, True])
@pytest.mark.parametrize("crlf", [False, True])
@given(text=TEXTS)
def test_offsets_count_what_the_unit_counts(text: str, utf16: bool, crlf: bool) -> None:
    offsets = unit_offsets(text, UNITS.get((utf16, crlf), lambda *_: 1))
    assert offsets[-1] == in_unit(text, utf16, crlf)
    for i, offset in enumerate(offsets):
        if text[i - 1 : i + 1] != "\r\n":  # within a line end there is no offset of its own
            assert offset == in_unit(text[:i], utf16, crlf)
            assert find_offset(offsets, offset) == i


@pytest.mark.parametrize("utf16", [False, True])
@pytest.mark.parametrize("crlf", [False, True])
@given(before=TEXTS, after=TEXTS)
@example(before="\r\n😀😀", after="\r\n")  # both lengths are the same, but not all offsets
def test_a_mention_in_any_unit_is_found(before: str, after: str, utf16: bool, crlf: bool) -> None:
    text = f"{before}Xy{after}"
    start = in_unit(before, utf16, crlf)
    record = check_stated("a", text, [(CharMention(start, start + 2, "PER"), "Xy")])
    assert [text[m.start : m.end] for m in record.mentions] == ["Xy"]
    assert record.issues == []


@given(text=TEXTS, start=st.integers(-3, 50), end=st.integers(-3, 50), words=TEXTS)
def test_every_mention_is_kept_or_listed(text: str, start: int, end: int, words: str) -> None:
    record = check_stated("a", text, [(CharMention(start, end, "PER"), words)])
    assert len(record.mentions) + len(record.issues) == 1
    assert bool(record.unknown) == bool(record.issues)


def test_mentions_without_a_stated_text_follow_the_others() -> None:
    stated = [(CharMention(3, 6, "PER"), "Ada"), (CharMention(7, 10, "X"), None)]
    record = check_stated("a", "😀 Ada won", stated)
    assert record.mentions == [CharMention(2, 5, "PER"), CharMention(6, 9, "X")]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("counted", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_accents_may_have_another_form(form: Form, counted: Form, written: Form) -> None:
    text = normalize(form, "Zoë et Chloé à Orléans")
    other = normalize(counted, text)
    words = normalize(counted, "Chloé")
    start = other.index(words)
    mention = CharMention(start, start + len(words), "PER")
    record = check_stated("a", text, [(mention, normalize(written, words))])
    assert [text[m.start : m.end] for m in record.mentions] == [normalize(form, "Chloé")]


def test_stated_texts_show_that_ends_are_inclusive() -> None:
    stated = [(CharMention(0, 2, "PER"), "Ada"), (CharMention(9, 12, "LOC"), "Oslo")]
    record = check_stated("a", "Ada left Oslo.", [*stated, (CharMention(4, 7, "X"), None)])
    assert [m.end for m in record.mentions] == [3, 13, 8]
