"""The sentences at the top of a report."""

from typing import Any

import pytest

from conll_ner.evaluation.corrections import Correction
from conll_ner.evaluation.report_page.error_browser import MistakeView
from conll_ner.evaluation.report_page.summary import summarize

NO_CORRECTION = Correction("", 0, None, None)


def scores(f1: dict[str, float], **others: Any) -> dict[str, Any]:
    types = {name: {"f1": value, "support": 1} for name, value in f1.items()}
    parts = {"overall": {"f1": 0.5}, "types": types}
    return {"conlleval": parts, "f1_interval": None, **others}


def mistake(split: str, kind: str, gold: str, predicted: str) -> MistakeView:
    return MistakeView(split, 1, kind, gold, predicted, None, "", "", NO_CORRECTION)


def test_summary_is_of_test() -> None:
    splits = {
        "test": scores({"PER": 0.9, "LOC": 0.7}, f1_interval=[0.4, 0.6]),
        "dev": scores({"PER": 0.1}),
    }
    mistakes = [mistake("test", "type", "ORG", "LOC")] * 2 + [
        mistake("test", "missed", "PER", ""),
        *[mistake("dev", "spurious", "", "PER")] * 5,
    ]
    assert " ".join(summarize(splits, mistakes).sentences) == (
        "F1 on test is 50.00 % (95 % confidence interval 40.00 to 60.00). The worst type is LOC, "
        "with 70.00 %. The commonest mistake is ORG found as LOC: 2 of 3."
    )


def test_summary_of_one_type_without_mistakes() -> None:
    """And a type that only the prediction has isn't the worst."""
    only = scores({"PER": 0.5})
    only["conlleval"]["types"]["LOC"] = {"f1": 0.0, "support": 0}
    expected = ["F1 on dev is 50.00 %.", "There are no mistakes."]
    assert summarize({"dev": only}, []).sentences == expected


@pytest.mark.parametrize(
    ("kind", "gold", "predicted", "words"),
    [
        ("type", "A", "B", "A found as B"),
        ("boundary", "A", "A", "A with a wrong boundary"),
        ("type and boundary", "A", "B", "A found as B, with a wrong boundary"),
        ("missed", "A", "", "A missed"),
        ("spurious", "", "B", "B where gold has no mention"),
    ],
)
def test_summary_names_each_kind(kind: str, gold: str, predicted: str, words: str) -> None:
    found = summarize({"dev": scores({})}, [mistake("dev", kind, gold, predicted)])
    assert found.sentences[-1] == f"The commonest mistake is {words}: 1 of 1."


def test_summary_says_whether_promises_are_kept() -> None:
    checks = {
        text: {"recall": {"level": 0.9, "share": share, "kept": share >= 0.9}}
        for text, share in (("gold words", 0.95), ("raw text", 0.85))
    }
    found = summarize({"dev": scores({}, promises=checks)}, [])
    words = "the promised recall of 90: 95.00 on gold words, 85.00 on raw text; kept"
    assert found.promises == [(words, True)]
