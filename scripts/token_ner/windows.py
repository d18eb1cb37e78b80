"""Windows: from documents to wordpieces to the inputs of the transformer.

Needs numpy and `tokenizers` only.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from spacy.tokens import Doc

Array = numpy.ndarray
Precision = Literal["auto", "float32", "bfloat16"]
Specials = tuple[list[int], list[int]]  # special tokens' ids, before and after a text
# Few shapes of batches: the CPU's compiled kernels are kept one set a shape, and memory that a
# shape has freed is used by the same shape again (docs/recipe.md).
PAD_MULTIPLE = 32
WINDOWED_TRANSFORMER = "windowed-transformer"  # the name of the backbone's model


@dataclass(frozen=True)
class Windowing:
    """How documents are cut into windows and batched. These settings come from the config, not from
    the saved model, so a trained pipeline can be run with other values.

    window (int | None): Wordpieces in a window, including special tokens; None for the model's
        maximum.
    context (int): Wordpieces of neighbouring windows that are repeated on each side: read, but
        not predicted.
    batch_wordpieces (int): Wordpieces per batch, including padding.
    precision (Precision): "auto" is bfloat16 where processor or GPU support it natively.
    sentence_windows (bool): A window is one sentence, or a part of one that is too long.
    """

    window: int | None
    context: int
    batch_wordpieces: int
    precision: Precision
    sentence_windows: bool = False


class Wordpieces(NamedTuple):
    """The wordpieces of one document, without special tokens."""

    ids: Array  # (n_wordpieces,)
    strings: list[str]  # (n_wordpieces,)
    lengths: Array  # (n_words,): wordpieces of each word; none for whitespace
    cases: Array  # (n_wordpieces,): the `letter_case` of their words


class Window(NamedTuple):
    """One input of the transformer, and the part of its output that is kept."""

    ids: Array  # (length,), special tokens included
    cases: Array  # (length,)
    core: slice  # the wordpieces predicted from this window, as indices into `ids`
    row: int  # where the core begins among the wordpieces of all documents


# A word's letter case: none or lower, Title, UPPER, a single upper-case letter, anyThing else.
N_CASES = 5


def letter_case(word: str) -> int:
    """RETURNS (int): The word's class, 0 … N_CASES - 1."""
    if word == word.lower():
        return 0
    if word == word.upper():
        return 2 if sum(map(str.isalpha, word)) > 1 else 3
    return 1 if word[0].isupper() and word[1:] == word[1:].lower() else 4


def tokenize(tokenizer: Tokenizer, docs: Sequence["Doc"], limit: int) -> list[Wordpieces]:
    """Split words into wordpieces. Of a word that is longer than a window, only the first `limit`
    wordpieces are kept: the label comes from the first one."""
    disable_limits(tokenizer)
    filled = [[token.text for token in doc] for doc in docs if len(doc)]
    encodings = tokenizer.encode_batch(filled, is_pretokenized=True, add_special_tokens=False)
    none = numpy.zeros(0, dtype="int64")
    remaining = iter(encodings)
    result = []
    for doc in docs:
        if not len(doc):
            result.append(Wordpieces(none, [], none, none))
            continue
        encoding = next(remaining)
        ids = numpy.array(encoding.ids, dtype="int64")
        words = numpy.array(encoding.word_ids, dtype="int64")
        strings = encoding.tokens
        lengths = numpy.bincount(words, minlength=len(doc))
        if lengths.max() > limit:
            position = numpy.arange(len(words)) - (numpy.cumsum(lengths) - lengths)[words]
            kept = position < limit
            ids = ids[kept]
            strings = [string for string, keep in zip(strings, kept, strict=True) if keep]
            lengths = numpy.minimum(lengths, limit)
        cases = numpy.array([letter_case(token.text) for token in doc], dtype="int64")
        result.append(Wordpieces(ids, strings, lengths, numpy.repeat(cases, lengths)))
    return result


def cut(lengths: Array, sentence_starts: Array, capacity: int) -> Array:
    """Cut a document into parts of nearly equal length, at a sentence boundary if one is near, else
    between words.

    lengths (Array): Wordpieces of each word, none above `capacity`.
    sentence_starts (Array): Indices of the words that start a sentence, ascending.
    capacity (int): Most wordpieces in a part.
    RETURNS (Array): The wordpieces before each part, and at last all: (n_parts + 1,).
    """
    before = numpy.concatenate([[0], numpy.cumsum(lengths)])  # (n_words + 1,)
    total = int(before[-1])
    sentences = before[sentence_starts]
    cuts = [0]
    while total - cuts[-1] > capacity:
        start = cuts[-1]
        size = (total - start) / math.ceil((total - start) / capacity)
        latest = before[numpy.searchsorted(before, start + capacity, side="right") - 1]
        near = sentences[(sentences >= start + size / 2) & (sentences <= latest)]
        candidates = near if len(near) else before[(before > start) & (before <= latest)]
        cuts.append(int(candidates[numpy.abs(candidates - start - size).argmin()]))
    return numpy.array([*cuts, total])


