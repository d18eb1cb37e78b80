"""What a report says first: F1, the worst type, the commonest mistake, promises."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from conll_ner.evaluation.promises import describe_check
from conll_ner.evaluation.report_page.error_browser import MistakeView


class Summary(NamedTuple):
    """Sentences about one split; promises with whether they are kept."""

    sentences: list[str]
    promises: list[tuple[str, bool]]


def summarize(splits: dict[str, dict[str, Any]], mistakes: Sequence[MistakeView]) -> Summary:
    """RETURNS (Summary): Of test or, without one, of the last split."""
    name = "test" if "test" in splits else list(splits)[-1]
    scores = splits[name]
    sentences = [
        describe_f1(name, scores),
        describe_worst(scores["conlleval"]["types"]),
        describe_commonest([mistake for mistake in mistakes if mistake.split == name]),
    ]
    checks = scores.get("promises", {})
    promises = [describe_check(kind, checks) for kind in checks.get("gold words", {})]
    return Summary([sentence for sentence in sentences if sentence], promises)


def describe_f1(name: str, scores: dict[str, Any]) -> str:
    sentence = f"F1 on {name} is {100 * scores['conlleval']['overall']['f1']:.2f} %"
    if not scores["f1_interval"]:
        return f"{sentence}."
    low, high = (100 * bound for bound in scores["f1_interval"])
    return f"{sentence} (95 % confidence interval {low:.2f} to {high:.2f})."


def describe_worst(types: dict[str, dict[str, Any]]) -> str:
    """RETURNS (str): Which type has the lowest F1; empty if gold has only one."""
    f1 = {type_: row["f1"] for type_, row in types.items() if row["support"]}
    if len(f1) < 2:
        return ""
    worst = min(f1, key=lambda type_: f1[type_])
    return f"The worst type is {worst}, with {100 * f1[worst]:.2f} %."


def describe_commonest(mistakes: Sequence[MistakeView]) -> str:
    """RETURNS (str): Which mistake is made most often: its kind and types."""
    if not mistakes:
        return "There are no mistakes."
    counts = Counter((m.kind, m.gold_type, m.predicted_type) for m in mistakes)
    (kind, gold, predicted), number = counts.most_common(1)[0]
    what = {
        "type": f"{gold} found as {predicted}",
        "boundary": f"{gold} with a wrong boundary",
        "type and boundary": f"{gold} found as {predicted}, with a wrong boundary",
        "missed": f"{gold} missed",
        "spurious": f"{predicted} where gold has no mention",
    }[kind]
    return f"The commonest mistake is {what}: {number:,} of {len(mistakes):,}."
