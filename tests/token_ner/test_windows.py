"""Wordpieces and windows: every wordpiece is predicted once, with its context."""

import itertools
from pathlib import Path
from typing import Any

import numpy
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from token_ner.windows import (
    N_CASES,
    PAD_MULTIPLE,
    Window,
    Windowing,
    Wordpieces,
    batch_windows,
    cut,
    letter_case,
    make_windows,
    special_tokens,
    tokenize,
)


def load_tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def tokenizer(tiny_backbone: Path) -> Any:
    return load_tokenizer(tiny_backbone).backend_tokenizer


def test_letter_case() -> None:
    words = ["bank", "1996", ",", "Bank", "BANK", "U.N.", "F-16", "A", "McBank", "eBay"]
    assert [letter_case(word) for word in words] == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert [letter_case(word) for word in ("straße", "Ärzte", "ΑΘΗΝΑ", "東京", "ǅ")] == [
        0,
        1,
        2,
        0,
        4,
    ]


def test_tokenize_a_word_longer_than_a_window_keeps_its_start(
    tiny_roberta: Path, vocab: Vocab
) -> None:
    tokenizer = load_tokenizer(tiny_roberta)
    words = ["Ada", "b" * 10_000, "left"]
    (pieces,) = tokenize(tokenizer.backend_tokenizer, [Doc(vocab, words=words)], limit=5)
    whole = [tokenizer.tokenize(f" {word}") for word in words]
    assert len(whole[1]) > 5
    assert pieces.lengths.tolist() == [len(whole[0]), 5, len(whole[2])]
    assert pieces.strings == [*whole[0], *whole[1][:5], *whole[2]]
    assert tokenizer.convert_ids_to_tokens(pieces.ids.tolist()) == pieces.strings


def test_tokenize_empty_documents_among_others(tokenizer: Any, vocab: Vocab) -> None:
    docs = [Doc(vocab), Doc(vocab, words=["ab"]), Doc(vocab), Doc(vocab, words=[" "])]
    assert [p.lengths.tolist() for p in tokenize(tokenizer, docs, 10)] == [[], [2], [], [0]]


def test_tokenize_ignores_the_limits_of_the_file(tokenizer: Any, vocab: Vocab) -> None:
    """Many a tokenizer.json asks for truncation and padding, all-MiniLM's for 128 wordpieces."""
    docs = [Doc(vocab, words=["ab"] * 10), Doc(vocab, words=["a"])]
    expected = [p.ids.tolist() for p in tokenize(tokenizer, docs, 10)]
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=30)
    assert [p.ids.tolist() for p in tokenize(tokenizer, docs, 10)] == expected
    assert len(expected[0]) == 20
    tokenizer.enable_padding(length=30)
    assert special_tokens(tokenizer) == ([2], [3])


def test_special_tokens(tokenizer: Any, tiny_roberta: Path) -> None:
    assert special_tokens(tokenizer) == ([2], [3])
    roberta = load_tokenizer(tiny_roberta)
    assert special_tokens(roberta.backend_tokenizer) == (
        [roberta.bos_token_id],
        [roberta.eos_token_id],
    )


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
    sentence_windows: bool, starts: set[int], expected: list[int], tokenizer: Any, vocab: Vocab
) -> None:
    flags: list[bool | int | None] = [i in starts for i in range(10)]
    doc = Doc(vocab, words=list("abcdefghij"), sent_starts=flags)
    pieces = tokenize(tokenizer, [doc], 6)
    windowing = Windowing(8, 0, 100, "float32", sentence_windows)
    windows = make_windows([doc], pieces, special_tokens(tokenizer), 8, windowing)
    assert [window.core.stop - window.core.start for window in windows] == expected


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
    wordpieces, next_id = [], 10
    for n in sizes:
        lengths = random.integers(0, size - 2 - 2 * context + 1, size=n)
        total = int(lengths.sum())
        ids = numpy.arange(next_id, next_id + total)
        wordpieces.append(Wordpieces(ids, [""] * total, lengths, ids % N_CASES))
        next_id += total
    windowing = Windowing(size, context, 64, "float32", sentence_windows)
    windows = make_windows(docs, wordpieces, ([0], [1]), size, windowing)
    everything = numpy.concatenate([numpy.zeros(0, dtype=int), *(w.ids for w in wordpieces)])
    found = [numpy.zeros(0, dtype=int)]
    for window in windows:
        assert len(window.ids) <= size
        assert (window.ids[0], window.ids[-1]) == (0, 1)
        assert window.cases.tolist() == [0, *(window.ids[1:-1] % N_CASES), 0]
        core = window.ids[window.core]
        found.append(core)
        (own,) = [w.ids for w in wordpieces if core[0] in w.ids]
        assert window.core.start - 1 >= min(context, core[0] - own[0])
        assert len(window.ids) - 1 - window.core.stop >= min(context, own[-1] - core[-1])
    assert numpy.concatenate(found).tolist() == everything.tolist()
    batches = list(batch_windows(windows, size, 64))
    assert sorted(w.row for batch, _ in batches for w in batch) == sorted(w.row for w in windows)
    for batch, length in batches:
        longest = max(len(window.ids) for window in batch)
        assert longest <= length <= size
        assert length == size or 0 <= length - longest < PAD_MULTIPLE
        assert len(batch) == 1 or len(batch) * length <= 64


def test_windows_are_padded_to_few_lengths_within_the_model() -> None:
    def padded(longest: int, size: int) -> int:
        window = Window(numpy.zeros(longest, dtype=int), numpy.zeros(longest), slice(1, 2), 0)
        ((_, length),) = batch_windows([window], size, 1024)
        return length

    assert [padded(n, 100) for n in (1, 32, 33, 96, 97, 100)] == [32, 32, 64, 96, 100, 100]
