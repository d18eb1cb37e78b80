"""Windows: every wordpiece is predicted once, with its context."""

import itertools
import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from token_ner.onnx_model import onnx_classifier
from token_ner.windows import (
    PAD_MULTIPLE,
    Windowing,
    Windows,
    batch_windows,
    cut,
    make_batches,
    make_windows,
)
from token_ner.wordpieces import N_CASES, Wordpieces

SPECIALS = ([0], [1])
PAD = 2


def make_wordpieces(docs: list[Doc], lengths: list[numpy.ndarray]) -> Wordpieces:
    """RETURNS (Wordpieces): Wordpieces 10, 11, … of words with these lengths."""
    flat = numpy.concatenate([numpy.zeros(0, dtype=int), *lengths])
    ids = numpy.arange(10, 10 + flat.sum())
    words_before = numpy.cumsum([0, *map(len, docs)])
    before = numpy.append(0, numpy.cumsum(flat))[words_before]
    return Wordpieces(ids, [""] * len(ids), ids % N_CASES, flat, words_before, before)


@given(
    lengths=st.lists(st.integers(0, 7), max_size=100),
    capacity=st.integers(7, 30),
    data=st.data(),
)
def test_cut_covers_all_in_parts_that_fit(
    lengths: list[int], capacity: int, data: st.DataObject
) -> None:
    starts = data.draw(st.sets(st.integers(0, max(0, len(lengths) - 1)), max_size=len(lengths)))
    array, sentences = numpy.array(lengths, dtype=int), numpy.array(sorted(starts), dtype=int)
    cuts = cut(array, sentences, capacity).tolist()
    assert (cuts[0], cuts[-1]) == (0, sum(lengths))
    assert cuts == sorted(cuts)
    assert all(b - a <= capacity for a, b in itertools.pairwise(cuts))
    boundaries = {0, *numpy.cumsum(array).tolist()}
    assert set(cuts) <= boundaries
    if sum(lengths) > capacity:
        assert all(a < b for a, b in itertools.pairwise(cuts))


def test_cut_evenly_and_by_sentences() -> None:
    ones = numpy.ones(10, dtype=int)
    assert cut(ones, numpy.array([], dtype=int), 8).tolist() == [0, 5, 10]
    assert cut(ones, numpy.array([0, 4, 9]), 8).tolist() == [0, 4, 10]  # 4 is nearer to half
    assert cut(ones, numpy.array([0, 1]), 8).tolist() == [0, 5, 10]  # too little for a part
    assert cut(ones, numpy.array([0, 3]), 10).tolist() == [0, 10]


@pytest.mark.parametrize(
    ("sentence_windows", "starts", "expected"),
    [
        (False, {0, 4}, [4, 6]),
        (False, {0, 2, 9}, [5, 5]),
        (True, {0, 2, 9}, [2, 3, 4, 1]),  # the second, of 7, is longer than the 6 of a window
        (True, {0}, [5, 5]),
        (True, set(), [5, 5]),
    ],
)
def test_windows_are_cut_at_sentence_starts(
    sentence_windows: bool, starts: set[int], expected: list[int], vocab: Vocab
) -> None:
    flags: list[bool | int | None] = [i in starts for i in range(10)]
    doc = Doc(vocab, words=list("abcdefghij"), sent_starts=flags)
    wordpieces = make_wordpieces([doc], [numpy.ones(10, dtype=int)])
    windows = make_windows([doc], wordpieces, 6, Windowing(8, 0, 100, "float32", sentence_windows))
    assert (windows.end - windows.start).tolist() == expected


