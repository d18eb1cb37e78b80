"""Annotate texts with a teacher's distributions over labels."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.progress import show_progress
from conll_ner.evaluation.seqeval_scores import copy_words
from conll_ner.prediction.annotating import batch_by_length
from token_ner import SoftLabels, TokenNER, copy_gold, moses_doc, set_soft_labels
from token_ner.lattice import log_softmax
from token_ner.types import Array

CHUNK = 500  # texts that are sorted by length together


class Teacher(NamedTuple):
    nlp: Language
    head: TokenNER


def teach_texts(
    teachers: Sequence[Teacher], texts: Iterable[str], max_words: int, moses: float = 0.0
) -> Iterator[Doc]:
    """Annotate texts until there are enough words.

    teachers (Sequence[Teacher]): With the same labels. The first one's words, sentences and
        mentions are used, and the mean of the distributions of all.
    max_words (int): The number of words after which no further text is read.
    moses (float): Share of the texts that are split by Moses's rules instead of the teacher's.
    YIELDS (Doc): Without the transformer's output. Texts without words are skipped.
    """
    nlp = teachers[0].nlp
    rng = random.Random(0)
    remaining = iter(texts)
    words = 0
    progress = show_progress("words", max_words)
    while words < max_words and (chunk := list(islice(remaining, CHUNK))):
        for batch in batch_by_length(chunk):
            inputs = [
                moses_doc(nlp.vocab, chunk[i], nlp.lang) if rng.random() < moses else chunk[i]
                for i in batch
            ]
            docs = list(nlp.pipe(inputs, batch_size=len(batch)))
            for doc in teach_docs(teachers, docs):
                if len(doc) and words < max_words:
                    words += len(doc)
                    progress.update(len(doc))
                    yield doc
    progress.close()


def teach_docs(teachers: Sequence[Teacher], docs: list[Doc]) -> Iterator[Doc]:
    """YIELDS (Doc): A copy of each document that the first teacher annotated, with the mean of the
    teachers' distributions."""
    found = [list(distributions(teachers[0].head, docs))]
    for nlp, head in teachers[1:]:
        copies = [copy_words(doc, nlp) for doc in docs]
        found.append(list(distributions(head, list(nlp.pipe(copies, batch_size=len(docs))))))
    for doc, *each in zip(docs, *found, strict=True):
        copy = copy_gold(doc, [token.text for token in doc])
        if len(doc):
            mean = numpy.mean(each, axis=0).astype("float16")
            set_soft_labels(copy, SoftLabels(teachers[0].head.word_labels, mean))
        yield copy


def distributions(head: TokenNER, docs: list[Doc]) -> Iterator[Array]:
    """YIELDS (Array): The probability of each label for each word, (n_words, n_labels)."""
    for logits in head.model.predict(docs):
        yield numpy.exp(log_softmax(head.model.ops.to_numpy(logits)))
