"""Compare two pipelines on the same documents by the paired bootstrap."""

from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.common.command import command
from conll_ner.common.console import InputError, msg
from conll_ner.evaluation.bootstrap import SAMPLES, paired_bootstrap
from conll_ner.evaluation.runs import read_metrics


def type_rows(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, ...]]:
    """RETURNS (list[tuple[str, ...]]): F1 of each type, and the difference. A type that one of the
    two has neither in gold nor among its predictions counts as 0."""
    types = [scores["conlleval"]["types"] for scores in (first, second)]
    rows = []
    for name in sorted({*types[0], *types[1]}):
        f1 = [100 * found.get(name, {"f1": 0.0})["f1"] for found in types]
        rows.append((f"  {name}", *(f"{v:.2f}" for v in f1), f"{f1[0] - f1[1]:+.2f}", "", ""))
    return rows


@command
def main(
    first: Annotated[Path, typer.Argument(help="JSON file that evaluate wrote")],
    second: Annotated[
        Path, typer.Argument(help="JSON file of the other pipeline, on the same files")
    ],
    samples: Annotated[int, typer.Option(min=100, help="Number of bootstrap samples")] = SAMPLES,
) -> None:
    """Compare two pipelines by the paired bootstrap over documents."""
    a, b = read_metrics(first), read_metrics(second)
    shared = [
        name
        for name, scores in a["splits"].items()
        if scores["sha256"] == b["splits"].get(name, {}).get("sha256")
    ]
    if not shared:
        raise InputError(
            f"{first} and {second} have no file in common; evaluate both on the same files"
        )
    rows = []
    for name in shared:
        scores = [metrics["splits"][name] for metrics in (a, b)]
        difference = paired_bootstrap(scores[0]["by_document"], scores[1]["by_document"], samples)
        f1 = [split["conlleval"]["overall"]["f1"] for split in scores]
        rows.append(
            (
                name,
                *(f"{100 * value:.2f}" for value in f1),
                f"{100 * difference.f1:+.2f}",
                f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}",
                f"{difference.p_value:.3f}",
            )
        )
        rows += type_rows(*scores)
    header = ("F1", a["name"], b["name"], "difference", "95 % CI", "p")
    msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r", "r"))