@given(
    sizes=st.lists(st.integers(0, 60), max_size=5),
    context=st.integers(0, 5),
    size=st.integers(13, 40),
    sentence_windows=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_windows_predict_each_wordpiece_once_with_its_context(
    sizes: list[int], context: int, size: int, sentence_windows: bool, seed: int
) -> None:
    random = numpy.random.default_rng(seed)
    vocab = Vocab()
    docs = []
    for n in sizes:
        starts = random.random(n) < 0.2
        docs.append(Doc(vocab, words=["x"] * n, sent_starts=starts.tolist()))
    most = size - 2 - 2 * context
    lengths = [random.integers(0, most + 1, size=n) for n in sizes]
    wordpieces = make_wordpieces(docs, lengths)
    windowing = Windowing(size, context, 64, "float32", sentence_windows)
    windows = make_windows(docs, wordpieces, size - 2, windowing)
    owner = numpy.searchsorted(wordpieces.before, windows.start, side="right") - 1
    document_start, document_end = wordpieces.before[owner], wordpieces.before[owner + 1]
    assert (windows.first <= numpy.maximum(document_start, windows.start - context)).all()
    assert (windows.last >= numpy.minimum(document_end, windows.end + context)).all()
    assert ((windows.first >= document_start) & (windows.last <= document_end)).all()
    batches = make_batches(docs, wordpieces, SPECIALS, size, windowing, PAD)
    found = [numpy.zeros(0, dtype=int)]
    for batch in batches:
        ids, mask, cases = batch.inputs
        n, length = ids.shape
        longest = mask.sum(axis=1).max()
        assert longest <= length <= size
        assert length == size or 0 <= length - longest < PAD_MULTIPLE
        assert n == 1 or n * length <= 64
        assert (ids.ravel()[batch.cells] == wordpieces.ids[batch.wordpieces]).all()
        found.append(batch.wordpieces)
        for row in range(n):
            own = ids[row, mask[row] == 1]
            assert (own[0], own[-1]) == (0, 1)
            assert (numpy.diff(own[1:-1]) == 1).all()  # consecutive wordpieces
            assert (ids[row, mask[row] == 0] == PAD).all()
            assert cases[row].tolist() == numpy.where(ids[row] < 10, 0, ids[row] % N_CASES).tolist()
    assert sorted(numpy.concatenate(found).tolist()) == list(range(len(wordpieces.ids)))


def windows_of(lengths: Any) -> Windows:
    """Windows of documents of their own, with two special tokens each."""
    ends = numpy.cumsum(numpy.array(lengths) - 2)
    starts = ends - numpy.array(lengths) + 2
    return Windows(starts, starts, ends, ends)


@given(
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=30),
    batch_wordpieces=st.integers(1, 200),
    multiple=st.sampled_from([1, 8, 32]),
    batch_cost=st.sampled_from([0, 5, 12, math.inf]),
)
def test_batches_have_windows_of_similar_length(
    lengths: list[int], batch_wordpieces: int, multiple: int, batch_cost: float
) -> None:
    batches = list(
        batch_windows(windows_of(lengths), SPECIALS, 40, batch_wordpieces, multiple, batch_cost)
    )
    for indices, length in batches:
        assert len(indices) == 1 or len(indices) * length <= batch_wordpieces
        assert max(lengths[i] for i in indices) <= length <= 40
    order = numpy.concatenate([indices for indices, _ in batches]).tolist()
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)


def total(batches: list[tuple[Any, int]]) -> int:
    return sum(len(indices) * length for indices, length in batches)


@given(
    lengths=st.lists(st.integers(3, 128), min_size=1, max_size=60),
    batch_cost=st.sampled_from([0, 12, 50]),
)
def test_batches_are_cut_where_padding_costs_more(lengths: list[int], batch_cost: int) -> None:
    """No cut in a batch would save more than it costs."""
    for indices, length in batch_windows(windows_of(lengths), SPECIALS, 128, 512, 1, batch_cost):
        for i in range(1, len(indices)):
            rest = lengths[indices[i]]
            assert (length - rest) * (len(indices) - i) <= batch_cost
    free = list(batch_windows(windows_of(lengths), SPECIALS, 128, 512, 1, 0))
    assert total(free) == sum(lengths)


@pytest.mark.parametrize("n", [1, 16, 32, 128])
def test_slim_batches_of_mixed_lengths_have_little_padding(n: int) -> None:
    """Sentences and windows of long documents, n at a time: below 10 %, where batches that are as
    full as possible have a third."""
    rng = numpy.random.default_rng(0)
    sentences = rng.gamma(2, 10, size=1024).astype(int) + 4  # 24 on average
    lengths = numpy.where(rng.random(1024) < 0.2, rng.integers(60, 129, 1024), sentences)
    lengths = numpy.minimum(lengths, 128)
    ours, full = (
        sum(
            total(list(batch_windows(windows_of(part), SPECIALS, 128, 512, *settings)))
            for part in numpy.split(lengths, len(lengths) // n)
        )
        for settings in ((onnx_classifier.PAD_MULTIPLE, onnx_classifier.BATCH_COST), (8, math.inf))
    )
    assert ours < lengths.sum() / 0.9
    assert ours < full


def test_windows_are_padded_to_few_lengths_within_the_model() -> None:
    def padded(longest: int, size: int) -> int:
        start, end = numpy.array([0]), numpy.array([longest - 2])
        ((_, length),) = batch_windows(Windows(start, start, end, end), SPECIALS, size, 1024, 32)
        return length

    assert [padded(n, 100) for n in (1, 32, 33, 96, 97, 100)] == [32, 32, 64, 96, 100, 100]
