"""Score pipelines by wordpiece, as in the Hugging Face course.

Every wordpiece has a gold label, with B- turned into I- on continuations, and a predicted label by
argmax, without decoding. seqeval scores them sentence by sentence. A head that was trained on first
wordpieces only has no meaningful labels for the others, so it isn't scored in this way.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.pipelines import find_heads
from conll_ner.data.wordpiece_labels import align_labels, measure
from token_ner import BIO_PREFIXES, WINDOWED_TRANSFORMER, TokenNER, sentence_starts


class LabelledWordpieces(NamedTuple):
    """The predicted wordpieces of one document."""

    lengths: numpy.ndarray  # (n_words,): wordpieces of each word
    labels: list[str]  # (n_wordpieces,): by argmax, in BIO


def is_trained_on_all(training: dict[str, Any]) -> bool:
    """RETURNS (bool): Whether a head was trained on all wordpieces, as `hf-train` does by default.
    training: its run.json; empty if it is unknown."""
    return training.get("overrides", {}).get("first_only") is False


def find_labelled_head(nlp: Language) -> TokenNER | None:
    """RETURNS (TokenNER | None): The component to score by wordpiece, of a pipeline with one
    WindowedTransformer and one `token_ner`; None for other pipelines."""
    heads = list(find_heads(nlp).values())
    transformers = [
        component
        for name, component in nlp.pipeline
        if nlp.get_pipe_meta(name).factory == "transformer"
        and component.model.name == WINDOWED_TRANSFORMER  # type: ignore[attr-defined]
    ]
    return heads[0] if len(heads) == len(transformers) == 1 else None


def label_wordpieces(head: TokenNER, doc: Doc) -> LabelledWordpieces:
    """RETURNS (LabelledWordpieces): Those of a doc that has the transformer's output."""
    if not len(doc):
        return LabelledWordpieces(numpy.zeros(0, dtype="int64"), [])
    data = doc._.trf_data
    output = head.model.get_ref("output")
    (states,) = data.model_output.last_hidden_state
    columns = output.ops.to_numpy(output.predict(states)).argmax(axis=-1)
    names = [
        label if label == "O" else BIO_PREFIXES[label[0]] + label[1:] for label in head.word_labels
    ]
    return LabelledWordpieces(
        data.align.lengths, [names[column] for column in columns[: len(data.align.dataXd)]]
    )


def score_wordpieces(
    gold: Sequence[Doc], predicted: Sequence[LabelledWordpieces], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Score predicted wordpieces.

    labels (Sequence[Sequence[str]]): Gold label of each word of each doc, in IOB2.
    RETURNS (dict[str, float]): `precision`, `recall`, `f1` and `accuracy`.
    """
    golds: list[list[str]] = []
    guesses: list[list[str]] = []
    for doc, found, words in zip(gold, predicted, labels, strict=True):
        before = numpy.append(0, numpy.cumsum(found.lengths))  # (n_words + 1,)
        word_ids = numpy.repeat(numpy.arange(len(doc)), found.lengths).tolist()
        aligned = [label or "O" for label in align_labels(word_ids, words)]
        for start, end in pairwise(sorted({0, *sentence_starts(doc).tolist(), len(doc)})):
            golds.append(aligned[before[start] : before[end]])
            guesses.append(found.labels[before[start] : before[end]])
    return measure(golds, guesses)
