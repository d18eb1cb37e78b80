"""Score pipelines by wordpiece, as in the Hugging Face course.

Every wordpiece has a gold label, with B- turned into I- on continuations, and a predicted label by
argmax, without decoding. seqeval scores them sentence by sentence. `token_ner` is trained on first
wordpieces only, so its labels for continuations are meaningless: the scores show the effect of the
protocol, not the quality of the pipeline.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy
from spacy.language import Language
from spacy.tokens import Doc

from common.pipelines import find_heads
from corpus.wordpiece_labels import align_labels, measure
from token_ner import BIO_PREFIXES, WINDOWED_TRANSFORMER, TokenNER, sentence_starts


def score_wordpieces(
    nlp: Language, gold: Sequence[Doc], predicted: Sequence[Doc], labels: Sequence[Sequence[str]]
) -> dict[str, float] | None:
    """Score a pipeline with WindowedTransformer and `token_ner` by wordpiece.

    predicted (Sequence[Doc]): Docs annotated by the pipeline, with the transformer's output.
    labels (Sequence[Sequence[str]]): Gold label of each word of each doc, in IOB2.
    RETURNS (dict[str, float] | None): `precision`, `recall`, `f1` and `accuracy`; None for other
        pipelines.
    """
    heads = list(find_heads(nlp).values())
    transformers = [
        component
        for name, component in nlp.pipeline
        if nlp.get_pipe_meta(name).factory == "transformer"
        and component.model.name == WINDOWED_TRANSFORMER  # type: ignore[attr-defined]
    ]
    if len(heads) != 1 or len(transformers) != 1:
        return None
    golds: list[list[str]] = []
    guesses: list[list[str]] = []
    for doc, found, words in zip(gold, predicted, labels, strict=True):
        if not len(doc):
            continue
        lengths = found._.trf_data.align.lengths
        before = numpy.concatenate([[0], numpy.cumsum(lengths)])  # (n_words + 1,)
        word_ids = numpy.repeat(numpy.arange(len(doc)), lengths).tolist()
        aligned = [label or "O" for label in align_labels(word_ids, words)]
        argmax = label_wordpieces(heads[0], found)
        for start, end in pairwise(sorted({0, *sentence_starts(doc).tolist(), len(doc)})):
            golds.append(aligned[before[start] : before[end]])
            guesses.append(argmax[before[start] : before[end]])
    return measure(golds, guesses)


def label_wordpieces(head: TokenNER, doc: Doc) -> list[str]:
    """RETURNS (list[str]): The BIO label of each wordpiece of a doc, by argmax."""
    output = head.model.get_ref("output")
    (states,) = doc._.trf_data.model_output.last_hidden_state
    columns = output.ops.to_numpy(output.predict(states)).argmax(axis=-1)
    names = [
        label if label == "O" else BIO_PREFIXES[label[0]] + label[1:] for label in head.word_labels
    ]
    return [names[column] for column in columns[: len(doc._.trf_data.align.dataXd)]]
