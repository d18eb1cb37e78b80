"""The paths of a chain of words through the lattice: the best one, and the sum of all. Needs numpy
only."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy

from .lattice import BEST, SUM, Lattice, Semiring, legal_pairs
from .types import Array

# Log-probabilities are at least this, so that the weight of a word is not 0 in floating point
# (exp(-100) is 4e-44). The separator's -inf stays: it forbids.
LEAST = -100.0
RESCALE = 3  # words between two rescalings: exp(3 * LEAST) is far above the least float64, 2e-308


def walk(
    lattice: Lattice, blocks: Array, rows: Array, semiring: Semiring
) -> Iterator[tuple[Array, Array]]:
    """Multiply rows by the matrices of their blocks, one after another.

    blocks (Array): Moves, (size, n_moves, B).
    rows (Array): (m, S, B).
    YIELDS (tuple[Array, Array]): The product before each matrix, and at last after all, (m, S, B);
        to its logarithm, the second must be added, (m, 1, B).
    """
    shift = numpy.zeros((len(rows), 1, rows.shape[-1]))
    for i, moves in enumerate(blocks, start=1):
        yield rows, shift
        rows = lattice.multiply(rows, moves, semiring)
        if semiring is SUM and i % RESCALE == 0:
            largest = rows.max(axis=1, keepdims=True)
            largest[largest == 0] = 1.0
            rows = rows / largest
            shift = shift + numpy.log(largest)
    yield rows, shift


def scan(lattice: Lattice, chains: Sequence[Array], semiring: Semiring) -> Array:
    """Run the forward recursion over chains of words in about 3 sqrt(n) vectorised steps.

    A chain is cut into blocks of sqrt(n) words: first the products of all blocks' matrices, side
    by side, then the chain of blocks, then all blocks' words, side by side
    (https://en.wikipedia.org/wiki/Prefix_sum#Parallel_algorithms).

    chains (Sequence[Array]): The moves of each chain's words, (n_moves, n_words).
    RETURNS (Array): Log-weights of all that leads from state 0 at the beginning to a state: before
        each word, and at last after all, (n_chains, S, n_words + 1).
    """
    n_chains, n_states, (n_moves, n) = len(chains), lattice.n_states, chains[0].shape
    size = math.isqrt(n) + 1
    n_blocks, rest = n // size + 1, n % size
    # The last block isn't full; what it lacks is not read.
    blocks = numpy.zeros((n_moves, size, n_chains, n_blocks))
    for i, moves in enumerate(chains):
        full = moves[:, : n - rest].reshape(n_moves, -1, size)
        blocks[:, :, i, :-1] = full.swapaxes(1, 2)
        blocks[:, :rest, i, -1] = moves[:, n - rest :]
    blocks = blocks.reshape(n_moves, size, -1).swapaxes(0, 1)
    same = numpy.where(numpy.eye(n_states, dtype=bool), semiring.one, semiring.zero)[:, :, None]
    with numpy.errstate(divide="ignore"):  # log(0) is -inf
        for rows, shift in walk(lattice, blocks, same, semiring):  # noqa: B007
            pass
        products = (semiring.log(rows) + shift).reshape(n_states, n_states, n_chains, n_blocks)
        starts = numpy.full((n_states, n_chains, n_blocks), -numpy.inf)
        starts[0, :, 0] = 0.0
        for i in range(n_blocks - 1):
            paths = starts[:, None, :, i] + products[..., i]
            starts[..., i + 1] = semiring.log_plus.reduce(paths, axis=0)
        starts = starts.reshape(1, n_states, -1)
        largest = starts.max(axis=1, keepdims=True)
        largest[largest == -numpy.inf] = 0.0
        steps = [
            semiring.log(rows[0]) + shift[0]
            for rows, shift in walk(lattice, blocks, semiring.exp(starts - largest), semiring)
        ]
    states = numpy.stack(steps[:size], axis=-1) + largest[0][..., None]  # (S, B, size)
    return cast(Array, states.reshape(n_states, n_chains, -1).swapaxes(0, 1)[..., : n + 1])


def best_labels(lattice: Lattice, words: Array) -> Array:
    """RETURNS (Array): The labels of the best legal sequence, (n_words,). words: as for
    `find_best_mentions`."""
    labels = words.argmax(axis=1)
    is_legal = legal_pairs(lattice)[numpy.append(0, labels[:-1]), labels]
    if not is_legal.all():
        # The likeliest labels are the best where they are legal: a search takes time. Separators
        # divide the chain into documents, of which few need one.
        ends = numpy.flatnonzero((words[:, 1:] == -numpy.inf).all(axis=1))
        documents = numpy.searchsorted(ends, numpy.arange(len(words)))
        searched = numpy.isin(documents, documents[~is_legal])
        labels[searched] = search_best_labels(lattice, words[searched])
    return cast(Array, labels)


def search_best_labels(lattice: Lattice, words: Array) -> Array:
    """RETURNS (Array): As `best_labels` (Viterbi)."""
    moves = lattice.moves(words.T, BEST)
    # The best that can follow each state, from the end.
    after = scan(lattice, [lattice.reverse(moves)], BEST)[0, :, -2::-1]
    state, states = 0, [0]
    for row in lattice.next_states(moves, after).T.tolist():
        state = row[state]
        states.append(state)
    return lattice.labels(words, numpy.array(states))


class ChainMentions(NamedTuple):
    """Mentions in a chain of words, in order."""

    starts: Array  # (n_mentions,)
    ends: Array  # (n_mentions,): the word after the last
    types: Array  # (n_mentions,): 0 … K - 1
    scores: Array  # (n_mentions,): probabilities


def limit(words: Array) -> Array:
    return numpy.where(words == -numpy.inf, words, numpy.maximum(words, LEAST))


class Paths:
    """The log-weights of all legal sequences of a chain, for the probabilities of its spans:
    forward-backward (Rabiner 1989, https://doi.org/10.1109/5.18626).

    words (Array): Log-probabilities of labels, (n_words, n_labels), the last a separator.
    """

    def __init__(self, lattice: Lattice, words: Array) -> None:
        self.lattice, self.log_probabilities = lattice, words
        self.words = limit(words)
        self.moves = lattice.moves(numpy.exp(self.words.T), SUM)
        before, after = scan(lattice, [self.moves, lattice.reverse(self.moves)], SUM)
        # (1 + K, n_words + 1): of what leads to a state before each word, as a share of all; and of
        # what follows it. Their sum is the log-probability of the state.
        self.before, self.after = before - before[0, -1], after[:, ::-1]

    def preceding(self, starts: Array, types: Array) -> Array:
        """RETURNS (Array): Of what leads to mentions that start at words, (n_mentions,)."""
        if not self.lattice.joined:
            return cast(Array, self.before[0, starts])
        states = self.before[:, starts]
        states[types + 1, numpy.arange(len(types))] = -numpy.inf  # the mention before is of another
        return cast(Array, numpy.logaddexp.reduce(states, axis=0))

    def following(self, ends: Array, types: Array) -> Array:
        """RETURNS (Array): Of what follows mentions that end before words, (n_mentions,)."""
        if not self.lattice.joined:
            return cast(Array, self.after[0, ends])
        with numpy.errstate(divide="ignore"):
            nexts = numpy.log(self.moves[: self.lattice.n_states, ends]) + self.after[:, ends + 1]
        nexts[types + 1, numpy.arange(len(types))] = -numpy.inf  # nor the mention after
        return cast(Array, numpy.logaddexp.reduce(nexts, axis=0))


def find_best_mentions(paths: Paths) -> ChainMentions:
    """RETURNS (ChainMentions): The mentions of the best legal sequence (Viterbi), with their
    probabilities."""
    labels = best_labels(paths.lattice, paths.log_probabilities)
    starts, ends, types = find_mentions(paths.lattice, labels)
    rows = paths.words[numpy.arange(len(labels)), labels]
    sums = numpy.append(0.0, numpy.cumsum(rows))
    outside = paths.preceding(starts, types) + paths.following(ends, types)
    scores = numpy.exp(outside + sums[ends] - sums[starts])
    return ChainMentions(starts, ends, types, numpy.minimum(scores, 1.0))


def best_log_probability(lattice: Lattice, words: Array) -> float:
    """RETURNS (float): The log-probability of the best legal sequence among all legal ones. words:
    as for `find_best_mentions`."""
    labels, limited = best_labels(lattice, words), limit(words)
    own = limited[numpy.arange(len(words)), labels].sum()
    all_ = scan(lattice, [lattice.moves(numpy.exp(limited.T), SUM)], SUM)[0, 0, -1]
    return float(min(0.0, own - all_))


def find_mentions(lattice: Lattice, labels: Array) -> tuple[Array, Array, Array]:
    """RETURNS (tuple[Array, Array, Array]): Starts, ends and types of the mentions of a legal
    sequence of labels (n_words,) that ends with O."""
    k = lattice.n_types
    kinds = (labels - 1) // k  # O -1, B 0, I 1, L 2, U 3
    starts = numpy.flatnonzero((kinds == 0) | (kinds == 3))
    others = numpy.flatnonzero((kinds != 1) & (kinds != 2))  # where a mention before is over
    ends = others[numpy.searchsorted(others, starts, side="right")]
    return starts, ends, (labels[starts] - 1) % k
