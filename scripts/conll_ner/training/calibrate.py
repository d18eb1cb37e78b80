"""Fit the calibration of a pipeline's confidence scores on gold documents, and make promises."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device
from conll_ner.common.pipelines import find_single_head, load_on_device
from conll_ner.data.docs import read_gold
from conll_ner.evaluation.promises import Kind, Simulation
from conll_ner.training.calibrating import calibrate_folder, describe, text_keys
from conll_ner.training.promising import Wanted, list_made, simulate_promises


@command
def main(
    pipeline: Annotated[
        Path, typer.Argument(help="Folder of the pipeline; the fit is saved in it")
    ],
    gold: Annotated[Path, typer.Argument(help=".spacy or column file, not used in training")],
    train: Annotated[
        Path | None,
        typer.Option(
            help="The training data: mentions that it lacks are calibrated by themselves",
            show_default="the mentions of the last calibration",
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Promise this precision: sets the threshold of mentions"),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Promise this recall of candidates: sets their least score"
        ),
    ] = None,
    by_type: Annotated[
        bool, typer.Option("--by-type", help="Promise it of each type by itself")
    ] = False,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.5, max=0.999, help="That as many new documents as GOLD has keep the promise"
        ),
    ] = 0.9,
    check: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Also make the promises from this many random halves of GOLD, and count how "
            "often the other halves keep them",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Fit the calibration of a pipeline's confidence scores, and optionally set its threshold or
    least score of a candidate so that new documents like GOLD keep a promise. The predicted
    mentions don't change, except for those below the threshold. Promises that the pipeline has
    made before are made again."""
    if not pipeline.is_dir():
        raise InputError(f"{pipeline}: no such folder; the fit is saved in the folder")
    levels: dict[Kind, float | None] = {"precision": precision, "recall": recall}
    promises = {
        kind: Wanted(level, confidence, by_type)
        for kind, level in levels.items()
        if level is not None
    }
    nlp, _ = load_on_device(str(pipeline), device)
    docs = read_gold(gold, nlp.vocab)
    seen = None if train is None else text_keys(read_gold(train, nlp.vocab))
    result = calibrate_folder(nlp, pipeline, docs, promises, seen, gold.name)
    rows = [
        (name, f"{before:.4f}", f"{after:.4f}") for name, (before, after) in result.measures.items()
    ]
    msg.table(rows, header=(gold.name, "before", "after"), divider=True, aligns=("l", "r", "r"))
    if result.calibration is None:
        msg.warn("scores are not calibrated: it doesn't help on held-out documents")
    else:
        fitted = ", ".join(f"{k} {v:.6g}" for k, v in describe(result.calibration).items())
        msg.good(f"{pipeline}: {fitted}")
    for kind, promise in result.promises.items():
        msg.good(f"{pipeline}: {promise.describe(kind)}")
    if check is not None:
        _, head = find_single_head(nlp, str(pipeline), "a pipeline to calibrate")
        made = list_made(nlp.meta)
        print_check(simulate_promises(head.labels, docs, result.predicted, made, check))


def print_check(found: dict[tuple[Kind, str | None], Simulation]) -> None:
    """Print how often promises are made and kept."""
    rows = [
        (kind, label or "all", f"{100 * made:.1f}", f"{100 * kept:.1f}")
        for (kind, label), (made, kept) in found.items()
    ]
    msg.table(
        rows,
        header=("promise", "type", "made in %", "not broken in %"),
        divider=True,
        aligns=("l", "l", "r", "r"),
    )
