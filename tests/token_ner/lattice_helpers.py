"""Lattices, and all their legal sequences, written out."""

import itertools
import math
from collections.abc import Iterator

import numpy

from token_ner.lattice import Lattice, log_softmax
from token_ner.paths import ChainMentions, Paths, find_best_mentions

LATTICES = [
    Lattice(n_types=k, bilou=bilou, joined=joined)
    for k in (1, 2)
    for bilou, joined in ((False, False), (True, False), (False, True))
]
Found = tuple[int, int, int]  # start, end, type


def names(lattice: Lattice) -> list[str]:
    prefixes = "BILU" if lattice.bilou else "BI"
    return ["O", *(f"{p}{k}" for p in prefixes for k in range(lattice.n_types))]


def is_legal(sequence: tuple[str, ...], lattice: Lattice) -> bool:
    """The rules of the schemes, label by label."""
    bilou = lattice.bilou
    for before, label in itertools.pairwise(("O", *sequence, "O")):
        open_before = before[0] in ("BI" if bilou else "")
        if label[0] in "IL":
            if before[0] not in "BI" or before[1:] != label[1:]:
                return False
        elif open_before or (lattice.joined and label[0] == "B" and before[1:] == label[1:]):
            return False
    return True


def mentions_of(sequence: tuple[str, ...]) -> Iterator[Found]:
    start = None
    for i, label in enumerate((*sequence, "O")):
        if start is not None and label[0] not in "IL":
            yield start, i, int(sequence[start][1:])
            start = None
        if label[0] in "BU":
            start = i


def enumerate_all(words: numpy.ndarray, lattice: Lattice) -> tuple[float, dict[Found, float]]:
    """RETURNS: The weight of the best legal sequence, and each mention's probability."""
    best, total = -math.inf, 0.0
    weights: dict[Found, float] = {}
    columns = names(lattice)
    for path in itertools.product(range(len(columns)), repeat=len(words)):
        sequence = tuple(columns[i] for i in path)
        if not is_legal(sequence, lattice):
            continue
        log_weight = float(words[numpy.arange(len(words)), path].sum())
        best = max(best, log_weight)
        total += math.exp(log_weight)
        for mention in mentions_of(sequence):
            weights[mention] = weights.get(mention, 0.0) + math.exp(log_weight)
    return best, {mention: weight / total for mention, weight in weights.items()}


def random_words(lattice: Lattice, n: int, seed: int, scale: float = 2.0) -> numpy.ndarray:
    random = numpy.random.default_rng(seed)
    return log_softmax(random.normal(scale=scale, size=(n, lattice.n_labels)))


def as_tuples(found: ChainMentions) -> list[Found]:
    return list(zip(found.starts.tolist(), found.ends.tolist(), found.types.tolist(), strict=True))


def paths_of(lattice: Lattice, words: numpy.ndarray) -> Paths:
    return Paths(lattice, numpy.concatenate([words, lattice.separator]))


def find_best(lattice: Lattice, words: numpy.ndarray) -> ChainMentions:
    return find_best_mentions(paths_of(lattice, words))
