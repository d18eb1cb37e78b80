"""Decoding: the best legal sequence of labels, and the probability of every mention in it.

A label scheme is a lattice. Its states are 0, no mention is open, and k = 1 … K, a mention of the
k-th type is open. A word moves from state to state by its label:

    bio     any -> 0 by O     any -> k by B-k     k -> k by I-k
    bilou   0 -> 0 by O or any U-k     0 -> k by B-k     k -> k by I-k     k -> 0 by L-k

So in BIO a mention stays open until the word after it. The columns of labels are O, then all B,
then all I, and in BILOU all L and all U, with the types in one order. Needs numpy only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy

Array = numpy.ndarray


@dataclass(frozen=True)
class Lattice:
    """The legal sequences of a label scheme.

    n_types (int): K above.
    bilou (bool): Whether L and U labels are there, beside O, B and I.
    """

    n_types: int
    bilou: bool

    @property
    def n_labels(self) -> int:
        return 1 + self.n_types * (4 if self.bilou else 2)

    @property
    def separator(self) -> Array:
        """The log-probabilities (1, n_labels) of a word that can only be O: what stands between
        documents, so that no mention reaches from one into the next."""
        return numpy.array([[0.0] + [-numpy.inf] * (self.n_labels - 1)])

    def groups(self, words: Array) -> list[Array]:
        """RETURNS (list[Array]): Columns of O (..., 1), B, I, and in BILOU L and U (..., K)."""
        bounds = [1 + i * self.n_types for i in range(4 if self.bilou else 2)]
        return numpy.split(words, bounds, axis=-1)

    def advance(self, before: Array, words: Array, plus: numpy.ufunc) -> Array:
        """One word of the forward recursion.

        before (Array): Log-weights of all that leads to a state: (..., 1 + K).
        words (Array): Log-probabilities of labels, (..., n_labels).
        plus (numpy.ufunc): numpy.logaddexp sums over sequences, numpy.maximum takes the best.
        RETURNS (Array): Log-weights after the word, (..., 1 + K).
        """
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = before[..., :1], before[..., 1:]
        if rest:
            last, unit = rest
            outside = plus(outside, plus.reduce(unit, axis=-1, keepdims=True))
            ended = plus.reduce(opened + last, axis=-1, keepdims=True)
            to_closed, source = plus(closed + outside, ended), closed
        else:
            source = plus.reduce(before, axis=-1, keepdims=True)
            to_closed = source + outside
        return numpy.concatenate([to_closed, plus(source + begin, opened + inside)], axis=-1)

    def retreat(self, after: Array, words: Array, plus: numpy.ufunc) -> Array:
        """One word of the backward recursion.

        after (Array): Log-weights of all that can follow from a state: (..., 1 + K).
        RETURNS (Array): The same before the word, (..., 1 + K).
        """
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = after[..., :1], after[..., 1:]
        if rest:
            last, unit = rest
            outside = plus(outside, plus.reduce(unit, axis=-1, keepdims=True))
        begun = plus.reduce(begin + opened, axis=-1, keepdims=True)
        from_closed = plus(outside + closed, begun)
        ended = last + closed if rest else from_closed
        return numpy.concatenate([from_closed, plus(inside + opened, ended)], axis=-1)

    def best_choice(self, words: Array, after: Array) -> tuple[Array, Array]:
        """The label that the best sequence takes from each state.

        words (Array): (n_words, n_labels).
        after (Array): Weights of the best that can follow from a state: (n_words, 1 + K).
        RETURNS (tuple[Array, Array]): Labels and the states that they lead to, each
            (n_words, 1 + K).
        """
        n, k = len(words), self.n_types
        types = numpy.arange(1, k + 1)
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = after[:, :1], after[:, 1:]
        # From a closed state, in the order of columns: O, B, and U in BILOU.
        options = [outside + closed, begin + opened]
        labels = [0, *types]
        leads_to = [0, *types]
        if rest:
            last, unit = rest
            options.append(unit + closed)
            labels += [*(types + 3 * k)]
            leads_to += [0] * k
        weights = numpy.concatenate(options, axis=1)
        best = weights.argmax(axis=1)[:, None]
        label = numpy.broadcast_to(numpy.array(labels)[best], (n, 1 + k)).copy()
        state = numpy.broadcast_to(numpy.array(leads_to)[best], (n, 1 + k)).copy()
        # From an open one: on by I, or in BIO what follows a closed one, in BILOU its L.
        if rest:
            label[:, 1:], state[:, 1:] = types + 2 * k, 0
            other = last + closed
        else:
            other = numpy.take_along_axis(weights, best, axis=1)
        on = inside + opened > other
        label[:, 1:] = numpy.where(on, types + k, label[:, 1:])
        state[:, 1:] = numpy.where(on, types, state[:, 1:])
        return label, state


Step = Callable[[Array, Array, numpy.ufunc], Array]  # Lattice.advance or Lattice.retreat


def scan(lattice: Lattice, step: Step, words: Array, plus: numpy.ufunc) -> Array:
    """Run a recursion over a chain of words in about 3 sqrt(n) vectorised steps instead of n.

    The chain is cut into blocks of sqrt(n) words. As the recursion is linear (in the semiring
    of `plus` and +), a block is a matrix: first all blocks' matrices side by side, then the
    chain of blocks, then all blocks' words side by side
    (https://en.wikipedia.org/wiki/Prefix_sum#Parallel_algorithms).

    words (Array): (n_words, n_labels). The chain begins in state 0.
    RETURNS (Array): Weights before each word, and at last after all: (n_words + 1, 1 + K).
    """
    n_states = 1 + lattice.n_types
    blocks = in_blocks(words, lattice.separator)  # (n_blocks, size, n_labels)
    n_blocks, size, _ = blocks.shape
    one = numpy.where(numpy.eye(n_states, dtype=bool), 0.0, -numpy.inf)
    matrices = numpy.broadcast_to(one, (n_blocks, n_states, n_states))
    for i in range(size):
        matrices = step(matrices, blocks[:, None, i], plus)
    starts = numpy.empty((n_blocks, n_states))
    vector = one[0]
    for block, matrix in enumerate(matrices):
        starts[block] = vector
        vector = plus.reduce(vector[:, None] + matrix, axis=0)
    states = numpy.empty((n_blocks, size, n_states))
    vectors = starts
    for i in range(size):
        states[:, i] = vectors
        vectors = step(vectors, blocks[:, i], plus)
    return states.reshape(-1, n_states)[: len(words) + 1]


def in_blocks(rows: Array, padding: Array) -> Array:
    """RETURNS (Array): (n, width) as (n_blocks, size, width), with at least one row of padding,
    sqrt(n) blocks of sqrt(n) rows."""
    size = math.isqrt(len(rows)) + 1
    n_blocks = len(rows) // size + 1
    filling = numpy.repeat(padding, n_blocks * size - len(rows), axis=0)
    return numpy.concatenate([rows, filling]).reshape(n_blocks, size, -1)


def follow(leads_to: Array) -> Array:
    """Walk from state 0 by a table, in blocks as `scan`.

    leads_to (Array): The state after each word, given the state before it: (n_words, n_states).
    RETURNS (Array): The state before each word: (n_words,).
    """
    n_states = leads_to.shape[1]
    blocks = in_blocks(leads_to, numpy.arange(n_states)[None])
    n_blocks, size, _ = blocks.shape
    reached = numpy.broadcast_to(numpy.arange(n_states), (n_blocks, n_states))
    for i in range(size):
        reached = numpy.take_along_axis(blocks[:, i], reached, axis=1)
    current = numpy.zeros(n_blocks, dtype="int64")
    for block in range(1, n_blocks):
        current[block] = reached[block - 1, current[block - 1]]
    states = numpy.empty((n_blocks, size), dtype="int64")
    for i in range(size):
        states[:, i] = current
        current = blocks[numpy.arange(n_blocks), i, current]
    return states.reshape(-1)[: len(leads_to)]


class ChainMentions(NamedTuple):
    """Mentions in a chain of words, in order."""

    starts: Array  # (n_mentions,)
    ends: Array  # (n_mentions,): the word after the last
    types: Array  # (n_mentions,): 0 … K - 1
    scores: Array  # (n_mentions,): probabilities


def find_best_mentions(lattice: Lattice, words: Array) -> ChainMentions:
    """Find the mentions of the best legal sequence, and their probabilities.

    Viterbi and forward-backward (Rabiner 1989, https://doi.org/10.1109/5.18626).

    words (Array): Log-probabilities of labels, (n_words, n_labels), the last a separator.
    """
    reverse = words[::-1]
    best_after = scan(lattice, lattice.retreat, reverse, numpy.maximum)[-2::-1]
    label_table, state_table = lattice.best_choice(words, best_after)
    rows = numpy.arange(len(words))
    labels = label_table[rows, follow(state_table)]

    starts, ends, types = find_mentions(lattice, labels)
    before = scan(lattice, lattice.advance, words, numpy.logaddexp)
    after = scan(lattice, lattice.retreat, reverse, numpy.logaddexp)[::-1]
    total = before[-1, 0]
    if lattice.bilou:
        before_mention = before[starts, 0]
    else:
        before_mention = numpy.logaddexp.reduce(before[starts], axis=1)
    label_scores = numpy.concatenate([[0.0], numpy.cumsum(words[rows, labels])])
    own = label_scores[ends] - label_scores[starts]
    scores = numpy.exp(before_mention + own + after[ends, 0] - total)
    return ChainMentions(starts, ends, types, numpy.minimum(scores, 1.0))


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
