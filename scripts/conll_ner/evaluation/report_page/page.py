"""Render the report page of a run: a summary, mistakes, scores and charts in one self-contained
file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spacy.vocab import Vocab

import token_ner  # noqa: F401  to register ent._.score
from conll_ner.common.console import InputError
from conll_ner.common.files import sha256
from conll_ner.common.training_log import LogRow
from conll_ner.data.docs import read_docs, read_gold
from conll_ner.evaluation.mistakes import KINDS
from conll_ner.evaluation.promises import format_share
from conll_ner.evaluation.report_page.charts import draw_all
from conll_ner.evaluation.report_page.error_browser import DocumentView, MistakeView
from conll_ner.evaluation.report_page.summary import summarize
from conll_ner.evaluation.report_page.templates import render
from conll_ner.evaluation.tables import describe_training
from conll_ner.evaluation.wordpiece_scores import is_trained_on_all

SUSPECT_SCORE = 0.95  # mistakes with at least this score may be errors in the gold annotation


def read_split(name: str, scores: dict[str, Any], predictions: Path) -> tuple[list[Any], list[Any]]:
    """RETURNS (tuple[list[Doc], list[Doc]]): The gold and predicted docs of a split.
    RAISES (InputError): If they are missing or aren't the ones that were scored."""
    gold_path, path = Path(scores["file"]), predictions / f"{name}.spacy"
    for needed in (gold_path, path):
        if not needed.is_file():
            raise InputError(f"{needed}: no such file; run evaluate again, with --predictions")
    if sha256(gold_path) != scores["sha256"]:
        raise InputError(f"{gold_path} is not the file that was scored; run evaluate again")
    vocab = Vocab()
    gold = read_gold(gold_path, vocab)
    predicted = list(read_docs(path, vocab))
    if [len(doc) for doc in gold] != [len(doc) for doc in predicted]:
        raise InputError(f"{path} doesn't match {gold_path}; run evaluate again")
    return gold, predicted


def list_variants(robustness: dict[str, dict[str, Any]] | None) -> list[str]:
    """RETURNS (list[str]): The names of the shares that robustness wrote."""
    first = next(iter(robustness.values())) if robustness else {}
    return [name for name, value in first.items() if isinstance(value, float)]


def list_promises(splits: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): A row for each split and promise, with what is reached, and
    whether that is enough, on each form of the text."""
    return [
        {
            "split": split,
            "kind": kind,
            "level": own["level"],
            "checks": {
                text: (format_share(found[kind]["share"]), found[kind]["kept"])
                for text, found in scores["promises"].items()
            },
        }
        for split, scores in splits.items()
        for kind, own in scores.get("promises", {}).get("gold words", {}).items()
    ]


def render_page(
    metrics: dict[str, Any],
    log: Sequence[LogRow],
    robustness: dict[str, dict[str, Any]] | None,
    mistakes: list[MistakeView],
    documents: list[DocumentView],
) -> str:
    """RETURNS (str): The page."""
    splits = metrics["splits"]
    return render(
        "page.html.jinja",
        metrics=metrics,
        trained=describe_training(metrics),
        summary=summarize(splits, mistakes),
        charts=draw_all(splits, log),
        mistakes=mistakes,
        documents=documents,
        kinds=KINDS,
        promises=list_promises(splits),
        robustness=robustness,
        variants=list_variants(robustness),
        types=sorted({type_ for mistake in mistakes for type_ in mistake.types}),
        by_wordpiece=is_trained_on_all(metrics["training"]),
        suspect_score=SUSPECT_SCORE,
    )
