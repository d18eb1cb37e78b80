"""Split a corpus at random into train, dev and test, by document."""

import random
from collections.abc import Sequence

from spacy.tokens import Doc

from conll_ner.common.console import InputError

SPLITS = ("train", "dev", "test")


def parse_shares(text: str) -> list[float]:
    """RETURNS (list[float]): The shares of two or three splits, which add up to 1.
    text (str): Such as "80/10/10", or "90/10" without test.
    RAISES (InputError): If these aren't two or three positive numbers."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0 < number < 1e6 for number in numbers):
        raise InputError(f"--split {text} isn't like 80/10/10 (train, dev, test) or 90/10")
    return [number / sum(numbers) for number in numbers]


def make_folds(docs: Sequence[Doc], n_folds: int, seed: int) -> dict[str, list[Doc]]:
    """RETURNS (dict[str, list[Doc]]): For each fold, its documents as fold-1/dev, fold-2/dev, …,
    and all others as fold-1/train, …, in their order in the corpus.
    RAISES (InputError): If a fold would be empty."""
    if len(docs) < n_folds:
        raise InputError(f"--folds {n_folds}: there are only {len(docs)} documents")
    order = list(range(len(docs)))
    random.Random(seed).shuffle(order)
    fold_of = {place: number % n_folds for number, place in enumerate(order)}
    splits = {}
    for fold in range(n_folds):
        numbered = list(enumerate(docs))
        splits[f"fold-{fold + 1}/train"] = [doc for i, doc in numbered if fold_of[i] != fold]
        splits[f"fold-{fold + 1}/dev"] = [doc for i, doc in numbered if fold_of[i] == fold]
    return splits


def split_documents(
    docs: Sequence[Doc], shares: Sequence[float], seed: int
) -> dict[str, list[Doc]]:
    """RETURNS (dict[str, list[Doc]]): The documents of each split, in their order in the corpus.
    RAISES (InputError): If a split would be empty."""
    order = list(range(len(docs)))
    random.Random(seed).shuffle(order)
    splits: dict[str, list[Doc]] = {}
    start = total = 0.0
    for name, share in zip(SPLITS, shares, strict=False):
        total += share
        end = round(total * len(docs))
        splits[name] = [docs[i] for i in sorted(order[int(start) : end])]
        start = end
        if not splits[name]:
            raise InputError(f"--split: {len(docs)} documents are too few for {name}")
    return splits
