"""F1 on raw text: gold documents, detokenized and then tokenized by the pipeline."""

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.pipelines import drop_transformer_output
from conll_ner.common.progress import track_words
from conll_ner.data.mentions import char_mentions
from conll_ner.evaluation.bootstrap import f1_score
from conll_ner.evaluation.seqeval_scores import drop_unlabelled
from token_ner import detokenize


def annotate_raw(nlp: Language, gold: Sequence[Doc]) -> tuple[list[Doc], list[Doc]]:
    """RETURNS (tuple[list[Doc], list[Doc]]): The gold documents, detokenized; and what the pipeline
    makes of their texts."""
    texts = [detokenize(doc, nlp.lang) for doc in gold]
    predicted = []
    found = track_words(nlp.pipe(doc.text for doc in texts), texts)
    for doc, expected in zip(found, texts, strict=True):
        drop_transformer_output(doc)
        drop_unlabelled(doc, expected)
        predicted.append(doc)
    return texts, predicted


def score_raw(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, float]:
    """Compare the documents of `annotate_raw` by character offsets.

    RETURNS (dict[str, float]): `f1`, and `unreachable`, the share of gold mentions that start or
        end inside a token of the pipeline, so that it can't predict them.
    """
    counts, unreachable = [], 0
    for doc, annotated in zip(gold, predicted, strict=True):
        expected, found = char_mentions(doc), char_mentions(annotated)
        counts.append([len(expected & found), len(found), len(expected)])
        unreachable += sum(annotated.char_span(*mention[:2]) is None for mention in expected)
    right, n_predicted, n_gold = zip(*counts, strict=True)
    return {
        "f1": float(f1_score(right, n_predicted, n_gold)),
        "unreachable": unreachable / max(1, sum(n_gold)),
    }
