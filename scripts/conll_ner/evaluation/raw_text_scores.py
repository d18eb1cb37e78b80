"""F1 on raw text: gold documents, detokenized and then tokenized by the pipeline."""

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.data.mentions import char_mentions
from conll_ner.evaluation.bootstrap import f1_score
from token_ner import detokenize


def score_raw(nlp: Language, gold: Sequence[Doc]) -> dict[str, float]:
    """Score a pipeline on detokenized documents, comparing mentions by character offsets.

    RETURNS (dict[str, float]): `f1`, and `unreachable`, the share of gold mentions that start or
        end inside a token of the pipeline, so that it can't predict them.
    """
    texts = [detokenize(doc, nlp.lang) for doc in gold]
    counts, unreachable = [], 0
    for doc, predicted in zip(texts, nlp.pipe(doc.text for doc in texts), strict=True):
        expected, found = char_mentions(doc), char_mentions(predicted)
        counts.append([len(expected & found), len(found), len(expected)])
        unreachable += sum(predicted.char_span(*mention[:2]) is None for mention in expected)
    right, n_predicted, n_gold = zip(*counts, strict=True)
    return {
        "f1": float(f1_score(right, n_predicted, n_gold)),
        "unreachable": unreachable / max(1, sum(n_gold)),
    }
