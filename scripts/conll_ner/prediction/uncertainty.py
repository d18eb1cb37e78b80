"""Choose the texts that a pipeline is least certain about."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.prediction.annotating import batch_by_length, drop_transformer_output
from token_ner import TokenNER

CHUNK = 500  # texts that are sorted by length together


class Candidate(NamedTuple):
    """An annotated text. Candidates compare by uncertainty, then by their place in the input.

    uncertainty (float): Minus the mean log-probability per word of the best label sequence
        (Shen et al. 2018, https://arxiv.org/abs/1707.05928, "maximum normalized log-probability"),
        so that long texts aren't always first.
    place (int): Minus the text's place in the input.
    """

    uncertainty: float
    place: int
    doc: Doc


def most_uncertain(
    nlp: Language, head: TokenNER, texts: Iterable[str], n_texts: int
) -> list[Candidate]:
    """RETURNS (list[Candidate]): The n most uncertain texts with words, the most uncertain first.
    All others are forgotten, so that any number of texts can be read."""
    return heapq.nlargest(n_texts, annotate(nlp, head, texts), key=lambda c: c[:2])


def annotate(nlp: Language, head: TokenNER, texts: Iterable[str]) -> Iterator[Candidate]:
    remaining = iter(texts)
    first = 0
    while chunk := list(islice(remaining, CHUNK)):
        for batch in batch_by_length(chunk):
            docs = list(nlp.pipe([chunk[i] for i in batch], batch_size=len(batch)))
            for i, doc, logits in zip(batch, docs, head.model.predict(docs), strict=True):
                n_words = sum(not token.is_space for token in doc)
                if n_words:
                    uncertainty = -head.log_probability(doc, logits) / n_words
                    drop_transformer_output(doc)
                    yield Candidate(uncertainty, -(first + i), doc)
        first += len(chunk)
