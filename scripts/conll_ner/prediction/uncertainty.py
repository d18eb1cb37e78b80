"""Choose the texts that a pipeline is least certain about."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.pipelines import drop_transformer_output
from conll_ner.common.progress import show_progress
from conll_ner.prediction.annotating import batch_by_length
from token_ner import TokenNER, keep_candidates, list_candidates

CHUNK = 500  # texts that are sorted by length together


By = Literal["sequence", "candidates"]
UNCERTAIN = 0.2, 0.8  # scores of spans that may well be mentions or not
# Words that are added to those of a text: otherwise a short one with a single uncertain span would
# come before a long one with many.
MORE_WORDS = 50


class Candidate(NamedTuple):
    """An annotated text. Candidates compare by uncertainty, then by their place in the input.

    uncertainty (float): By "sequence", minus the mean log-probability per word of the best label
        sequence (Shen et al. 2018, https://arxiv.org/abs/1707.05928, "maximum normalized
        log-probability"). By "candidates", the number of spans with a score from 0.2 to 0.8 per
        word, with MORE_WORDS.
    place (int): Minus the text's place in the input.
    """

    uncertainty: float
    place: int
    doc: Doc


def most_uncertain(
    nlp: Language, head: TokenNER, texts: Iterable[str], n_texts: int, by: By
) -> list[Candidate]:
    """RETURNS (list[Candidate]): The n most uncertain texts with words, the most uncertain first.
    All others are forgotten, so that any number of texts can be read."""
    head.candidates = UNCERTAIN[0] if by == "candidates" else None
    return heapq.nlargest(n_texts, annotate(nlp, head, texts), key=lambda c: c[:2])


def annotate(nlp: Language, head: TokenNER, texts: Iterable[str]) -> Iterator[Candidate]:
    measure = by_sequence if head.candidates is None else by_candidates
    remaining = iter(texts)
    first = 0
    progress = show_progress("texts")
    while chunk := list(islice(remaining, CHUNK)):
        for batch in batch_by_length(chunk):
            docs = list(nlp.pipe([chunk[i] for i in batch], batch_size=len(batch)))
            for i, doc, uncertainty in zip(batch, docs, measure(head, docs), strict=True):
                if any(not token.is_space for token in doc):
                    drop_transformer_output(doc)
                    keep_candidates(doc, ())
                    yield Candidate(uncertainty, -(first + i), doc)
            progress.update(len(batch))
        first += len(chunk)
    progress.close()


def count_words(doc: Doc) -> int:
    return sum(not token.is_space for token in doc)


def by_sequence(head: TokenNER, docs: list[Doc]) -> Iterator[float]:
    """YIELDS (float): The uncertainty of each document; 0 for one without words."""
    for doc, logits in zip(docs, head.model.predict(docs), strict=True):
        yield -head.log_probability(doc, logits) / max(1, count_words(doc))


def by_candidates(_: TokenNER, docs: list[Doc]) -> Iterator[float]:
    """YIELDS (float): The uncertainty of each document, from candidates with at least the lower
    score."""
    for doc in docs:
        uncertain = sum(score <= UNCERTAIN[1] for _, score in list_candidates(doc))
        yield uncertain / (count_words(doc) + MORE_WORDS)
