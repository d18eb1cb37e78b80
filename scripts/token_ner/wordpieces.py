"""From words to wordpieces. Needs numpy, `tokenizers` and spaCy only."""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy
from spacy.strings import get_string_id
from tokenizers import Tokenizer

from .types import Array

if TYPE_CHECKING:
    from spacy.tokens import Doc

Specials = tuple[list[int], list[int]]  # special tokens' ids, before and after a text
N_CASES = 5
MAX_CACHED = 20_000  # words; about 10 MB
MAX_CACHED_LENGTH = 50  # characters


class Wordpieces(NamedTuple):
    """The wordpieces of several documents, one after another, without special tokens."""

    ids: Array  # (n_wordpieces,)
    strings: list[str]  # (n_wordpieces,)
    cases: Array  # (n_wordpieces,): the `letter_case` of their words
    lengths: Array  # (n_words,): wordpieces of each word; none for whitespace
    words_before: Array  # (n_docs + 1,): words before each document, and at last all
    before: Array  # (n_docs + 1,): the same of wordpieces


class EncodedWord(NamedTuple):
    ids: list[int]
    strings: list[str]
    case: int


class WordEncoder:
    """A tokenizer that keeps the wordpieces of words, most of which come again and again.

    This is exact: `tokenizers` encodes each word of a text that is given as words by itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.cache: dict[int, EncodedWord] = {}

    def encode_docs(
        self, docs: Sequence["Doc"], limit: int, changes: Mapping[int, str] = MappingProxyType({})
    ) -> Wordpieces:
        """Split the words of documents into wordpieces.

        limit (int): Of a word with more wordpieces, such as one that is longer than a window, only
            the first ones are kept: the label comes from the first.
        changes (Mapping[int, str]): Words to be read instead of those at these positions among the
            words of all documents, of `truecasing.find_changes`.
        """
        words_before = numpy.cumsum([0, *map(len, docs)])
        hashes = numpy.concatenate(
            [numpy.zeros(0, dtype="uint64"), *(doc.to_array("ORTH") for doc in docs)]
        )
        if changes:
            ids = numpy.array([*map(get_string_id, changes.values())], dtype="uint64")
            hashes[[*changes]] = ids
        unique, first, kinds = numpy.unique(hashes, return_index=True, return_inverse=True)
        encoded = self.encode_unique(docs, words_before, unique.tolist(), first, changes)
        sizes = numpy.array([len(word.ids) for word in encoded], dtype="int64")
        starts = numpy.cumsum(sizes) - sizes
        lengths = numpy.minimum(sizes, limit)[kinds]
        places = ranges(starts[kinds], lengths)
        ids = numpy.array([*chain.from_iterable(word.ids for word in encoded)], dtype="int64")
        strings = numpy.array(
            [*chain.from_iterable(word.strings for word in encoded)], dtype=object
        )
        cases = numpy.array([word.case for word in encoded], dtype="int64")
        return Wordpieces(
            ids=ids[places],
            strings=strings[places].tolist(),
            cases=numpy.repeat(cases[kinds], lengths),
            lengths=lengths,
            words_before=words_before,
            before=numpy.append(0, numpy.cumsum(lengths))[words_before],
        )

    def encode_unique(
        self,
        docs: Sequence["Doc"],
        words_before: Array,
        hashes: list[int],
        first: Array,
        changes: Mapping[int, str],
    ) -> list[EncodedWord]:
        """Look words up in the cache, and encode those that it lacks.

        hashes (list[int]): The words' hashes in spaCy's vocabulary.
        first (Array): The position of each among the words of all documents.
        changes (Mapping[int, str]): As in `encode_docs`.
        """
        found = {key: word for key in hashes if (word := self.cache.get(key))}
        missing = [i for i, key in enumerate(hashes) if key not in found]
        if missing:
            positions = first[missing]
            owners = numpy.searchsorted(words_before, positions, side="right") - 1
            places = positions - words_before[owners]
            rows = zip(positions.tolist(), owners.tolist(), places.tolist(), strict=True)
            words = [changes.get(position) or docs[o][p].text for position, o, p in rows]
            if len(self.cache) + len(words) > MAX_CACHED:
                self.cache.clear()
            for i, text, encoded in zip(missing, words, self.encode_words(words), strict=True):
                found[hashes[i]] = encoded
                if len(text) <= MAX_CACHED_LENGTH:
                    self.cache[hashes[i]] = encoded
        return [found[key] for key in hashes]

    def encode_words(self, words: list[str]) -> list[EncodedWord]:
        disable_limits(self.tokenizer)
        encoding = self.tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        owners = numpy.array(encoding.word_ids, dtype="int64")
        bounds = numpy.searchsorted(owners, numpy.arange(len(words) + 1)).tolist()
        ids, strings = encoding.ids, encoding.tokens
        return [
            EncodedWord(ids[start:end], strings[start:end], letter_case(word))
            for word, start, end in zip(words, bounds[:-1], bounds[1:], strict=True)
        ]


def letter_case(word: str) -> int:
    """RETURNS (int): The word's class, 0 … N_CASES - 1: none or lower case, Title, UPPER, a single
    upper-case letter, anyThing else."""
    if word == word.lower():
        return 0
    if word == word.upper():
        return 2 if sum(map(str.isalpha, word)) > 1 else 3
    return 1 if word[0].isupper() and word[1:] == word[1:].lower() else 4


def ranges(starts: Array, lengths: Array) -> Array:
    """RETURNS (Array): start, start + 1, … of each range, one range after another."""
    shifts = starts - numpy.cumsum(lengths) + lengths
    return numpy.repeat(shifts, lengths) + numpy.arange(lengths.sum())


def disable_limits(tokenizer: Tokenizer) -> None:
    """Switch off the truncation and padding that a tokenizer.json may ask for."""
    if tokenizer.truncation is not None:
        tokenizer.no_truncation()
    if tokenizer.padding is not None:
        tokenizer.no_padding()


def largest_id(tokenizer: Tokenizer) -> int:
    """RETURNS (int): The largest number of a wordpiece: a model has a row of embeddings for it."""
    return int(max(tokenizer.get_vocab().values()))


def special_tokens(tokenizer: Tokenizer) -> Specials:
    """RETURNS (Specials): The ids that the model expects before and after a text."""
    disable_limits(tokenizer)
    encoding = tokenizer.encode("a")
    ids, special = encoding.ids, encoding.special_tokens_mask
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]
