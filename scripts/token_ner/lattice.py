"""Decoding: the best legal sequence of labels, and the probability of every mention in it.

A label scheme is a lattice. Its states are 0, no mention is open, and k = 1 … K, a mention of the
k-th type is open. A word moves from state to state by its label:

    bio     any -> 0 by O     any -> k by B-k     k -> k by I-k
    io      as bio, but k -> k by I-k only: adjacent words of one type are one mention
    bilou   0 -> 0 by O or any U-k     0 -> k by B-k     k -> k by I-k     k -> 0 by L-k

So in BIO and IO a mention stays open until the word after it. The columns of labels are O, then all
B, then all I, and in BILOU all L and all U, with the types in one order. A word is a matrix of
weights from state to state, and a chain of words is the product of their matrices. Needs numpy
only.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, cast

import numpy

from .types import Array

# Log-probabilities are at least this, so that the weight of a word is not 0 in floating point
# (exp(-100) is 4e-44). The separator's -inf stays: it forbids.
LEAST = -100.0
RESCALE = 3  # words between two rescalings: exp(3 * LEAST) is far above the least float64, 2e-308


class Semiring(NamedTuple):
    """How weights are joined: a path's is the product of its words', and paths add up
    (https://en.wikipedia.org/wiki/Semiring)."""

    plus: numpy.ufunc
    times: numpy.ufunc
    zero: float
    one: float
    log: Callable[[Array], Array]  # from weights to log-weights
    exp: Callable[[Array], Array]  # and back
    log_plus: numpy.ufunc  # `plus` for log-weights


def unchanged(weights: Array) -> Array:
    return weights


# The best path, by log-weights, and the sum of all paths, by weights.
BEST = Semiring(numpy.maximum, numpy.add, -numpy.inf, 0.0, unchanged, unchanged, numpy.maximum)
SUM = Semiring(numpy.add, numpy.multiply, 0.0, 1.0, numpy.log, numpy.exp, numpy.logaddexp)


@dataclass(frozen=True)
class Lattice:
    """The legal sequences of a label scheme.

    n_types (int): K above.
    bilou (bool): Whether L and U labels are there, beside O, B and I.
    joined (bool): Without these: whether the scheme is IO, rather than BIO.
    """

    n_types: int
    bilou: bool
    joined: bool = False

    @property
    def n_labels(self) -> int:
        return 1 + self.n_types * (4 if self.bilou else 2)

    @property
    def separator(self) -> Array:
        """The log-probabilities (1, n_labels) of a word that can only be O: what stands between
        documents, so that no mention reaches from one into the next."""
        return numpy.array([[0.0] + [-numpy.inf] * (self.n_labels - 1)])

    def groups(self, columns: Array) -> list[Array]:
        """RETURNS (list[Array]): Rows of O (1, n_words), B, I, and in BILOU L and U (K, n_words),
        of (n_labels, n_words)."""
        return numpy.split(columns, [1 + i * self.n_types for i in range(4 if self.bilou else 2)])

    def moves(self, columns: Array, semiring: Semiring) -> Array:
        """The weight of moving from one state to another by a word.

        columns (Array): Weights of labels, (n_labels, n_words).
        RETURNS (Array): (1 + K, 1 + K, n_words), from the state of the first axis to the second's.
        """
        k = self.n_types
        outside, begin, inside, *rest = self.groups(columns)
        moves = numpy.full((1 + k, 1 + k, columns.shape[1]), semiring.zero)
        on = numpy.arange(1, 1 + k)
        if rest:
            last, unit = rest
            moves[0, 0] = semiring.plus(outside[0], semiring.plus.reduce(unit, axis=0))
            moves[0, 1:] = begin
            moves[1:, 0] = last
            moves[on, on] = inside
        else:
            moves[:, 0] = outside
            moves[:, 1:] = begin
            moves[on, on] = inside if self.joined else semiring.plus(begin, inside)
        return moves

    def labels(self, words: Array, states: Array) -> Array:
        """RETURNS (Array): The better label of each word, (n_words,), where several make the same
        move. words: (n_words, n_labels); states: before each word and after all, (n_words + 1,)."""
        k, rows = self.n_types, numpy.arange(len(words))
        before, after = states[:-1], states[1:]
        if self.bilou:
            best_unit = 1 + 3 * k + words[:, 1 + 3 * k :].argmax(axis=1)
            closed = numpy.where(words[rows, best_unit] > words[:, 0], best_unit, 0)
            closing = numpy.where(before == 0, closed, 2 * k + before)  # O or U, else L
            return numpy.where(after == 0, closing, numpy.where(before == 0, after, k + after))
        inside = k + after
        stays = (before == after) & (after > 0)
        if not self.joined:
            stays &= words[rows, numpy.where(stays, inside, 0)] > words[rows, after]
        return numpy.where(stays, inside, after)


def multiply(rows: Array, matrices: Array, semiring: Semiring) -> Array:
    """RETURNS (Array): The products of B pairs of matrices, (m, S, B) by (S, S, B). The last axis
    is the longest, so numpy's loops over it are fast."""
    if len(rows) == 1:
        return cast(
            Array, semiring.plus.reduce(semiring.times(rows[0, :, None], matrices), axis=0)
        )[None]
    product = semiring.times(rows[:, 0, None], matrices[0])
    for state in range(1, len(matrices)):
        semiring.plus(product, semiring.times(rows[:, state, None], matrices[state]), out=product)
    return cast(Array, product)


def walk(blocks: Array, rows: Array, semiring: Semiring) -> Iterator[tuple[Array, Array]]:
    """Multiply rows by the matrices of their blocks, one after another.

    blocks (Array): (size, S, S, B).
    rows (Array): (m, S, B).
    YIELDS (tuple[Array, Array]): The product before each matrix, and at last after all, (m, S, B);
        to its logarithm, the second must be added, (m, 1, B).
    """
    shift = numpy.zeros((len(rows), 1, rows.shape[-1]))
    for i, matrices in enumerate(blocks, start=1):
        yield rows, shift
        rows = multiply(rows, matrices, semiring)
        if semiring is SUM and i % RESCALE == 0:
            largest = rows.max(axis=1, keepdims=True)
            largest[largest == 0] = 1.0
            rows = rows / largest
            shift = shift + numpy.log(largest)
    yield rows, shift


def scan(chains: Sequence[Array], semiring: Semiring) -> Array:
    """Run the forward recursion over chains of words in about 3 sqrt(n) vectorised steps.

    A chain is cut into blocks of sqrt(n) words: first the products of all blocks' matrices, side
    by side, then the chain of blocks, then all blocks' words, side by side
    (https://en.wikipedia.org/wiki/Prefix_sum#Parallel_algorithms).

    chains (Sequence[Array]): The moves of each chain's words, (S, S, n_words).
    RETURNS (Array): Log-weights of all that leads from state 0 at the beginning to a state: before
        each word, and at last after all, (n_chains, S, n_words + 1).
    """
    n_chains, (n_states, _, n) = len(chains), chains[0].shape
    size = math.isqrt(n) + 1
    n_blocks, rest = n // size + 1, n % size
    # The last block isn't full; what it lacks is not read.
    blocks = numpy.zeros((n_states, n_states, size, n_chains, n_blocks))
    for i, moves in enumerate(chains):
        full = moves[..., : n - rest].reshape(n_states, n_states, -1, size)
        blocks[..., i, :-1] = full.swapaxes(2, 3)
        blocks[:, :, :rest, i, -1] = moves[..., n - rest :]
    blocks = numpy.moveaxis(blocks.reshape(n_states, n_states, size, -1), 2, 0)
    same = numpy.where(numpy.eye(n_states, dtype=bool), semiring.one, semiring.zero)[:, :, None]
    with numpy.errstate(divide="ignore"):  # log(0) is -inf
        for rows, shift in walk(blocks, same, semiring):  # noqa: B007
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
            for rows, shift in walk(blocks, semiring.exp(starts - largest), semiring)
        ]
    states = numpy.stack(steps[:size], axis=-1) + largest[0][..., None]  # (S, B, size)
    return cast(Array, states.reshape(n_states, n_chains, -1).swapaxes(0, 1)[..., : n + 1])


