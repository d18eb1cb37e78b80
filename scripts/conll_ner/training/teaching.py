"""Annotate texts with a teacher's distributions over labels."""

import random
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.progress import show_progress
from conll_ner.prediction.annotating import batch_by_length
from token_ner import SoftLabels, TokenNER, copy_gold, moses_doc, set_soft_labels
from token_ner.lattice import log_softmax

CHUNK = 500  # texts that are sorted by length together


def teach_texts(
    nlp: Language, head: TokenNER, texts: Iterable[str], max_words: int, moses: float = 0.0
) -> Iterator[Doc]:
    """Annotate texts until there are enough words.

    max_words (int): The number of words after which no further text is read.
    moses (float): Share of the texts that are split by Moses's rules instead of the teacher's.
    YIELDS (Doc): The words, the teacher's sentences, mentions and distributions, without the
        transformer's output. Texts without words are skipped.
    """
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
            for doc, taught in zip(docs, teach_docs(head, docs), strict=True):
                if len(doc) and words < max_words:
                    words += len(doc)
                    progress.update(len(doc))
                    yield taught
    progress.close()


def teach_docs(head: TokenNER, docs: list[Doc]) -> Iterator[Doc]:
    """YIELDS (Doc): A copy of each annotated document, with the teacher's distributions."""
    for doc, logits in zip(docs, head.model.predict(docs), strict=True):
        copy = copy_gold(doc, [token.text for token in doc])
        if len(doc):
            log_probabilities = log_softmax(head.model.ops.to_numpy(logits))
            probabilities = numpy.exp(log_probabilities).astype("float16")
            set_soft_labels(copy, SoftLabels(head.word_labels, probabilities))
        yield copy
