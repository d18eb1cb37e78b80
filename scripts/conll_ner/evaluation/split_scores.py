"""Evaluate a pipeline on a file of gold documents."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from conll_ner.common.console import InputError, msg, shorten
from conll_ner.common.files import sha256
from conll_ner.common.pipelines import find_heads
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.data.splits import find_splits
from conll_ner.evaluation.bootstrap import count_by_document, f1_interval
from conll_ner.evaluation.calibration_error import assess_calibration
from conll_ner.evaluation.mistakes import (
    Bucket,
    by_length,
    by_position,
    by_seen,
    confusion,
    count_mistakes,
    f1_by,
)
from conll_ner.evaluation.perturbations import LOWER_CASE, annotate_perturbed, f1_on_gold_tokens
from conll_ner.evaluation.promises import check_promises
from conll_ner.evaluation.raw_text_scores import annotate_raw, score_raw
from conll_ner.evaluation.seqeval_scores import annotate_gold, iob2_labels, score, unknown_types
from conll_ner.evaluation.wordpiece_scores import (
    LabelledWordpieces,
    find_labelled_head,
    label_wordpieces,
    score_wordpieces,
)
from token_ner import Calibration, TokenNER, group_scores


def evaluate_file(
    nlp: Language,
    path: Path,
    buckets: dict[str, Bucket],
    *,
    gold_sentences: bool = False,
    by_wordpiece: bool = False,
    predictions: Path | None = None,
) -> dict[str, Any]:
    """Score a pipeline on one file.

    buckets (dict[str, Bucket]): Groupings of mentions for `f1_by`.
    gold_sentences (bool): Give the pipeline the gold sentence boundaries.
    by_wordpiece (bool): Also score by wordpiece; for heads that were trained on all of them.
    predictions (Path | None): DocBin file to write the predicted docs to.
    RETURNS (dict[str, Any]): The result of `score`, and: `f1_interval`, the 95 % confidence
        interval of F1; `by_document`, the numbers of correct, predicted and gold mentions;
        `errors` by kind; `confusion` of types; `f1_by` bucket; `calibration`; `wordpiece`, the
        scores by wordpiece or None; `raw_text` and `lower_case`, F1 on text in these forms (not
        with gold sentence boundaries); `promises` on these forms; `unknown_types`, which the
        pipeline can't predict; the file, its hash, its size, and the speed.
    RAISES (InputError): If the file can't be read or contains no mentions (F1 is undefined).
    """
    gold = read_gold(path, nlp.vocab)
    if not any(doc.ents for doc in gold):
        raise InputError(f"{path} contains no mentions, so F1 is undefined; pass an annotated file")
    unknown = find_unknown(nlp, gold, path)
    start = time.perf_counter()
    head = find_labelled_head(nlp) if by_wordpiece else None
    predicted, wordpieces = annotate_with_head(nlp, gold, head, gold_sentences)
    seconds = time.perf_counter() - start
    if predictions is not None:
        write_predictions(predicted, predictions)
    raw, lower = annotate_raw(nlp, gold), annotate_perturbed(nlp, gold, LOWER_CASE)
    texts = {"gold words": (gold, predicted), "raw text": raw, "lower case": lower}
    counts = count_by_document(gold, predicted)
    return score(gold, predicted) | {
        "f1_interval": f1_interval(counts),
        "by_document": counts,
        "errors": count_mistakes(gold, predicted),
        "confusion": confusion(gold, predicted),
        "f1_by": {name: f1_by(gold, predicted, bucket) for name, bucket in buckets.items()},
        "calibration": assess_calibration(gold, predicted, find_calibration(nlp)),
        "wordpiece": score_wordpieces(gold, wordpieces, iob2_labels(gold)) if head else None,
        "raw_text": score_raw(*raw)["f1"],
        "lower_case": f1_on_gold_tokens(*lower),
        "promises": {name: check_promises(nlp.meta, *docs) for name, docs in texts.items()},
        "unknown_types": unknown,
        **describe_file(path, gold, seconds),
    }


def find_unknown(nlp: Language, gold: Sequence[Doc], path: Path) -> list[str]:
    """RETURNS (list[str]): As of `unknown_types`, with a warning."""
    unknown = unknown_types(nlp, gold)
    if unknown:
        listed = shorten(", ".join(unknown))
        msg.warn(f"{path}: the pipeline doesn't know {listed}; all their mentions are missed")
    return unknown


def write_predictions(predicted: Sequence[Doc], path: Path) -> None:
    for doc in predicted:
        group_scores(doc, "token_ner", doc.ents)  # kept without user data
    write_docs(predicted, path, user_data=False)


def annotate_with_head(
    nlp: Language, gold: Sequence[Doc], head: TokenNER | None, gold_sentences: bool
) -> tuple[list[Doc], list[LabelledWordpieces]]:
    """RETURNS (tuple): Annotated docs, and their wordpieces as a head labels them; none without
    a head."""
    wordpieces: list[LabelledWordpieces] = []

    def visit(doc: Doc) -> None:
        if head is not None:
            wordpieces.append(label_wordpieces(head, doc))

    return annotate_gold(nlp, gold, gold_sentences=gold_sentences, visit=visit), wordpieces


def describe_file(path: Path, gold: Sequence[Doc], seconds: float) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The file, its size, and the speed of the prediction."""
    words = sum(map(len, gold))
    return {
        "file": str(path),
        "sha256": sha256(path),
        "documents": len(gold),
        "words": words,
        "seconds": round(seconds, 2),
        "words_per_second": round(words / seconds),
    }


def find_calibration(nlp: Language) -> Calibration | None:
    """RETURNS (Calibration | None): What the scores of a pipeline are calibrated with; None if it
    isn't calibrated, or has several `token_ner` components."""
    heads = list(find_heads(nlp).values())
    return heads[0].calibration if len(heads) == 1 else None


def make_buckets(corpus: Path | None) -> dict[str, Bucket]:
    """RETURNS (dict[str, Bucket]): Buckets by length, by position and, if the corpus folder has a
    train split, by whether it contains the mention."""
    buckets: dict[str, Bucket] = {"length": by_length, "position": by_position}
    train = find_splits(corpus).get("train") if corpus else None
    if train is not None:
        buckets["seen"] = by_seen(read_gold(train, Vocab()))
    return buckets
