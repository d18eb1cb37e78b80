"""Words and their characters."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import Sentence
from conll_ner.data.docs import list_layers
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.mentions import CharMention, Mention


def from_sentences(
    where: str, sentences: Sequence[Sentence], issues: Sequence[Issue] = ()
) -> Annotated:
    """RETURNS (Annotated): A document of a format that has words only."""
    words = [word for sentence in sentences for word in sentence.words]
    ends = list(accumulate(len(word) + 1 for word in words))
    starts = [0, *ends[:-1]] if words else []
    firsts = [0, *accumulate(len(sentence.words) for sentence in sentences)]
    pairs = list(zip(firsts, sentences, strict=False))
    return Annotated(
        where,
        " ".join(words),
        [
            CharMention(starts[first + a], ends[first + b - 1] - 1, label)
            for first, sentence in pairs
            for a, b, label in sentence.mentions
        ],
        words=words,
        has_spaces=False,
        sentence_starts=[starts[first] for first, sentence in pairs if sentence.words],
        layers=list_layers(sentences),
        unknown=[
            (starts[first + i], ends[first + i] - 1)
            for first, sentence in pairs
            for i in sentence.unknown
        ],
        issues=issues,
    )


def word_sentence(words: Any, spans: Sequence[tuple[int, int, str]], where: str) -> Sentence:
    """RETURNS (Sentence): Words with mentions by their numbers, [start, end).
    RAISES (InputError): If a word or mention is none."""
    if not isinstance(words, list) or not all(isinstance(w, str) and w.strip() for w in words):
        raise InputError(f"{where}: {shorten(repr(words))} are no words")
    for start, end, label in spans:
        if not 0 <= start < end <= len(words):
            raise InputError(f"{where}: {label} has the words {start} to {end} of {len(words)}")
    none = [""] * len(words)
    return Sentence(words, none, none, none, [Mention(*span) for span in spans])


def find_words(words: Sequence[str], text: str, where: str) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): The characters of each word.
    RAISES (InputError): If a word isn't in the text after the one before, or there is more than
        whitespace between them."""
    bounds = []
    end = 0
    for word in words:
        start = text.find(word, end)
        if not word or start < 0 or text[end:start].strip():
            raise InputError(f"{where}: the word {shorten(repr(word))} is not next in the text")
        end = start + len(word)
        bounds.append((start, end))
    return bounds
