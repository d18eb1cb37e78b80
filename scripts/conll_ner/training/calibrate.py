"""Fit the calibration of a pipeline's confidence scores on gold documents."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device
from conll_ner.common.pipelines import load_on_device
from conll_ner.data.docs import read_gold
from conll_ner.training.calibrating import CONFIDENCE, calibrate_folder, describe, text_keys


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
        typer.Option(min=0, max=1, help="Also set the threshold for this precision on GOLD"),
    ] = None,
    device: Device = "auto",
) -> None:
    """Fit the calibration of a pipeline's confidence scores, and optionally its threshold. The
    predicted mentions don't change, except for those below the threshold."""
    if not pipeline.is_dir():
        raise InputError(f"{pipeline}: no such folder; the fit is saved in the folder")
    nlp, _ = load_on_device(str(pipeline), device)
    docs = read_gold(gold, nlp.vocab)
    seen = None if train is None else text_keys(read_gold(train, nlp.vocab))
    result = calibrate_folder(nlp, pipeline, docs, precision, seen)
    rows = [
        (name, f"{before:.4f}", f"{after:.4f}") for name, (before, after) in result.measures.items()
    ]
    msg.table(rows, header=(gold.name, "before", "after"), divider=True, aligns=("l", "r", "r"))
    if result.calibration is None:
        msg.warn("scores are not calibrated: it doesn't help on held-out documents")
    else:
        fitted = ", ".join(f"{k} {v:.6g}" for k, v in describe(result.calibration).items())
        msg.good(f"{pipeline}: {fitted}")
    if result.threshold is not None:
        msg.good(
            f"{pipeline}: threshold {result.threshold}; precision of at least {precision:g} on "
            f"{gold.name} with {100 * CONFIDENCE:.0f} % confidence"
        )
