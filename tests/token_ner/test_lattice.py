"""Decoding against all legal sequences, written out."""

import itertools
import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.token_ner.lattice_helpers import (
    LATTICES,
    Found,
    as_tuples,
    enumerate_all,
    find_best,
    is_legal,
    names,
    random_words,
)
from token_ner.lattice import BEST, SUM, Lattice, Semiring, legal_pairs, log_softmax
from token_ner.paths import (
    Paths,
    best_labels,
    find_best_mentions,
    find_mentions,
    scan,
    search_best_labels,
)


def weight_of(words: numpy.ndarray, mentions: list[Found], lattice: Lattice) -> float:
    """The weight of the one sequence with these mentions."""
    columns = names(lattice)
    labels = ["O"] * len(words)
    for start, end, type_ in mentions:
        labels[start:end] = [f"B{type_}"] + [f"I{type_}"] * (end - start - 1)
        if lattice.bilou:
            labels[end - 1] = f"{'U' if end - start == 1 else 'L'}{type_}"
    return float(sum(words[i, columns.index(label)] for i, label in enumerate(labels)))


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_decode_equals_brute_force(lattice: Lattice, n: int, seed: int) -> None:
    words = random_words(lattice, n, seed)
    best, probabilities = enumerate_all(words, lattice)
    found = find_best(lattice, words)
    mentions = as_tuples(found)
    # Sequences with a B that could be an I have the same mentions in only one way.
    assert weight_of(words, mentions, lattice) == pytest.approx(best)
    expected = [probabilities[mention] for mention in mentions]
    assert found.scores.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_decode_keeps_documents_apart(lattice: Lattice) -> None:
    """A chain of documents gives what each alone gives."""
    documents = [random_words(lattice, n, seed=n) for n in (1, 5, 2, 30, 3)]
    offset, expected, scores = 0, [], []
    for document in documents:
        alone = find_best(lattice, document)
        expected += [(s + offset, e + offset, t) for s, e, t in as_tuples(alone)]
        scores += alone.scores.tolist()
        offset += len(document) + 1
    chain = numpy.concatenate([p for document in documents for p in (document, lattice.separator)])
    together = find_best_mentions(Paths(lattice, chain))
    assert as_tuples(together) == expected
    assert together.scores.tolist() == pytest.approx(scores)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_decode_is_legal_when_all_is_equally_likely(lattice: Lattice) -> None:
    words = numpy.full((50, lattice.n_labels), -math.log(lattice.n_labels))
    mentions = as_tuples(find_best(lattice, words))
    assert all(start < end <= 50 for start, end, _ in mentions)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(mentions))


def test_decode_a_closed_scheme_ends_mentions_in_their_document() -> None:
    """In BILOU a B at the last word would stay open: the best legal label is another."""
    lattice = Lattice(n_types=1, bilou=True)
    # Columns O, B, I, L, U.
    words = numpy.log(numpy.array([[0.1, 0.7, 0.05, 0.05, 0.1]]))
    found = find_best(lattice, words)
    assert found.scores.tolist() in ([], pytest.approx([0.5]))


def test_decode_scores_of_one_word_by_hand() -> None:
    """One word, BIO: I can't begin, so B has 0.6 of 0.6 + 0.3."""
    lattice = Lattice(n_types=1, bilou=False)
    words = numpy.log(numpy.array([[0.3, 0.6, 0.1]]))
    found = find_best(lattice, words)
    assert as_tuples(found) == [(0, 1, 0)]
    assert found.scores.tolist() == pytest.approx([0.6 / 0.9])


def test_decode_of_io_joins_adjacent_words_of_a_type() -> None:
    """With the same columns for B and I, the score of a mention is the product of its words'
    probabilities and of those that it ends there."""
    lattice = Lattice(n_types=2, bilou=False, joined=True)
    types = numpy.array([[0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]])  # O, 0, 1
    words = numpy.log(types[:, [0, 1, 2, 1, 2]])
    found = find_best(lattice, words)
    assert as_tuples(found) == [(0, 2, 0), (2, 3, 1)]
    assert found.scores.tolist() == pytest.approx([0.7 * 0.6 * 0.9, 0.8 * 0.9])