def cut_sentences(lengths: Array, sentence_starts: Array, capacity: int) -> Array:
    """Cut a document at every sentence boundary, and sentences that are too long between words.
    Arguments and result are those of `cut`."""
    bounds = sorted({0, *sentence_starts.tolist(), len(lengths)})
    cuts = [0]
    for first, last in pairwise(bounds):
        parts = cut(lengths[first:last], numpy.zeros(0, dtype="int64"), capacity)
        cuts += (cuts[-1] + parts[1:]).tolist()
    return numpy.array(cuts)


def disable_limits(tokenizer: Tokenizer) -> None:
    """Switch off the truncation and padding that a tokenizer.json may ask for."""
    if tokenizer.truncation is not None:
        tokenizer.no_truncation()
    if tokenizer.padding is not None:
        tokenizer.no_padding()


def special_tokens(tokenizer: Tokenizer) -> Specials:
    """RETURNS (Specials): The ids that the model expects before and after a text."""
    disable_limits(tokenizer)
    encoding = tokenizer.encode("a")
    ids, special = encoding.ids, encoding.special_tokens_mask
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]


def sentence_starts(doc: "Doc") -> Array:
    """RETURNS (Array): Indices of the words that start a sentence; empty if unknown."""
    if not doc.has_annotation("SENT_START"):
        return numpy.zeros(0, dtype="int64")
    return numpy.flatnonzero(doc.to_array("SENT_START") == 1)


def window_size(
    tokenizer_maximum: int, config: Any, specials: Specials, windowing: Windowing
) -> int:
    """Find the size of a window.

    tokenizer_maximum (int): `model_max_length` of the tokenizer; very large where it is unknown.
    config (PretrainedConfig): Of the model.
    RETURNS (int): Wordpieces in a window, including special tokens.
    RAISES (ValueError): If the model can't read that many, or context leaves no room.
    """
    maximum = tokenizer_maximum
    positions = getattr(config, "max_position_embeddings", None) or maximum
    if maximum > positions:
        # The tokenizer has no maximum. RoBERTa can't use the first pad_token_id + 1 positions.
        maximum = positions - (config.pad_token_id or 0) - 1
    window = maximum if windowing.window is None else windowing.window
    if window > maximum:
        raise ValueError(f"window is {window} wordpieces, but the model reads {maximum} at most")
    n_specials = sum(map(len, specials))
    if window - n_specials - 2 * windowing.context < 1:
        raise ValueError(
            f"a window of {window} wordpieces has no room for {n_specials} special tokens and "
            f"{windowing.context} wordpieces of context on each side"
        )
    return int(window)


def make_windows(
    docs: Sequence["Doc"],
    wordpieces: Sequence[Wordpieces],
    specials: Specials,
    size: int,
    windowing: Windowing,
) -> list[Window]:
    """Cut documents into windows so that every wordpiece is in the core of exactly one window, with
    at least `context` wordpieces of its document on each side, as far as there are any.

    size (int): Maximum wordpieces in a window, including special tokens.
    """
    context = windowing.context
    cut_document = cut_sentences if windowing.sentence_windows else cut
    prefix, suffix = specials
    room = size - len(prefix) - len(suffix)
    windows = []
    row = 0
    for doc, pieces in zip(docs, wordpieces, strict=True):
        total = len(pieces.ids)
        fits = total <= room and not windowing.sentence_windows
        capacity = room if fits else room - 2 * context
        cuts = cut_document(pieces.lengths, sentence_starts(doc), capacity)
        for start, end in pairwise(cuts):
            first, last = max(0, start - context), min(total, end + context)
            ids = numpy.concatenate([prefix, pieces.ids[first:last], suffix]).astype("int64")
            cases = numpy.pad(pieces.cases[first:last], (len(prefix), len(suffix)))
            offset = len(prefix) + start - first
            core = slice(offset, offset + end - start)
            if end > start:
                windows.append(Window(ids, cases, core, row + start))
        row += max(1, total) if len(doc) else 0
    return windows


def batch_windows(
    windows: Sequence[Window], size: int, batch_wordpieces: int
) -> Iterator[tuple[list[Window], int]]:
    """Batch windows of similar length.

    size (int): Most wordpieces in a window.
    YIELDS (tuple[list[Window], int]): Windows, and the length that they are padded to: the
        longest's, rounded up. The padded size is at most `batch_wordpieces`, or it is one window
        alone.
    """
    batch: list[Window] = []
    length = 0
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and (len(batch) + 1) * length > batch_wordpieces:
            yield batch, length
            batch = []
        if not batch:
            length = min(size, math.ceil(len(window.ids) / PAD_MULTIPLE) * PAD_MULTIPLE)
        batch.append(window)
    if batch:
        yield batch, length
