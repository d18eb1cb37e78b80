"""Decoding: the best legal sequence of labels, and the probability of every mention in it.

A label scheme is a lattice. Its states are 0, no mention is open, and k = 1 … K, a mention of the
k-th type is open, and goes on. A word moves from state to state by its label:

    bilou   0 -> 0 by O or any U-k     0 -> k by B-k     k -> k by I-k     k -> 0 by L-k
    bio     the same, where a B-k that nothing follows is a U-k, and the last I-k is an L-k
    io      any -> 0 by O     any but k -> k by B-k     k -> k by I-k: adjacent words of one type
            are one mention, so the state is that of the last word

The columns of labels are O, then all B, then all I, and in BILOU all L and all U, with the types in
one order. A word is a matrix of weights from state to state, and a chain of words is the product of
their matrices. Needs numpy only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, cast

import numpy

from .types import Array


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

    @property
    def n_states(self) -> int:
        return 1 + self.n_types

    def groups(self, columns: Array) -> list[Array]:
        """RETURNS (list[Array]): The rows of O (1, n_words), of B, of I, and but for IO of L and of
        U, (K, n_words), of (n_labels, n_words)."""
        groups = numpy.split(columns, range(1, self.n_labels, self.n_types))
        if not self.bilou and not self.joined:
            groups += groups[:0:-1]  # L is I, and U is B
        return groups

    def moves(self, columns: Array, semiring: Semiring) -> Array:
        """The weights of moving from state to state by each word. But for IO, most moves are not
        legal, and only those from and to 0 and from each state to itself are kept.

        columns (Array): Weights of labels, (n_labels, n_words).
        RETURNS (Array): (n_moves, n_words): 0 to 0, each k to 0, each k to itself, 0 to each k; for
            IO all (S * S, n_words).
        """
        outside, begin, inside, *rest = self.groups(columns)
        if not self.joined:
            last, unit = rest
            outside = semiring.plus(outside, semiring.plus.reduce(unit, axis=0))
            return numpy.concatenate([outside, last, inside, begin])
        on = numpy.arange(1, self.n_states)
        moves = numpy.empty((self.n_states, self.n_states, columns.shape[1]))
        moves[:, 0], moves[:, 1:] = outside, begin
        moves[on, on] = inside
        return moves.reshape(self.n_states**2, -1)

    def reverse(self, moves: Array) -> Array:
        """RETURNS (Array): The moves of a chain from its end to its beginning."""
        n, k = self.n_states, self.n_types
        if self.joined:
            matrices = moves.reshape(n, n, -1).swapaxes(0, 1)
            return matrices.reshape(moves.shape)[:, ::-1]
        outside, closes, stays, opens = numpy.split(moves[:, ::-1], [1, n, n + k])
        return numpy.concatenate([outside, opens, stays, closes])

    def multiply(self, rows: Array, moves: Array, semiring: Semiring) -> Array:
        """RETURNS (Array): The products of rows (m, S, B) and the matrices of B words, given by
        their moves, (m, S, B). The last axis is the longest, so numpy's loops over it are fast."""
        plus, times, n = semiring.plus, semiring.times, self.n_states
        if self.joined:
            matrices = moves.reshape(n, n, -1)
            product = times(rows[:, 0, None], matrices[0])
            for state in range(1, n):
                plus(product, times(rows[:, state, None], matrices[state]), out=product)
            return cast(Array, product)
        product = numpy.empty((*rows.shape[:2], moves.shape[-1]))
        to_mentions = product[:, 1:]
        plus.reduce(times(rows, moves[:n]), axis=1, out=product[:, 0])
        times(rows[:, 1:], moves[n : n + self.n_types], out=to_mentions)
        plus(to_mentions, times(rows[:, :1], moves[n + self.n_types :]), out=to_mentions)
        return product

    def next_states(self, moves: Array, after: Array) -> Array:
        """RETURNS (Array): The best state after each word, by the state before it, (S, n_words).
        after: log-weights of what can follow each state after each word, (S, n_words)."""
        n, k = self.n_states, self.n_types
        if self.joined:
            return cast(Array, (moves.reshape(n, n, -1) + after).argmax(axis=1))
        outside, closes, stays, opens = numpy.split(moves, [1, n, n + k])
        opened = numpy.concatenate([outside, opens]) + after
        on = numpy.arange(1, n)[:, None]
        going_on = numpy.where(stays + after[1:] > closes + after[0], on, 0)
        return numpy.concatenate([opened.argmax(axis=0)[None], going_on])

    def labels(self, words: Array, states: Array) -> Array:
        """RETURNS (Array): The best label of each word, (n_words,), for a path. words: (n_words,
        n_labels); states: before each word and after all, (n_words + 1,)."""
        k, rows = self.n_types, numpy.arange(len(words))
        before, after = states[:-1], states[1:]
        if self.joined:
            return numpy.where((before == after) & (after > 0), k + after, after)
        last, unit = (2 * k, 3 * k) if self.bilou else (k, 0)  # columns before those of L and U
        best_unit = 1 + unit + words[:, 1 + unit : 1 + unit + k].argmax(axis=1)
        closed = numpy.where(words[rows, best_unit] > words[:, 0], best_unit, 0)
        closing = numpy.where(before == 0, closed, last + before)  # O or U, else L
        return numpy.where(after == 0, closing, numpy.where(before == 0, after, k + after))


@cache
def legal_pairs(lattice: Lattice) -> Array:
    """RETURNS (Array): Whether a label can stand before another, (n_labels, n_labels)."""
    kinds, types = divmod(numpy.arange(lattice.n_labels) - 1, lattice.n_types)
    is_open, goes_on = (kinds == 0) | (kinds == 1), (kinds == 1) | (kinds == 2)  # B or I, I or L
    same = types[:, None] == types
    legal = ~goes_on | is_open[:, None] & same
    if lattice.bilou:
        legal &= ~is_open[:, None] | goes_on
    elif lattice.joined:
        legal &= ~(is_open[:, None] & same & (kinds == 0))
    return cast(Array, legal)


def log_softmax(logits: Array) -> Array:
    """RETURNS (Array): Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(Array, shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True)))
