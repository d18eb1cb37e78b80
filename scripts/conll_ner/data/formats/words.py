"""Find words in their text."""

from collections.abc import Sequence

from conll_ner.common.console import InputError, shorten


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