def test_decode_stays_exact_over_a_long_document() -> None:
    """100,000 words: no underflow, and scores equal those of a short one around the mention."""
    lattice = Lattice(n_types=2, bilou=False)
    words = random_words(lattice, 100_000, seed=0, scale=3.0)
    # A sure O in front and behind cuts the chain.
    words[[49_999, 50_010]] = lattice.separator
    found = find_best(lattice, words)
    part = find_best_mentions(Paths(lattice, words[50_000:50_011]))
    inside = (found.starts >= 50_000) & (found.starts < 50_010)
    assert (found.starts[inside] - 50_000).tolist() == part.starts.tolist()
    assert found.scores[inside].tolist() == pytest.approx(part.scores.tolist(), abs=1e-9)
    assert len(found.scores) > 10_000
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(0, 200),
    k=st.integers(1, 4),
    scheme=st.sampled_from(["bio", "bilou", "io"]),
    seed=st.integers(0, 2**32 - 1),
    semiring=st.sampled_from([BEST, SUM]),
)
def test_scan_equals_word_by_word(
    n: int, k: int, scheme: str, seed: int, semiring: Semiring
) -> None:
    """Two chains at once, one of them backwards, against one matrix a word."""
    lattice = Lattice(n_types=k, bilou=scheme == "bilou", joined=scheme == "io")
    words = random_words(lattice, n, seed)
    moves = lattice.moves(semiring.exp(words.T), semiring)
    # With many types, all pairs of states would take most of the time of a prediction.
    assert len(moves) == ((k + 1) ** 2 if lattice.joined else 1 + 3 * k)
    matrices = [matrix_of(lattice, word, semiring) for word in words]
    expected = [matrices, [matrix.T for matrix in matrices[::-1]]]
    found = scan(lattice, [moves, lattice.reverse(moves)], semiring)
    for chain, states in zip(expected, found, strict=True):
        state = numpy.array([0.0] + [-numpy.inf] * k)
        for i, matrix in enumerate([*chain, None]):
            numpy.testing.assert_allclose(states[:, i], state, rtol=1e-9, atol=1e-9)
            if matrix is not None:
                state = semiring.log_plus.reduce(state[:, None] + matrix, axis=0)


def matrix_of(lattice: Lattice, word: numpy.ndarray, semiring: Semiring) -> numpy.ndarray:
    """The log-weights of a word's moves, by the table of the module."""
    weights = dict(zip(names(lattice), word.tolist(), strict=True))
    matrix = numpy.full((lattice.n_types + 1, lattice.n_types + 1), -numpy.inf)

    def allow(before: int, after: int, label: str) -> None:
        matrix[before, after] = semiring.log_plus(matrix[before, after], weights[label])

    for k in range(lattice.n_types):
        if lattice.joined:
            allow(k + 1, k + 1, f"I{k}")
            for before in {*range(lattice.n_types + 1)} - {k + 1}:
                allow(before, k + 1, f"B{k}")
            allow(k + 1, 0, "O")
            continue
        allow(0, k + 1, f"B{k}")
        allow(k + 1, k + 1, f"I{k}")
        allow(k + 1, 0, f"L{k}" if lattice.bilou else f"I{k}")
        allow(0, 0, f"U{k}" if lattice.bilou else f"B{k}")
    allow(0, 0, "O")
    return matrix


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_legal_pairs_stand_in_legal_sequences(lattice: Lattice) -> None:
    columns = names(lattice)
    expected = [
        [any(is_legal((a, b, c, d), lattice) for a in columns for d in columns) for c in columns]
        for b in columns
    ]
    assert legal_pairs(lattice).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=20),
    scheme=st.sampled_from(["bio", "bilou", "io"]),
    seed=st.integers(0, 2**32 - 1),
    outside=st.floats(0, 20),
)
def test_best_labels_are_as_good_as_those_of_a_search(
    lengths: list[int], scheme: str, seed: int, outside: float
) -> None:
    """Only documents whose likeliest labels are not legal are searched: the surer O is, the
    fewer."""
    lattice = Lattice(n_types=2, bilou=scheme == "bilou", joined=scheme == "io")
    words = [random_words(lattice, n, seed + n) for n in lengths]
    for document in words:
        document[:, 0] += outside
    chain = numpy.concatenate([part for doc in words for part in (doc, lattice.separator)])
    labels, searched = best_labels(lattice, chain), search_best_labels(lattice, chain)
    assert is_legal(tuple(names(lattice)[i] for i in labels), lattice)
    rows = numpy.arange(len(chain))
    assert chain[rows, labels].sum() == pytest.approx(chain[rows, searched].sum())
    mentions = [find_mentions(lattice, found) for found in (labels, searched)]
    for one, other in zip(*mentions, strict=True):
        assert one.tolist() == other.tolist()


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 300),
    scheme=st.sampled_from(["bio", "bilou", "io"]),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 30.0, 1e3, 1e6]),
)
def test_decode_of_any_logits_gives_probabilities(
    n: int, scheme: str, seed: int, scale: float
) -> None:
    """Also where the labels that are sure are not legal, for hundreds of words in a row."""
    lattice = Lattice(n_types=3, bilou=scheme == "bilou", joined=scheme == "io")
    words = random_words(lattice, n, seed, scale)
    found = find_best(lattice, words)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert is_legal_chain(as_tuples(found), n)


def is_legal_chain(mentions: list[Found], n: int) -> bool:
    bounds = [bound for start, end, _ in mentions for bound in (start, end)]
    return bounds == sorted(bounds) and all(s < e <= n for s, e, _ in mentions)


def test_find_mentions_adjacent_and_at_the_ends() -> None:
    lattice = Lattice(n_types=2, bilou=False)  # O B0 B1 I0 I1
    starts, ends, types = find_mentions(lattice, numpy.array([1, 1, 3, 2, 4, 0]))
    assert list(zip(starts, ends, types, strict=True)) == [(0, 1, 0), (1, 3, 0), (3, 5, 1)]


def test_log_softmax_sums_to_one_at_any_size() -> None:
    logits = numpy.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]])
    probabilities = numpy.exp(log_softmax(logits))
    assert probabilities.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert probabilities[0].tolist() == [1.0, 0.0, 0.0]