@cache
def legal_pairs(lattice: Lattice) -> Array:
    """RETURNS (Array): Whether a label can stand before another, (n_labels, n_labels)."""
    # (S, S, n_labels): whether each label by itself leads from state to state.
    leads = lattice.moves(numpy.eye(lattice.n_labels), SUM) > 0
    return cast(Array, numpy.matmul(leads.any(axis=0).T, leads.any(axis=1)))


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
    after = scan([moves.swapaxes(0, 1)[..., ::-1]], BEST)[0, :, -2::-1]
    leads_to = (moves + after).argmax(axis=1)  # (S, n_words)
    state, states = 0, [0]
    for row in leads_to.T.tolist():
        state = row[state]
        states.append(state)
    return lattice.labels(words, numpy.array(states))


class ChainMentions(NamedTuple):
    """Mentions in a chain of words, in order."""

    starts: Array  # (n_mentions,)
    ends: Array  # (n_mentions,): the word after the last
    types: Array  # (n_mentions,): 0 … K - 1
    scores: Array  # (n_mentions,): probabilities


class Paths:
    """The log-weights of all legal sequences of a chain, for the probabilities of its spans:
    forward-backward (Rabiner 1989, https://doi.org/10.1109/5.18626).

    words (Array): Log-probabilities of labels, (n_words, n_labels), the last a separator.
    """

    def __init__(self, lattice: Lattice, words: Array) -> None:
        self.lattice, self.log_probabilities = lattice, words
        self.words = numpy.where(words == -numpy.inf, words, numpy.maximum(words, LEAST))
        self.moves = lattice.moves(numpy.exp(self.words.T), SUM)
        before, after = scan([self.moves, self.moves.swapaxes(0, 1)[..., ::-1]], SUM)
        # (1 + K, n_words + 1): of what leads to a state before each word, as a share of all; and of
        # what follows it. Their sum is the log-probability of the state.
        self.before, self.after = before - before[0, -1], after[:, ::-1]

    def preceding(self, starts: Array, types: Array) -> Array:
        """RETURNS (Array): Of what leads to mentions that start at words, (n_mentions,)."""
        if self.lattice.bilou:
            return cast(Array, self.before[0, starts])
        states = self.before[:, starts]
        if self.lattice.joined:  # the mention before isn't another one of its type
            states[types + 1, numpy.arange(len(types))] = -numpy.inf
        return cast(Array, numpy.logaddexp.reduce(states, axis=0))

    def following(self, ends: Array, types: Array) -> Array:
        """RETURNS (Array): Of what follows mentions that end before words, (n_mentions,)."""
        if not self.lattice.joined:
            return cast(Array, self.after[0, ends])
        with numpy.errstate(divide="ignore"):
            nexts = numpy.log(self.moves[0][:, ends]) + self.after[:, ends + 1]
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
    labels = best_labels(lattice, words)
    limited = numpy.where(words == -numpy.inf, words, numpy.maximum(words, LEAST))
    own = limited[numpy.arange(len(words)), labels].sum()
    all_ = scan([lattice.moves(numpy.exp(limited.T), SUM)], SUM)[0, 0, -1]
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


def log_softmax(logits: Array) -> Array:
    """RETURNS (Array): Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(Array, shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True)))
