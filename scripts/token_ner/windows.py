"""Windows: from wordpieces to the inputs of the transformer. Needs numpy only."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy

from .types import Array
from .wordpieces import Specials, Wordpieces, ranges

if TYPE_CHECKING:
    from spacy.tokens import Doc

Precision = Literal["auto", "float32", "bfloat16"]
# Few shapes of batches: the CPU's compiled kernels are kept one set a shape, and memory that a
# shape has freed is used by the same shape again (docs/results/experiments.md).
PAD_MULTIPLE = 32
MAX_BATCH = 1_000_000  # wordpieces; more than any memory has room for
WINDOWED_TRANSFORMER = "windowed-transformer"  # the name of the backbone's model


@dataclass(frozen=True)
class Windowing:
    """How documents are cut into windows and batched. These settings come from the config, not from
    the saved model, so a trained pipeline can be run with other values.

    window (int | None): Wordpieces in a window, including special tokens; None for the model's
        maximum.
    context (int): Wordpieces of neighbouring windows that are repeated on each side: read, but
        not predicted.
    batch_wordpieces (int | "auto"): Wordpieces per batch, including padding. "auto": few on a CPU,
        many on a GPU.
    precision (Precision): "auto" is bfloat16 where processor or GPU support it natively.
    sentence_windows (bool): A window is one sentence, or a part of one that is too long.
    truecase (bool | None): Whether the words of all-capital sentences are read in their usual
        letter case, which `token_ner` collects from its training data. None collects it where the
        tokenizer keeps case. A trained pipeline without it reads words as they are; False switches
        it off in one that has it.
    """

    window: int | None
    context: int
    batch_wordpieces: int | Literal["auto"]
    precision: Precision
    sentence_windows: bool = False
    truecase: bool | None = None

    def __post_init__(self) -> None:
        """RAISES (ValueError): If a number makes no sense by itself."""
        batch = self.batch_wordpieces
        if self.context < 0 or not (batch == "auto" or 1 <= batch <= MAX_BATCH):
            raise ValueError(
                f'context must be 0 or more and batch_wordpieces "auto" or from 1 to '
                f"{MAX_BATCH:,}, not {self.context} and {batch}"
            )


class Windows(NamedTuple):
    """Inputs of the transformer, in order. Positions are among all wordpieces of the documents.

    The wordpieces from `first` to `last` are read, those from `start` to `end` are predicted. All
    are arrays (n_windows,).
    """

    first: Array
    start: Array
    end: Array
    last: Array


class Batch(NamedTuple):
    """Windows that the transformer reads together."""

    inputs: Array  # (3, n_windows, length): wordpieces, attention mask, letter cases
    cells: Array  # (n,): predicted wordpieces, as positions in the (n_windows * length) inputs
    wordpieces: Array  # (n,): the same as positions among all wordpieces of the documents


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


def sentence_starts(doc: "Doc") -> Array:
    """RETURNS (Array): Indices of the words that start a sentence; empty if unknown."""
    if not doc.has_annotation("SENT_START"):
        return numpy.zeros(0, dtype="int64")
    return numpy.flatnonzero(doc.to_array("SENT_START") == 1)


def window_size(maximum: int, specials: Specials, windowing: Windowing) -> int:
    """Find the size of a window.

    maximum (int): The most wordpieces that the model reads, including special tokens.
    RETURNS (int): Wordpieces in a window, including special tokens.
    RAISES (ValueError): If the model can't read that many, or context leaves no room.
    """
    window = maximum if windowing.window is None else windowing.window
    if window > maximum:
        raise ValueError(f"window is {window} wordpieces, but the model reads {maximum} at most")
    n_specials = sum(map(len, specials))
    if window - n_specials - 2 * windowing.context < 1:
        raise ValueError(
            f"a window of {window} wordpieces has no room for {n_specials} special tokens and "
            f"{windowing.context} wordpieces of context on each side"
        )
    return window


def make_windows(
    docs: Sequence["Doc"], wordpieces: Wordpieces, room: int, windowing: Windowing
) -> Windows:
    """Cut documents into windows so that every wordpiece is predicted in exactly one window, with
    at least `context` wordpieces of its document on each side, as far as there are any.

    room (int): Maximum wordpieces in a window, without special tokens.
    """
    context = windowing.context
    cut_document = cut_sentences if windowing.sentence_windows else cut
    totals = numpy.diff(wordpieces.before)
    fits = (totals <= room) & (not windowing.sentence_windows)
    whole = numpy.flatnonzero(fits & (totals > 0))
    starts, ends = wordpieces.before[whole], wordpieces.before[whole + 1]
    parts = [Windows(starts, starts, ends, ends)]
    for i in numpy.flatnonzero(~fits & (totals > 0)).tolist():
        lengths = wordpieces.lengths[wordpieces.words_before[i] : wordpieces.words_before[i + 1]]
        capacity = room - 2 * context
        cuts = wordpieces.before[i] + cut_document(lengths, sentence_starts(docs[i]), capacity)
        cuts = numpy.unique(cuts)  # words without wordpieces give empty parts
        start, end = cuts[:-1], cuts[1:]
        first = numpy.maximum(cuts[0], start - context)
        parts.append(Windows(first, start, end, numpy.minimum(cuts[-1], end + context)))
    windows = [numpy.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = windows[1].argsort(kind="stable")
    return Windows(*(column[order] for column in windows))


def batch_windows(
    windows: Windows,
    specials: Specials,
    size: int,
    batch_wordpieces: int,
    multiple: int,
    batch_cost: float = math.inf,
) -> Iterator[tuple[Array, int]]:
    """Batch windows of similar length.

    size (int): Maximum wordpieces in a window, with special tokens.
    batch_cost (float): What a batch costs by itself, in wordpieces: more padding than that is worth
        another batch.
    YIELDS (tuple[Array, int]): Indices of windows, and the length that they are padded to: the
        longest's, rounded up to a multiple. The padded size is at most `batch_wordpieces`, or it is
        one window alone.
    """
    lengths = windows.last - windows.first + sum(map(len, specials))
    order = numpy.argsort(-lengths, kind="stable")
    padded = numpy.minimum(size, -(-lengths[order] // multiple) * multiple)
    start = 0
    while start < len(order):
        length = int(padded[start])
        end = min(len(order), start + max(1, batch_wordpieces // length))
        while True:
            # By a cut before each of the windows; of the first, which stays, nothing.
            saved = (length - padded[start:end]) * numpy.arange(end - start, 0, -1)
            if saved.max() <= batch_cost:
                break
            end = start + int(saved.argmax())
        yield order[start:end], length
        start = end


def stack_windows(
    windows: Windows, wordpieces: Wordpieces, specials: Specials, length: int, pad: int
) -> Batch:
    """RETURNS (Batch): The windows, padded to a length with the wordpiece `pad`."""
    prefix, suffix = specials
    n = len(windows.first)
    rows = numpy.arange(n)
    inputs = numpy.zeros((3, n, length), dtype="int64")
    ids, mask, cases = inputs
    ids.fill(pad)
    ids[:, : len(prefix)] = prefix
    read = windows.last - windows.first
    at = ranges(rows * length + len(prefix), read)
    sources = ranges(windows.first, read)
    ids.reshape(-1)[at] = wordpieces.ids[sources]
    cases.reshape(-1)[at] = wordpieces.cases[sources]
    for i, special in enumerate(suffix):
        ids[rows, len(prefix) + read + i] = special
    mask[:] = numpy.arange(length) < (read + len(prefix) + len(suffix))[:, None]
    predicted = windows.end - windows.start
    offsets = rows * length + len(prefix) + windows.start - windows.first
    return Batch(inputs, ranges(offsets, predicted), ranges(windows.start, predicted))


def make_batches(
    docs: Sequence["Doc"],
    wordpieces: Wordpieces,
    specials: Specials,
    size: int,
    windowing: Windowing,
    pad: int,
    multiple: int = PAD_MULTIPLE,
    batch_cost: float = math.inf,
) -> list[Batch]:
    """RETURNS (list[Batch]): All windows of the documents. size: wordpieces in a window, with
    special tokens; pad: the wordpiece that fills up; multiple: of which lengths are; batch_cost: as
    in `batch_windows`."""
    windows = make_windows(docs, wordpieces, size - sum(map(len, specials)), windowing)
    limit = cast(int, windowing.batch_wordpieces)
    return [
        stack_windows(
            Windows(*(column[indices] for column in windows)), wordpieces, specials, length, pad
        )
        for indices, length in batch_windows(windows, specials, size, limit, multiple, batch_cost)
    ]
