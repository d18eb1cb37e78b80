"""Candidates against all legal sequences, written out."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.token_ner.lattice_helpers import (
    LATTICES,
    as_tuples,
    enumerate_all,
    find_best,
    paths_of,
    random_words,
)
from token_ner.candidates import find_candidates
from token_ner.lattice import Lattice
from token_ner.paths import ChainMentions


def candidates(lattice: Lattice, words: numpy.ndarray, *floors: float) -> ChainMentions:
    return find_candidates(paths_of(lattice, words), numpy.broadcast_to(floors, lattice.n_types))


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_candidates_are_all_spans_above_their_types_floor(
    lattice: Lattice, n: int, seed: int, floor: float, other: float
) -> None:
    words = random_words(lattice, n, seed)
    _, probabilities = enumerate_all(words, lattice)
    floors = (floor, other)[: lattice.n_types]
    found = candidates(lattice, words, *floors)
    expected = {m: p for m, p in probabilities.items() if p >= floors[m[2]]}
    assert as_tuples(found) == sorted(expected)
    assert found.scores.tolist() == pytest.approx([expected[m] for m in sorted(expected)])


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_candidates_have_the_mentions_of_the_best_sequence(
    lattice: Lattice, n: int, seed: int
) -> None:
    words = random_words(lattice, n, seed)
    best = find_best(lattice, words)
    found = candidates(lattice, words, 0.01)
    scores = dict(zip(as_tuples(found), found.scores.tolist(), strict=True))
    for mention, score in zip(as_tuples(best), best.scores.tolist(), strict=True):
        if score > 0.0101:
            assert scores[mention] == pytest.approx(score)


def test_candidates_have_any_length() -> None:
    lattice = Lattice(n_types=1, bilou=False)
    words = numpy.full((5000, 3), numpy.log(1e-6))  # O, B, I
    words[0, 1] = words[1:, 2] = 0.0
    found = candidates(lattice, words, 0.5)
    assert as_tuples(found) == [(0, 5000, 0)]
    assert found.scores.tolist() == pytest.approx([1.0], abs=0.01)


def test_candidates_of_words_that_are_only_outside_are_none() -> None:
    lattice = Lattice(n_types=2, bilou=True)
    assert as_tuples(candidates(lattice, numpy.repeat(lattice.separator, 3, axis=0), 0.001)) == []
