"""Candidates: every span whose probability is at least a floor, in the best sequence or not. Needs
numpy only."""

from collections.abc import Iterator

import numpy

from .paths import ChainMentions, Paths
from .types import Array

Spans = tuple[Array, Array, Array, Array]  # starts, ends, types, log-probabilities


def find_candidates(paths: Paths, floors: Array) -> ChainMentions:
    """Find all spans with a type whose probability is at least the type's floor, of any length.

    paths (Paths): Of a chain of words, the last a separator.
    floors (Array): Probabilities above 0, (n_types,).
    RETURNS (ChainMentions): In the order of their starts, then of ends and types. They may overlap.
    """
    none = numpy.zeros(0, dtype="int64")
    with numpy.errstate(divide="ignore"):  # log(0) is -inf
        parts = [(none, none, none, numpy.zeros(0)), *find_by_length(paths, numpy.log(floors))]
    starts, ends, types, logs = (numpy.concatenate(column) for column in zip(*parts, strict=True))
    order = numpy.lexsort((types, ends, starts))
    scores = numpy.minimum(numpy.exp(logs[order]), 1.0)
    return ChainMentions(starts[order], ends[order], types[order], scores)


def find_by_length(paths: Paths, floors: Array) -> Iterator[Spans]:
    """Extend mentions word by word. That a mention of its type starts there and goes on so far is
    at least as probable as any longer one: below the floor, none of these is looked at.

    floors (Array): Log-probabilities, (n_types,).
    YIELDS (Spans): Those of one word, of two, … with a log-probability of at least the floor.
    """
    lattice, columns = paths.lattice, paths.lattice.groups(paths.words.T)
    k, n = lattice.n_types, len(paths.words)
    _, begin, inside, *rest = columns
    types, starts = (axis.ravel() for axis in numpy.indices((k, n)))
    ends = starts + 1
    preceding = paths.preceding(starts, types)

    def at_least(logs: Array) -> Array:
        return numpy.flatnonzero(logs >= floors[types])

    if not lattice.joined:
        last, unit = rest
        closed = preceding + unit.ravel() + paths.following(ends, types)
        kept = at_least(closed)
        yield starts[kept], ends[kept], types[kept], closed[kept]
    open_ = preceding + begin.ravel()
    while True:
        kept = at_least(open_ + paths.after[types + 1, ends])
        starts, ends, types, open_ = starts[kept], ends[kept], types[kept], open_[kept]
        if not len(kept):
            break
        if not lattice.joined:
            past = ends + 1
            closed = open_ + last[types, ends] + paths.following(past, types)
        else:
            past = ends
            closed = open_ + paths.following(past, types)
        kept = at_least(closed)
        yield starts[kept], past[kept], types[kept], closed[kept]
        open_ = open_ + inside[types, ends]
        ends = ends + 1
